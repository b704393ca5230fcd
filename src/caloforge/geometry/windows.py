"""Cells around the cells of a grid, by steps along its axes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from caloforge.geometry.grids import PolarGrid

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from caloforge.geometry.grids import Grid

__all__ = ["cell_windows"]


def cell_windows(grid: Grid, reach: int) -> NDArray[np.int64]:
    """Cells up to ``reach`` steps away along both axes, row by row, the cell itself in the middle.

    Returns:
        Numbers of cells ``(n_cells, (2 reach + 1)^2)``; ``n_cells`` beyond the edges. Rings close.
    """
    first, second = (index.ravel() for index in np.indices(grid.shape))
    steps = np.arange(-reach, reach + 1)
    a = first[:, None, None] + steps[:, None]
    b = second[:, None, None] + steps
    a, b = np.broadcast_arrays(a, b)
    if isinstance(grid, PolarGrid):
        a = a % grid.shape[0]
    inside = (a >= 0) & (a < grid.shape[0]) & (b >= 0) & (b < grid.shape[1])
    cells = np.where(inside, a * grid.shape[1] + b, grid.n_cells)
    return cells.reshape(len(first), -1).astype(np.int64)
