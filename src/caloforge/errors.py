"""The exceptions that caloforge raises, and how their one sentence is built."""

from __future__ import annotations

import difflib
import reprlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = [
    "BusyError",
    "CaloForgeError",
    "ConfigError",
    "DataError",
    "FormatError",
    "GeometryError",
    "MissingDependencyError",
    "OutputError",
    "TrainingError",
    "bad",
    "clipped",
    "did_you_mean",
    "shown",
]

_SHORT = reprlib.Repr()
_SHORT.maxlevel, _SHORT.maxdict, _SHORT.maxlist, _SHORT.maxtuple, _SHORT.maxset = 2, 2, 3, 3, 3
_SHORT.maxstring = _SHORT.maxother = 40

_LONGEST_LIST = 250  # characters


class CaloForgeError(Exception):
    """Base class: everything a user can cause; the command line prints it without a traceback."""


class DataError(CaloForgeError, ValueError):
    """Particles or showers that cannot be right (NaN, negative energies, wrong shapes)."""


class FormatError(CaloForgeError, ValueError):
    """A file that is truncated, of an unknown format, or lacks a documented key."""


class GeometryError(CaloForgeError, ValueError):
    """A geometry description that is inconsistent, or does not match the data."""


class ConfigError(CaloForgeError, ValueError):
    """An unknown name, preset or option, or an option outside of its range."""


class OutputError(CaloForgeError, OSError):
    """An output that exists already or cannot be written."""


class BusyError(OutputError):
    """An output that another process is writing."""


class TrainingError(CaloForgeError, RuntimeError):
    """Training that cannot go on (diverged, incompatible checkpoint)."""


class MissingDependencyError(CaloForgeError, ImportError):
    """An optional package or its data is not there."""


def bad(what: str, *, got: object, expected: str, fix: str = "") -> str:
    """Word a problem in one sentence: what, got, expected, what to do."""
    sentence = f"{what}: got {got}, expected {expected}"
    return f"{sentence}; {fix}." if fix else f"{sentence}."


def did_you_mean(name: str, choices: Iterable[str]) -> str:
    """List the valid ``choices``, the closest to ``name`` first when there is one.

    Of choices that would fill lines, those nearest to ``name`` are listed.
    """
    known = sorted(choices)
    if not known:
        return "there are none"
    close = difflib.get_close_matches(name[:100], known, n=1)
    hint = f"did you mean {close[0]!r}? " if close else ""
    return f"{hint}choose one of {_listed(name[:100], known)}"


def _listed(name: str, known: list[str]) -> str:
    text = ", ".join(known)
    if len(text) <= _LONGEST_LIST:
        return text
    near = difflib.get_close_matches(name, known, n=8, cutoff=0.3) or known[:8]
    return f"{', '.join(sorted(near))} and {len(known) - len(near)} others"


def shown(value: object, *, limit: int = 60) -> str:
    """A user's value for a message: on one line and short, whatever it is and however it nests."""
    try:
        text = _SHORT.repr(value)
    except ValueError:  # Python does not write out whole numbers of thousands of digits
        return "a very long number"
    return clipped(text, limit)


def clipped(text: str, limit: int = 100) -> str:
    """A text on one line of ``limit`` characters at most."""
    line = " ".join(text[: 10 * limit].split())
    return line if len(line) <= limit else f"{line[: limit - 3]}..."
