"""Events as people write them: a table of particles, comma separated, GeV, degrees and mm."""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING

import numpy as np

from caloforge.errors import CaloForgeError, FormatError, bad, shown
from caloforge.events import Events
from caloforge.markup import read_text
from caloforge.particles import particle_code
from caloforge.showers import Incident
from caloforge.units import DEGREE, GEV

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

__all__ = ["read_events"]

_NEEDED = ("event", "particle", "energy")
_OTHERS = ("theta", "phi", "x", "y")  # 0 where they are left out


def read_events(path: Path) -> Events:
    """Read events from a table.

    Its first line names the columns: ``event`` (a number that does not fall), ``particle`` (name or code),
    ``energy`` (kinetic [GeV]) and, where they are not 0, ``theta`` and ``phi`` [degrees] and ``x`` and
    ``y``, where the particle meets the front face [mm].

    Args:
        path: The file.

    Raises:
        FormatError: It cannot be read, a column is missing or unknown, or a value cannot be right.
    """
    lines = read_text(path, what="event list", error=FormatError).splitlines()
    rows = [[cell.strip() for cell in row] for row in csv.reader(lines) if row]
    if not rows[1:]:
        raise FormatError(bad(str(path), got="no events", expected="a line of names and a line a particle"))
    names = _checked(path, rows[0])
    for number, row in enumerate(rows[1:], 2):
        if len(row) != len(names):
            what = f"line {number} of {path}"
            raise FormatError(bad(what, got=f"{len(row)} values", expected=f"{len(names)}"))
    columns = dict(zip(names, zip(*rows[1:], strict=True), strict=True))
    try:
        return _events(path, columns)
    except CaloForgeError as error:
        msg = f"{path}: {error}" if str(path) not in str(error) else str(error)
        raise FormatError(msg) from error


def _checked(path: Path, names: list[str]) -> list[str]:
    known = (*_NEEDED, *_OTHERS)
    if not set(_NEEDED) <= set(names) <= set(known) or len(set(names)) < len(names):
        expected = f"{', '.join(_NEEDED)} and perhaps {', '.join(_OTHERS)}"
        raise FormatError(bad(f"columns of {path}", got=shown(", ".join(names)), expected=expected))
    return names


def _events(path: Path, columns: dict[str, tuple[str, ...]]) -> Events:
    count = len(columns["event"])
    values = {
        name: _numbers(path, name, columns[name]) if name in columns else np.zeros(count)
        for name in ("event", "energy", *_OTHERS)
    }
    particles = Incident(
        values["energy"] * GEV,
        values["theta"] * DEGREE,
        values["phi"] * DEGREE,
        np.array([particle_code(name) for name in columns["particle"]]),
    )
    return Events.of(particles, np.stack([values["x"], values["y"]], axis=1), values["event"])


def _numbers(path: Path, name: str, texts: tuple[str, ...]) -> NDArray[np.float64]:
    try:
        numbers = np.array([float(text) for text in texts])
    except ValueError:
        numbers = np.array([np.nan])
    if not np.isfinite(numbers).all():
        wrong = next(text for text in texts if not _is_number(text))
        raise FormatError(bad(f"{name} in {path}", got=shown(wrong), expected="a finite number"))
    return numbers


def _is_number(text: str) -> bool:
    try:
        return bool(np.isfinite(float(text)))
    except ValueError:
        return False
