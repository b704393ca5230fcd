"""What is computed of a block of showers, and adds up over blocks."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from caloforge.features.hits import hits_of
from caloforge.features.observables import observables

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from caloforge.features.binning import Binning
    from caloforge.features.hits import Hits
    from caloforge.features.table import FeatureTable
    from caloforge.geometry import Geometry
    from caloforge.showers import Showers

__all__ = ["ENERGY_QUANTUM", "part_of"]

ENERGY_QUANTUM = 2.0**-16
"""Energies in mean images are multiples of this [MeV], so that images of parts add up exactly."""


def part_of(
    cells: Showers, geometry: Geometry, binning: Binning, offset: tuple[float, float]
) -> tuple[FeatureTable, NDArray[np.float64]]:
    """The observables of a block, and the energy of every cell of the geometry over its showers in quanta.

    Args:
        cells: Above threshold.
        geometry: Theirs.
        binning: Of the observables.
        offset: Where the particles enter on the front face [mm].
    """
    hits = hits_of(cells, geometry, offset=offset)
    return observables(hits, geometry, binning), _quantised_sums(hits, geometry)


def _quantised_sums(hits: Hits, geometry: Geometry) -> NDArray[np.float64]:
    """Energy of every cell in units of the quantum: whole numbers, which add up exactly in any order."""
    units = np.rint(hits.energy / ENERGY_QUANTUM)
    return np.asarray(np.bincount(hits.cell, weights=units, minlength=geometry.n_cells), dtype=np.float64)
