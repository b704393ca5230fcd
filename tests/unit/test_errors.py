from __future__ import annotations

import errno

import pytest

from caloforge import errors
from caloforge.cli.failures import sentence
from caloforge.errors import CaloForgeError, OutputError, bad, did_you_mean


@pytest.mark.parametrize("name", [n for n in errors.__all__ if n.endswith("Error")])
def test_every_error_is_a_caloforge_error(name: str) -> None:
    assert issubclass(getattr(errors, name), CaloForgeError)


def test_errors_are_also_what_python_programmers_expect() -> None:
    assert issubclass(errors.DataError, ValueError)
    assert issubclass(errors.OutputError, OSError)
    assert issubclass(errors.MissingDependencyError, ImportError)


def test_bad_says_what_got_expected_and_what_to_do() -> None:
    text = bad("the energy", got=-1, expected="above zero", fix="take the absolute value")
    assert text == "the energy: got -1, expected above zero; take the absolute value."
    assert bad("it", got=1, expected="2") == "it: got 1, expected 2."


def test_did_you_mean_names_the_closest_and_all() -> None:
    assert did_you_mean("siw-ekal", ["ild", "siw-ecal"]) == (
        "did you mean 'siw-ecal'? choose one of ild, siw-ecal"
    )
    assert did_you_mean("zzz", ["b", "a"]) == "choose one of a, b"


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (CaloForgeError("two\nlines"), "two lines"),
        (CaloForgeError(), "CaloForgeError"),
        (OutputError("x exists already."), "x exists already."),
        (OSError(errno.ENOSPC, "No space left on device"), "The disk is full: make room"),
        (PermissionError(errno.EACCES, "Permission denied", "a.h5"), "a.h5: Permission denied."),
        (
            OSError("Unable to synchronously open file (truncated file: eof = 96)"),
            "A HDF5 file is truncated or damaged",
        ),
        (OSError("Can't synchronously read data (inflate() failed)"), "A HDF5 file is truncated or damaged"),
    ],
)
def test_sentences(error: BaseException, expected: str) -> None:
    assert sentence(error).startswith(expected)
    assert "\n" not in sentence(error)
