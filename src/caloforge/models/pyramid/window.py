"""The cells around a cell, as seen from the axis."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from caloforge.geometry.grids import PolarGrid
from caloforge.geometry.rings import uniform_grid

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from caloforge.geometry import Geometry
    from caloforge.geometry.grids import BoxGrid

__all__ = ["LAYER_WINDOW", "PLANE_WINDOW", "colours", "window"]

Step = tuple[int, int]

PLANE_WINDOW: tuple[Step, ...] = tuple((a, b) for a in range(-2, 3) for b in range(-2, 3) if (a, b) != (0, 0))
"""Steps away from the axis and across to the 24 cells around a cell in its layer."""

LAYER_WINDOW: tuple[Step, ...] = tuple(
    (a, b) for a in range(-2, 3) for b in range(-2, 3) if abs(a) + abs(b) <= 2 or max(abs(a), abs(b)) == 1
)
"""Steps to the 13 cells in front of or behind a cell and around it."""


def window(geometry: Geometry, steps: Sequence[Step]) -> NDArray[np.int64]:
    """The cells of a layer that lie some steps from every cell, ``(cells of a layer, steps)``; -1: none.

    A step counts rings outwards and cells across; in box grids along the axis that the cell is farther
    out on, and along the other, both away from the middle. Cells that a symmetry of the square
    exchanges see the same.

    Raises:
        GeometryError: The layers' grids differ.
    """
    grid = uniform_grid(geometry)
    out, across = (np.array(column) for column in zip(*steps, strict=True))
    return _polar(grid, out, across) if isinstance(grid, PolarGrid) else _box(grid, out, across)


def colours(geometry: Geometry) -> NDArray[np.int64]:
    """0 to 3 by turns, ``(cells of a layer,)``: no two cells that touch have one colour.

    Around a ring with an odd number of cells, two do.
    """
    first, second = (index.ravel() % 2 for index in np.indices(uniform_grid(geometry).shape))
    return np.where(first == second, first, 2 + first)


def _polar(grid: PolarGrid, out: NDArray[np.int64], across: NDArray[np.int64]) -> NDArray[np.int64]:
    alpha, r = (index.ravel()[:, None] for index in np.indices(grid.shape))
    r = r + out
    found = (alpha + across) % grid.n_alpha * grid.n_r + r
    return np.where((r >= 0) & (r < grid.n_r), found, -1)


def _box(grid: BoxGrid, out: NDArray[np.int64], across: NDArray[np.int64]) -> NDArray[np.int64]:
    x, y = (index.ravel()[:, None] for index in np.indices(grid.shape))
    far_x, far_y = 2 * x + 1 - grid.nx, 2 * y + 1 - grid.ny
    along_x = np.abs(far_x) >= np.abs(far_y)
    x = x + np.where(far_x < 0, -1, 1) * np.where(along_x, out, across)
    y = y + np.where(far_y < 0, -1, 1) * np.where(along_x, across, out)
    inside = (x >= 0) & (x < grid.nx) & (y >= 0) & (y < grid.ny)
    return np.where(inside, x * grid.ny + y, -1)
