"""The numbers of a shower's nodes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from caloforge.models.mosaic.intervals import Intervals
from caloforge.models.mosaic.lattice import Block, Lattice, Tree, lattice_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from caloforge.geometry import Geometry
    from caloforge.models.mosaic.intervals import Interval

__all__ = ["NOWHERE", "Nodes"]

NOWHERE = 0
"""The node that stands for all outside of the read-out: it stays empty."""


class Nodes:
    """Which number every set of cells has.

    There are *columns* (a ring of a sector over an interval of layers), their sums over sectors and over
    all, the parts of rings in single layers down to blocks, and cells.
    """

    def __init__(self, geometry: Geometry, *, root_layers: int) -> None:
        self.lattice: Lattice = lattice_of(geometry)
        self.intervals = Intervals.of(geometry, longest=root_layers)
        self.layers = geometry.n_layers
        self.rings, self.sectors = len(self.lattice.rings), self.lattice.sectors
        self._parts = {part: i for i, part in enumerate(self._inner())}
        count = len(self.intervals.all)
        self._columns = 1
        self._sums = self._columns + count * self.rings * self.sectors
        self._inside = self._sums + count * (self.rings + 1)
        self._cells = self._inside + self.layers * self.sectors * len(self._parts)
        self.count = self._cells + self.layers * self.lattice.cells

    def _inner(self) -> Iterator[Tree]:
        for tree in self.lattice.rings:
            if not isinstance(tree, Block):
                yield from _below(tree)

    def column(self, interval: Interval | None, ring: int, sector: int) -> int:
        """A ring of a sector over an interval."""
        if interval is None:
            return NOWHERE
        return self._columns + (interval.number * self.rings + ring) * self.sectors + sector

    def total(self, interval: Interval | None, ring: int | None = None) -> int:
        """A ring, or all, of an interval."""
        if interval is None:
            return NOWHERE
        return self._sums + interval.number * (self.rings + 1) + (self.rings if ring is None else ring)

    def in_layer(self, layer: int, ring: int, sector: int) -> int:
        """A ring of a sector in one layer."""
        return self.column(self._interval(layer), ring, sector)

    def _interval(self, layer: int) -> Interval | None:
        return self.intervals.layer[layer] if 0 <= layer < self.layers else None

    def part(self, layer: int, sector: int, tree: Tree) -> int:
        """A part of a ring in one layer: all of it, or what its splits made."""
        if not 0 <= layer < self.layers:
            return NOWHERE
        if tree in self.lattice.rings:
            return self.in_layer(layer, self.lattice.rings.index(tree), sector)
        return self._inside + (layer * self.sectors + sector) * len(self._parts) + self._parts[tree]

    def block(self, layer: int, sector: int, i: int, j: int) -> int:
        """The block at a place of a sector's frame, perhaps of another sector."""
        found = self.lattice.block_at(sector, i, j)
        return NOWHERE if found is None else self.part(layer, *found)

    def cell(self, layer: int, sector: int, i: int, j: int) -> int:
        """The cell at a place of a sector's frame, perhaps of another sector."""
        found = self.lattice.find(sector, i, j)
        if found < 0 or not 0 <= layer < self.layers:
            return NOWHERE
        return self._cells + layer * self.lattice.cells + found

    def cells(self) -> NDArray[np.int32]:
        """The nodes of all cells of the read-out, in its order."""
        return np.arange(self._cells, self.count, dtype=np.int32)

    def roots(self) -> NDArray[np.int32]:
        """The columns that are drawn first, by interval, ring, sector."""
        each = [
            self.column(interval, ring, sector)
            for interval in self.intervals.roots
            for ring in range(self.rings)
            for sector in range(self.sectors)
        ]
        return np.array(each, np.int32)


def _below(tree: tuple[Tree, Tree]) -> Iterator[Tree]:
    for part in tree:
        yield part
        if not isinstance(part, Block):
            yield from _below(part)
