"""Puts showers where their particles arrived: clouds anywhere, cells by whole cells."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from caloforge.errors import DataError, bad
from caloforge.geometry import BoxGrid, check_cells

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from caloforge.geometry import Geometry
    from caloforge.showers import Showers

__all__ = ["placed"]


def placed(showers: Showers, impact: NDArray[np.float64], geometry: Geometry) -> Showers:
    """Move every shower of a particle at the axis to its own impact point.

    Args:
        showers: Points, or cells of ``geometry``.
        impact: x and y [mm], ``(B, 2)``; for cells whole cells, to which they are rounded.
        geometry: The read-out; what is moved out of its cells is lost.

    Raises:
        DataError: Cells that are not squares, or differ between layers, and an impact point off the axis.
        GeometryError: The cells belong to another geometry.
    """
    if not impact.any():
        return showers
    return _shifted(showers, impact, geometry) if showers.points is None else _moved(showers, impact)


def _moved(showers: Showers, impact: NDArray[np.float64]) -> Showers:
    assert showers.points is not None
    points = showers.points.copy()
    points[:, :2] += impact[showers.shower].astype(np.float32)
    return replace(showers, points=points, meta=replace(showers.meta, pitch=0.0))


def _shifted(showers: Showers, impact: NDArray[np.float64], geometry: Geometry) -> Showers:
    check_cells(showers, geometry)
    grid = geometry.layers[0].grid
    if not (isinstance(grid, BoxGrid) and geometry.is_uniform):
        expected = "equal layers of rectangular cells"
        raise DataError(bad("cells to be moved", got=geometry.name, expected=expected))
    steps = np.rint(impact / grid.pitch).astype(np.int64)[showers.shower]
    assert showers.cells is not None
    layer, local = np.divmod(showers.cells.astype(np.int64), grid.n_cells)
    x, y = np.divmod(local, grid.ny)
    x, y = x + steps[:, 0], y + steps[:, 1]
    inside = (x >= 0) & (x < grid.nx) & (y >= 0) & (y < grid.ny)
    cells = layer * grid.n_cells + x * grid.ny + y
    return replace(showers.keep(inside), cells=cells[inside].astype(np.int32))
