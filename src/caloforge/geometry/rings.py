"""Rings: cells that the read-out's own symmetry makes equal, and the symmetries themselves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from caloforge.errors import GeometryError, bad, shown
from caloforge.geometry.grids import BoxGrid, PolarGrid

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from caloforge.geometry.grids import Grid
    from caloforge.geometry.layers import Geometry

__all__ = ["SQUARE_TURNS", "Rings", "cell_symmetries", "find_rings", "symmetry_turns", "uniform_grid"]


_SIGNS = [(a, b) for a in (1, -1) for b in (1, -1)]
SQUARE_TURNS = np.array(
    [[[a, 0], [0, b]] for a, b in _SIGNS] + [[[0, b], [a, 0]] for a, b in _SIGNS], dtype=np.float32
)
"""The symmetries of a square as matrices for (x, y), the identity first, ``(8, 2, 2)``."""


@dataclass(frozen=True)
class Rings:
    """Cells of one layer that a turn or a mirror image exchanges.

    Rings are numbered layer by layer, inside of a layer by radius; every layer has as many.

    Attributes:
        ring: Ring of every cell, ``(n_cells,)`` int64.
        layer: Layer of every ring, ``(n_rings,)``.
        radius: Mean distance of a ring's cells from the axis [mm], ``(n_rings,)``.
        size: Cells of every ring, ``(n_rings,)``.
        cells: Cells of every ring, ``(n_rings, largest size)``, -1 where there are fewer.
    """

    ring: NDArray[np.int64]
    layer: NDArray[np.int64]
    radius: NDArray[np.float64]
    size: NDArray[np.int64]
    cells: NDArray[np.int64]

    @property
    def per_layer(self) -> int:
        """Rings of one layer."""
        return len(self.layer) // (int(self.layer[-1]) + 1)


def uniform_grid(geometry: Geometry) -> Grid:
    """The grid that all layers have.

    Raises:
        GeometryError: The layers' grids differ.
    """
    if not geometry.is_uniform:
        what, got = f"geometry {shown(geometry.name)}", "layers with different grids"
        raise GeometryError(bad(what, got=got, expected="the same grid in every layer"))
    return geometry.layers[0].grid


def find_rings(geometry: Geometry) -> Rings:
    """The rings of a geometry: cells of one r, or of one square's absolute x and y.

    Raises:
        GeometryError: The layers' grids differ, or a box grid is not a centred square.
    """
    local = _ring_of_cell(uniform_grid(geometry))
    per_layer, layers = int(local.max()) + 1, geometry.n_layers
    ring = (np.arange(layers)[:, None] * per_layer + local).ravel()
    size = np.bincount(ring)
    radius = np.bincount(ring, weights=_radii(geometry)) / size
    order = np.argsort(ring, kind="stable")
    cells = np.full((len(size), size.max()), -1)
    place = np.arange(len(ring)) - np.repeat(np.cumsum(size) - size, size)
    cells[ring[order], place] = order
    return Rings(ring, np.repeat(np.arange(layers), per_layer), radius, size, cells)


def cell_symmetries(geometry: Geometry) -> NDArray[np.int32]:
    """Permutations of the cells that turn and mirror a calorimeter into itself, ``(S, n_cells)``.

    Row s tells where every cell goes: 8 symmetries of a square, 2 n_alpha of rings; the identity,
    which comes first, alone when the grids have none or differ.
    """
    if not geometry.is_uniform:
        return np.arange(geometry.n_cells, dtype=np.int32)[None]
    grid = geometry.layers[0].grid
    maps = _polar_maps(grid) if isinstance(grid, PolarGrid) else _box_maps(grid)
    first = np.arange(geometry.n_layers)[:, None] * grid.n_cells
    everywhere = (first + maps[:, None]).reshape(len(maps), -1)
    return everywhere.astype(np.int32)


def symmetry_turns(geometry: Geometry) -> NDArray[np.float32]:
    """What the symmetries of ``cell_symmetries`` do to (x, y), in their order: ``(S, 2, 2)``."""
    grid = geometry.layers[0].grid
    turns = np.eye(2, dtype=np.float32)[None]
    if geometry.is_uniform and isinstance(grid, PolarGrid):
        turns = _polar_turns(grid.n_alpha).astype(np.float32)
    elif geometry.is_uniform and isinstance(grid, BoxGrid) and _is_square(grid):
        turns = SQUARE_TURNS
    return turns


def _radii(geometry: Geometry) -> NDArray[np.float64]:
    radii: NDArray[np.float64] = np.linalg.norm(geometry.cell_positions[:, :2].astype(np.float64), axis=1)
    return radii


def _ring_of_cell(grid: Grid) -> NDArray[np.int64]:
    if isinstance(grid, PolarGrid):
        return np.tile(np.arange(grid.n_r), grid.n_alpha)
    if not _is_square(grid):
        expected = "as many cells of the same size in x as in y, centred at the axis"
        raise GeometryError(bad("box grid", got=f"{grid.shape} at {grid.centre}", expected=expected))
    steps = np.abs(2 * np.indices(grid.shape).reshape(2, -1) + 1 - grid.nx)
    far, near = steps.max(axis=0), steps.min(axis=0)
    kinds, ring = np.unique((far**2 + near**2) * grid.nx + near, return_inverse=True)
    del kinds  # sorted by radius: that numbers the rings
    return ring.astype(np.int64)


def _is_square(grid: BoxGrid) -> bool:
    return grid.nx == grid.ny and grid.pitch[0] == grid.pitch[1] and grid.centre == (0.0, 0.0)


def _polar_maps(grid: PolarGrid) -> NDArray[np.int64]:
    alpha, ring = np.indices(grid.shape)
    turns = [(sign * alpha + shift) % grid.n_alpha for sign in (1, -1) for shift in range(grid.n_alpha)]
    return np.stack([(turn * grid.n_r + ring).ravel() for turn in turns])


def _polar_turns(n_alpha: int) -> NDArray[np.float64]:
    # a mirrored cell alpha goes to shift - alpha: the edge at angle 0 goes to that of shift + 1
    steps = np.arange(n_alpha + 1) * (2 * np.pi / n_alpha)
    cosine, sine = np.cos(steps), np.sin(steps)
    turned = np.stack([cosine, -sine, sine, cosine], axis=-1)[:-1]
    mirrored = np.stack([cosine, sine, sine, -cosine], axis=-1)[1:]
    return np.concatenate([turned, mirrored]).reshape(-1, 2, 2)


def _box_maps(grid: BoxGrid) -> NDArray[np.int64]:
    if not _is_square(grid):
        return np.arange(grid.n_cells)[None]
    x, y = np.indices(grid.shape)
    last = grid.nx - 1
    sides = [(a, b) for a in (x, last - x) for b in (y, last - y)]
    return np.stack([(a * grid.ny + b).ravel() for a, b in (*sides, *((b, a) for a, b in sides))])
