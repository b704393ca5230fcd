"""Clusters: the cells of every layer joined into rings (polar) or square blocks, all of one size."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from caloforge.errors import ConfigError, bad
from caloforge.geometry.grids import PolarGrid
from caloforge.geometry.rings import uniform_grid

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from caloforge.geometry.grids import BoxGrid
    from caloforge.geometry.layers import Geometry

__all__ = ["Clusters", "find_clusters"]


@dataclass(frozen=True)
class Clusters:
    """How cells are joined.

    Blocks of square cells are numbered inside as seen from the axis: mirrored and turned so that
    blocks which a symmetry of the square exchanges look alike. Such blocks are of one kind.

    Attributes:
        cluster: Cluster of every cell, layer * per_layer + number in the layer, ``(n_cells,)``.
        place: Place of every cell inside of its cluster, ``(n_cells,)``.
        cells: The cell at every place, ``(n_clusters, size)``.
        kind: Kind of every cluster of one layer, ``(per_layer,)``.
        around: Clusters in front, behind, outwards and inwards along either axis (polar: outwards
            and inwards), ``(n_clusters, N)``; -1 where there is none.
    """

    cluster: NDArray[np.int64]
    place: NDArray[np.int64]
    cells: NDArray[np.int64]
    kind: NDArray[np.int64]
    around: NDArray[np.int64]

    @property
    def per_layer(self) -> int:
        """Clusters of one layer."""
        return len(self.kind)

    @property
    def size(self) -> int:
        """Cells of one cluster."""
        return len(self.cells[0])

    @property
    def n_kinds(self) -> int:
        """Kinds of clusters."""
        return len(np.unique(self.kind))


def find_clusters(geometry: Geometry, block: int) -> Clusters:
    """Join the cells of a geometry.

    Args:
        geometry: Its layers have one grid.
        block: Cells along the side of a block; no meaning for polar grids.

    Raises:
        ConfigError: ``block`` does not divide the numbers of cells.
        GeometryError: The layers' grids differ.
    """
    grid = uniform_grid(geometry)
    number, place, kind, beside = _rings(grid) if isinstance(grid, PolarGrid) else _blocks(grid, block)
    layers, per_layer = geometry.n_layers, len(kind)
    first = np.arange(layers)[:, None]
    cells = np.empty((per_layer, int(place.max()) + 1), dtype=np.int64)
    cells[number, place] = np.arange(grid.n_cells)
    everywhere = (first[..., None] * grid.n_cells + cells).reshape(-1, cells.shape[1])
    cluster = (first * per_layer + number).ravel()
    return Clusters(cluster, np.tile(place, layers), everywhere, kind, _around(beside, layers))


_Plane = tuple["NDArray[np.int64]", "NDArray[np.int64]", "NDArray[np.int64]", "NDArray[np.int64]"]


def _rings(grid: PolarGrid) -> _Plane:
    alpha, ring = (index.ravel() for index in np.indices(grid.shape))
    kind = np.arange(grid.n_r)
    beside = np.stack([np.where(kind + 1 < grid.n_r, kind + 1, -1), kind - 1], axis=1)
    return ring, alpha, kind, beside


def _blocks(grid: BoxGrid, block: int) -> _Plane:
    if grid.nx % block or grid.ny % block:
        got, expected = f"{block} for a grid of {grid.nx} x {grid.ny}", "a number that divides both"
        raise ConfigError(bad("block", got=got, expected=expected))
    shape = (grid.nx // block, grid.ny // block)
    x, y = (index.ravel() for index in np.indices(grid.shape))
    (bx, by), (sx, sy) = ((i // block for i in (x, y)), (i % block for i in (x, y)))
    turned = _turned(shape)
    low_x, low_y, swap = (t[bx, by] for t in turned)
    sx, sy = np.where(low_x, block - 1 - sx, sx), np.where(low_y, block - 1 - sy, sy)
    place = np.where(swap, sy * block + sx, sx * block + sy)
    return bx * shape[1] + by, place, _kinds(shape), _beside(shape, *turned)


def _steps(shape: tuple[int, int]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Twice the distance of the blocks from the axis in x and y, with sign."""
    x, y = np.indices(shape)
    return 2 * x + 1 - shape[0], 2 * y + 1 - shape[1]


def _turned(shape: tuple[int, int]) -> tuple[NDArray[np.bool_], ...]:
    """Whether a block is mirrored in x, in y, and has its axes exchanged (the far one comes first)."""
    x, y = _steps(shape)
    return x < 0, y < 0, np.abs(x) < np.abs(y)


def _kinds(shape: tuple[int, int]) -> NDArray[np.int64]:
    x, y = (np.abs(s).ravel() for s in _steps(shape))
    far, near = np.maximum(x, y), np.minimum(x, y)
    return np.unique((far**2 + near**2) * max(shape) + near, return_inverse=True)[1].astype(np.int64)


def _beside(
    shape: tuple[int, int], low_x: NDArray[np.bool_], low_y: NDArray[np.bool_], swap: NDArray[np.bool_]
) -> NDArray[np.int64]:
    """Blocks outwards and inwards along the far axis, then along the other one."""
    x, y = np.indices(shape)
    one, other = np.where(low_x, -1, 1), np.where(low_y, -1, 1)
    columns = []
    for first in (True, False):
        along_x = swap != first
        for sign in (1, -1):
            i = x + np.where(along_x, sign * one, 0)
            j = y + np.where(along_x, 0, sign * other)
            inside = (i >= 0) & (i < shape[0]) & (j >= 0) & (j < shape[1])
            columns.append(np.where(inside, i * shape[1] + j, -1).ravel())
    return np.stack(columns, axis=1)


def _around(beside: NDArray[np.int64], layers: int) -> NDArray[np.int64]:
    per_layer = len(beside)
    own = np.arange(layers * per_layer)
    front = own - per_layer
    behind = np.where(own + per_layer < len(own), own + per_layer, -1)
    front = np.where(front >= 0, front, -1)
    first = np.repeat(np.arange(layers) * per_layer, per_layer)[:, None]
    lateral = np.tile(beside, (layers, 1))
    return np.column_stack([front, behind, np.where(lateral >= 0, lateral + first, -1)])
