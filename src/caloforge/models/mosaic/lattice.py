"""The lateral structure of a layer: sectors round the axis, rings of blocks, blocks of cells."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from caloforge.errors import GeometryError, bad
from caloforge.geometry import BoxGrid, PolarGrid

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from caloforge.geometry import Geometry

__all__ = ["Block", "BoxLattice", "Lattice", "PolarLattice", "Tree", "blocks_of", "lattice_of"]

MOST_CELLS = 16
"""Cells of a block: its pattern is kept in as many bits."""

_SIDE = 3  # cells of a block in a box
_WIDEST = 5  # angles of a sector
_HEIGHTS = (1, 1, 1, 2, 4)  # rings of the read-out in a block, from the axis outwards


@dataclass(frozen=True)
class Block:
    """Cells of one sector that are drawn together, at whole-number places of the sector's own frame.

    Attributes:
        place: Of the block among the blocks.
        cells: Places of its cells.
    """

    place: tuple[int, int]
    cells: tuple[tuple[int, int], ...]

    @property
    def shape(self) -> tuple[int, int]:
        """Of the rectangle round its cells."""
        (i0, j0), (i1, j1) = self._corners()
        return i1 - i0 + 1, j1 - j0 + 1

    def window(self, margin: int) -> Iterator[tuple[int, int]]:
        """Places of the rectangle round its cells, ``margin`` more on all sides, its own among them."""
        (i0, j0), (i1, j1) = self._corners()
        for i in range(i0 - margin, i1 + margin + 1):
            for j in range(j0 - margin, j1 + margin + 1):
                yield i, j

    def _corners(self) -> tuple[tuple[int, int], tuple[int, int]]:
        i, j = zip(*self.cells, strict=True)
        return (min(i), min(j)), (max(i), max(j))


Tree = Block | tuple["Tree", "Tree"]
"""How a ring of a sector is split: into two again and again, down to blocks."""


def blocks_of(tree: Tree) -> tuple[Block, ...]:
    """The blocks of a tree, in order."""
    if isinstance(tree, Block):
        return (tree,)
    return blocks_of(tree[0]) + blocks_of(tree[1])


class Lattice(ABC):
    """Sectors that look alike, each with the same rings, in frames of their own.

    Attributes:
        sectors: How many.
        rings: Their trees of blocks, from the axis outwards; the first holds the axis.
        cells: Cells of a layer.
    """

    sectors: int
    rings: tuple[Tree, ...]
    cells: int

    @abstractmethod
    def find(self, sector: int, i: int, j: int) -> int:
        """The cell of a layer at a place of a sector's frame, perhaps of another sector; -1 outside."""

    @abstractmethod
    def block_at(self, sector: int, i: int, j: int) -> tuple[int, Block] | None:
        """The sector and the block at a place among the blocks, perhaps of another sector."""

    def ring_of(self, block: Block) -> int:
        """The ring that a block belongs to."""
        return next(r for r, tree in enumerate(self.rings) if block in blocks_of(tree))

    def sector_of_cells(self) -> NDArray[np.int64]:
        """The sector of every cell of a layer, ``(cells,)``."""
        sector = np.empty(self.cells, np.int64)
        for q in range(self.sectors):
            for tree in self.rings:
                for block in blocks_of(tree):
                    sector[[self.find(q, *cell) for cell in block.cells]] = q
        return sector

    def turns_of_sectors(self, turns: NDArray[np.integer]) -> NDArray[np.int64]:
        """What symmetries of a layer do to its sectors.

        Args:
            turns: Where they take every cell, ``(S, cells)``.

        Returns:
            Where they take every sector, ``(S', sectors)``: of those alone that take sectors to sectors.
        """
        sector = self.sector_of_cells()
        order = np.argsort(sector, kind="stable")
        after = sector[turns][:, order].reshape(len(turns), self.sectors, -1)
        whole = (after == after[:, :, :1]).all(axis=(1, 2))
        return np.unique(after[whole, :, 0], axis=0)


class BoxLattice(Lattice):
    """Square cells, an even number each way, the axis at the corner of four: quadrants are sectors.

    In a quadrant's frame i and j count the cells outwards along x and y. Blocks have 3 x 3 cells but for
    the cell at the axis, which is a ring of its own. Rings are L-shaped: one block, three, five, and
    all the rest.
    """

    sectors = 4

    def __init__(self, grid: BoxGrid) -> None:
        self._half = grid.nx // 2
        self.cells = grid.n_cells
        self._blocks = -(-self._half // _SIDE)
        self._known: dict[tuple[int, int], Block] = {}
        self.rings = tuple(self._rings())

    def _block(self, place: tuple[int, int]) -> Block:
        if place not in self._known:
            self._known[place] = self._new_block(place)
        return self._known[place]

    def _new_block(self, place: tuple[int, int]) -> Block:
        low, most = (_SIDE * place[0], _SIDE * place[1]), self._half
        cells = [(low[0] + i, low[1] + j) for i in range(_SIDE) for j in range(_SIDE)]
        return Block(place, tuple(c for c in cells if c != (0, 0) and max(c) < most))

    def _rings(self) -> Iterator[Tree]:
        yield Block((-1, -1), ((0, 0),))
        yield self._block((0, 0))
        for ring in range(1, min(3, self._blocks)):
            yield self._shell(ring, ring + 1)
        if self._blocks > 3:
            yield self._shell(3, self._blocks)

    def _shell(self, first: int, stop: int) -> Tree:
        """Both sides against the corner, then one against the other."""
        side = [(i, j) for i in range(first, stop) for j in range(first)]
        corner = [(i, j) for i in range(first, stop) for j in range(first, stop)]
        sides = (self._halved(side), self._halved([(j, i) for i, j in side]))
        return sides, self._halved(corner)

    def _halved(self, places: list[tuple[int, int]]) -> Tree:
        if len(places) == 1:
            return self._block(places[0])
        middle = (len(places) + 1) // 2
        return self._halved(places[:middle]), self._halved(places[middle:])

    def find(self, sector: int, i: int, j: int) -> int:
        """As of ``Lattice``: negative places lie beyond the axis."""
        half = self._half
        if max(i, j) >= half or min(i, j) < -half:
            return -1
        x = half + i if sector & 1 else half - 1 - i
        y = half + j if sector & 2 else half - 1 - j
        return x * 2 * half + y

    def block_at(self, sector: int, i: int, j: int) -> tuple[int, Block] | None:
        """As of ``Lattice``."""
        if i < 0:
            i, sector = -1 - i, sector ^ 1
        if j < 0:
            j, sector = -1 - j, sector ^ 2
        return (sector, self._block((i, j))) if max(i, j) < self._blocks else None


class PolarLattice(Lattice):
    """Rings cut into equal angles: sectors are equal parts of the angle, blocks reach over all of a sector.

    In a sector's frame i counts the read-out's rings outwards, j the angles.
    """

    def __init__(self, grid: PolarGrid) -> None:
        self._rows, self._angles, self.cells = grid.n_r, grid.n_alpha, grid.n_cells
        self._width = max(d for d in range(1, _WIDEST + 1) if grid.n_alpha % d == 0)
        self.sectors = grid.n_alpha // self._width
        self.rings = tuple(self._rings())

    def _rings(self) -> Iterator[Block]:
        most, row = MOST_CELLS // self._width, 0
        for number in range(self._rows):
            rows = range(row, min(row + min(_HEIGHTS[min(number, 4)], most), self._rows))
            if rows:
                yield Block((number, 0), tuple((i, j) for i in rows for j in range(self._width)))
            row = rows.stop

    def find(self, sector: int, i: int, j: int) -> int:
        """As of ``Lattice``."""
        if not 0 <= i < self._rows:
            return -1
        return (sector * self._width + j) % self._angles * self._rows + i

    def block_at(self, sector: int, i: int, j: int) -> tuple[int, Block] | None:
        """As of ``Lattice``."""
        if not 0 <= i < len(self.rings):
            return None
        block = self.rings[i]
        assert isinstance(block, Block)  # for the type checker: rings are not split
        return (sector + j) % self.sectors, block


def lattice_of(geometry: Geometry) -> Lattice:
    """The lateral structure of a read-out's layers.

    Raises:
        GeometryError: Layers differ, or cells are neither rings cut into angles nor squares round the axis.
    """
    grid = geometry.layers[0].grid
    if geometry.is_uniform and isinstance(grid, PolarGrid):
        return PolarLattice(grid)
    if geometry.is_uniform and isinstance(grid, BoxGrid) and _fits(grid):
        return BoxLattice(grid)
    layers = _shape(grid) if geometry.is_uniform else "cells that differ from layer to layer"
    got = f"{geometry.name}, whose layers have {layers}"
    expected = (
        f"equal layers of rings, or of square cells, {2 * _SIDE} or more and an even number each way, "
        "with the axis in the middle"
    )
    raise GeometryError(bad("the read-out for mosaic", got=got, expected=expected, fix="take another model"))


def _shape(grid: BoxGrid | PolarGrid) -> str:
    if isinstance(grid, BoxGrid):
        return f"{grid.nx} x {grid.ny} cells of {grid.pitch[0]:g} x {grid.pitch[1]:g} mm"
    return f"{grid.n_cells} cells"


def _fits(grid: BoxGrid) -> bool:
    square = grid.nx == grid.ny and grid.pitch[0] == grid.pitch[1] and grid.centre == (0.0, 0.0)
    return square and grid.nx % 2 == 0 and grid.nx >= 2 * _SIDE
