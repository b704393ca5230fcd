"""Which cells lie beside, behind and together with each other."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from caloforge.geometry.grids import BoxGrid

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from caloforge.geometry.grids import PolarGrid
    from caloforge.geometry.layers import Geometry

__all__ = ["behind", "beside", "cell_groups", "neighbours"]


def neighbours(geometry: Geometry) -> dict[str, NDArray[np.int64]]:
    """One neighbour of every cell in several directions, ``(n_cells,)`` each; -1 where there is none.

    "x" and "y" of square cells, "alpha" (closed) and "r" of rings, in the same layer; "next layer" and
    "layer after next": the cell there that the centre of this one lies over. Directions that no cell
    has are left out.
    """
    names = ("x", "y") if isinstance(geometry.layers[0].grid, BoxGrid) else ("alpha", "r")
    found = {name: beside(geometry, axis) for axis, name in enumerate(names)}
    found["next layer"], found["layer after next"] = (behind(geometry, step) for step in (1, 2))
    return {name: index for name, index in found.items() if (index >= 0).any()}


def cell_groups(geometry: Geometry, block: int = 5) -> tuple[NDArray[np.int64], int]:
    """The ring (polar) or the block of ``block`` x ``block`` (square cells) of every cell.

    Returns:
        Number of the group of every cell, ``(n_cells,)``, and the number of groups.
    """
    groups, count = [], 0
    for layer in geometry.layers:
        first, second = np.indices(layer.grid.shape)
        if isinstance(layer.grid, BoxGrid):
            number = (first // block) * (-(-layer.grid.ny // block)) + second // block
        else:
            number = second
        groups.append(number.ravel() + count)
        count += int(number.max()) + 1
    return np.concatenate(groups), count


def beside(geometry: Geometry, axis: int) -> NDArray[np.int64]:
    """The next cell of every cell along an axis of its layer's grid, ``(n_cells,)``; -1 where there is none.

    Axis 0 is x or the angle (closed), axis 1 is y or the radius.
    """
    parts = zip(geometry.layers, geometry.layer_offsets[:-1], strict=True)
    return np.concatenate([_next(layer.grid, axis, int(offset)) for layer, offset in parts])


def _next(grid: BoxGrid | PolarGrid, axis: int, offset: int) -> NDArray[np.int64]:
    index = np.arange(grid.n_cells).reshape(grid.shape) + offset
    moved = np.roll(index, -1, axis=axis)
    closed = axis == 0 and not isinstance(grid, BoxGrid) and grid.shape[0] > 1
    if not closed:
        moved[(slice(None),) * axis + (-1,)] = -1
    return moved.ravel()


def behind(geometry: Geometry, step: int) -> NDArray[np.int64]:
    """The cell ``step`` layers behind every cell that its centre lies over, ``(n_cells,)``; -1 for none.

    Negative steps look towards the front.
    """
    layer = geometry.cell_layer.astype(np.int64) + step
    layer[layer >= geometry.n_layers] = -1
    x, y = geometry.cell_positions[:, 0], geometry.cell_positions[:, 1]
    return geometry.find_cells(x, y, layer)
