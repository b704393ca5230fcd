"""Where cells lie: their distance to the axis, rings around it, and the regions that rings are joined to."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from caloforge.geometry.grids import PolarGrid
from caloforge.geometry.rings import uniform_grid

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from caloforge.geometry import Geometry

__all__ = ["log_radius", "region_of_cell", "ring_of_cell"]

_EDGES = (1, 2, 3, 5, 7, 10)  # first ring of every region but the innermost


def region_of_cell(geometry: Geometry) -> NDArray[np.int64]:
    """The region of every cell of one layer, ``(cells of a layer,)``, 0 around the axis.

    The rings of a polar grid, and the square ones of a box grid, are joined: 1, 1, 1, 2, 2, 3, all others.

    Raises:
        GeometryError: The layers' grids differ.
    """
    region = np.searchsorted(_EDGES, ring_of_cell(geometry), side="right")
    return np.unique(region, return_inverse=True)[1].astype(np.int64)


def ring_of_cell(geometry: Geometry) -> NDArray[np.int64]:
    """The ring of every cell of one layer: of a polar grid, or a square one of a box grid.

    Raises:
        GeometryError: The layers' grids differ.
    """
    grid = uniform_grid(geometry)
    first, second = (index.ravel() for index in np.indices(grid.shape))
    if isinstance(grid, PolarGrid):
        return np.asarray(second)
    x, y = (np.abs(2 * index + 1 - n) for index, n in ((first, grid.nx), (second, grid.ny)))
    return np.asarray(np.maximum(x, y) // 2)


def log_radius(geometry: Geometry) -> NDArray[np.float32]:
    """Logarithm of every cell's distance to the axis, with mean 0 and deviation 1, ``(n_cells,)``."""
    radius = np.linalg.norm(geometry.cell_positions[:, :2], axis=1)
    log = np.log(radius + 0.1 * radius.mean())
    scaled: NDArray[np.float32] = ((log - log.mean()) / log.std()).astype(np.float32)
    return scaled
