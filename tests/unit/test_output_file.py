from __future__ import annotations

import errno
from typing import TYPE_CHECKING

import h5py
import numpy as np
import pytest

from caloforge.errors import OutputError
from caloforge.formats import output_file
from caloforge.formats.output_file import OutputFile

if TYPE_CHECKING:
    from pathlib import Path

DATA = np.random.default_rng(1).integers(0, 2**62, 200_000)


def fill(output: OutputFile) -> None:
    output.h5.create_dataset("a", data=DATA, chunks=(5000,))
    output.h5.flush()


def break_after(monkeypatch: pytest.MonkeyPatch, n_bytes: int) -> None:
    """Let all writing fail once ``n_bytes`` are written."""
    written = 0
    write_all = output_file._Disk._write_all

    def failing(disk: output_file._Disk, view: memoryview) -> None:
        nonlocal written
        written += len(view)
        if written > n_bytes:
            raise OSError(errno.ENOSPC, "No space left on device")
        write_all(disk, view)

    monkeypatch.setattr(output_file._Disk, "_write_all", failing)


def test_content_and_names(tmp_path: Path) -> None:
    output = OutputFile(tmp_path / "a.h5")
    fill(output)
    output.check()
    assert not (tmp_path / "a.h5").exists()
    output.finish()
    with h5py.File(tmp_path / "a.h5") as file:
        np.testing.assert_array_equal(file["a"][:], DATA)
    assert [p.name for p in tmp_path.iterdir()] == ["a.h5"]


@pytest.mark.parametrize("n_bytes", [0, 3000, 100_000, 1_500_000])
def test_a_failed_write_is_raised_from_check(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, n_bytes: int
) -> None:
    break_after(monkeypatch, n_bytes)
    output = OutputFile(tmp_path / "a.h5")
    fill(output)
    with pytest.raises(OutputError, match=r"Cannot write .*a\.h5: No space left on device"):
        output.check()
    # what the disk did not take is still there for HDF5, which would crash otherwise
    np.testing.assert_array_equal(output.h5["a"][:], DATA)
    output.discard()
    assert list(tmp_path.iterdir()) == []


def test_a_write_that_fails_on_closing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    output = OutputFile(tmp_path / "a.h5")
    output.h5["a"] = DATA[:100]
    break_after(monkeypatch, 0)
    with pytest.raises(OutputError, match="No space left"):
        output.finish()
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="does not exist"):
        OutputFile(tmp_path / "nowhere" / "a.h5")
