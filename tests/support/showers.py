"""Showers in files, and showers that have to be the same."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from caloforge.formats import open_showers

if TYPE_CHECKING:
    from pathlib import Path

    from caloforge.showers import Showers


def load(path: Path) -> Showers:
    """All showers of a file."""
    with open_showers(path) as reader:
        return reader.read(0, len(reader))


def assert_same_hits(a: Showers, b: Showers) -> None:
    """Of the same particles, in the same places, with the same energies."""
    np.testing.assert_array_equal(a.incident.energy, b.incident.energy)
    np.testing.assert_array_equal(a.offsets, b.offsets)
    np.testing.assert_array_equal(a.energy, b.energy)
    np.testing.assert_array_equal(a.points, b.points)
    np.testing.assert_array_equal(a.cells, b.cells)
    assert a.meta == b.meta
