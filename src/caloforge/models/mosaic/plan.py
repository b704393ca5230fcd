"""The program of splits for a read-out: what is drawn in which order, and what every draw looks at."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import product
from typing import TYPE_CHECKING

import numpy as np

from caloforge.models.mosaic.intervals import ROOT_LAYERS
from caloforge.models.mosaic.lattice import Block, blocks_of
from caloforge.models.mosaic.nodes import Nodes
from caloforge.models.mosaic.program import COPY, PATTERN, SPLIT, SUM, Program
from caloforge.models.mosaic.runs import firsts
from caloforge.models.mosaic.touching import near

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from caloforge.geometry import Geometry
    from caloforge.models.mosaic.intervals import Interval
    from caloforge.models.mosaic.lattice import Tree

__all__ = ["MOST_EXACT", "Plan", "Table", "build_plan"]

FEW = 8
"""Up to so many hits a split draws the hits themselves."""

MOST_EXACT = 22
"""The same where every cell of a column may be hit: near the axis."""

_APART = 3  # rings from here on share tables between blocks
_NEAR = 12  # blocks beside a part that its split looks at
_BEFORE = 4  # blocks of the layer before


@dataclass(frozen=True)
class Table:
    """What steps have in common whose splits come from one place.

    Attributes:
        name: For people.
        kind: ``SPLIT`` or ``PATTERN``.
        few: Whether hits themselves are drawn.
        context: Places that a step looks at.
        children: Of a step.
        local: Whether it serves one interval of layers only: few showers are enough.
        touch: Which places of a pattern's context are cells that touch one of its children: place, child and
            in what way, one of ``TOUCHES``.
    """

    name: str
    kind: int
    few: bool
    context: int
    children: int
    local: bool
    touch: tuple[tuple[int, int, int], ...] = ()


@dataclass(frozen=True)
class Plan:
    """A program with its tables.

    Attributes:
        program: For the engine.
        tables: In the order of their numbers.
        nodes: Numbers of the nodes.
    """

    program: Program
    tables: tuple[Table, ...]
    nodes: Nodes


def build_plan(
    geometry: Geometry, *, conditions: int = 1, leaning: bool = False, root_layers: int = ROOT_LAYERS
) -> Plan:
    """The program for a read-out.

    Args:
        geometry: Equal layers of rings, or of squares around the axis.
        conditions: Numbers that tell the incident particle, its energy first.
        leaning: Whether showers lean along x, so that sectors that share tables differ.
        root_layers: Most layers of a root node.

    Raises:
        GeometryError: As of ``lattice_of``.
    """
    planner = _Planner(Nodes(geometry, root_layers=root_layers), conditions, leaning)
    planner.depth()
    for layer in range(geometry.n_layers):
        planner.layer(layer)
    return Plan(planner.program(geometry.threshold), tuple(planner.tables.values()), planner.nodes)


@dataclass
class _Planner:
    """Steps as they are added."""

    nodes: Nodes
    conditions: int
    leaning: bool
    tables: dict[str, Table] = field(default_factory=dict)
    _numbers: dict[str, int] = field(default_factory=dict)
    _steps: list[tuple[int, int, int, int, int]] = field(default_factory=list)
    _children: list[Sequence[int]] = field(default_factory=list)
    _contexts: list[Sequence[int]] = field(default_factory=list)

    # places in the codes of a shower

    def _hits(self, nodes: Sequence[int]) -> list[int]:
        return [self.nodes.count + node for node in nodes]

    def _both(self, *nodes: int) -> list[int]:
        return [*nodes, *self._hits(nodes)]

    def _told(self, *numbers: int) -> list[int]:
        first = 2 * self.nodes.count
        constants = first + self.conditions
        return [*range(first, constants), *(constants + number for number in numbers)]

    def _which(self, ring: int, sector: int) -> list[int]:
        """The sector and the side of it, where they make a difference within a table."""
        return [sector, sector & 1] if self.leaning and ring >= _APART else []

    # steps

    def _add(self, kind: int, parent: int, children: Sequence[int], context: Sequence[int] = ()) -> None:
        self._steps.append((kind, parent, 0, -1, -1))
        self._children.append(children)
        self._contexts.append(context)

    def _draw(
        self,
        kind: int,
        names: tuple[str, str],
        parent: int,
        children: Sequence[int],
        context: Sequence[int],
        *,
        exact: int = FEW,
        local: tuple[bool, bool] = (False, False),
        touch: tuple[tuple[int, int, int], ...] = (),
    ) -> None:
        few, many = (
            self._table(Table(name, kind, not position, len(context), len(children), local[position], touch))
            for position, name in enumerate(names)
        )
        self._steps.append((kind, parent, exact, few, many))
        self._children.append(children)
        self._contexts.append(context)

    def _table(self, table: Table) -> int:
        known = self.tables.setdefault(table.name, table)
        assert known.context == table.context, table.name
        assert known.children == table.children, table.name
        assert known.touch == table.touch, table.name
        return self._numbers.setdefault(table.name, len(self._numbers))

    # layers are halved

    def depth(self) -> None:
        """Halve the layers, all rings and sectors of an interval after each other."""
        intervals = self.nodes.intervals
        for interval in intervals.roots:
            self._sum(interval)
        for level, current in enumerate(intervals.levels):
            for position, interval in enumerate(current):
                if interval in intervals.halves:
                    self._halve(level, interval, _Neighbours.of(self.nodes, current, position))

    def _sum(self, interval: Interval) -> None:
        for ring in range(self.nodes.rings):
            self._sum_ring(interval, ring)
        self._sum_rings(interval)

    def _sum_ring(self, interval: Interval, ring: int) -> None:
        nodes = self.nodes
        columns = [nodes.column(interval, ring, sector) for sector in range(nodes.sectors)]
        self._add(SUM, nodes.total(interval, ring), columns)

    def _sum_rings(self, interval: Interval) -> None:
        nodes = self.nodes
        self._add(SUM, nodes.total(interval), [nodes.total(interval, ring) for ring in range(nodes.rings)])

    def _halve(self, level: int, interval: Interval, beside: _Neighbours) -> None:
        nodes, halves = self.nodes, self.nodes.intervals.halves[interval]
        for ring, sector in product(range(nodes.rings), range(nodes.sectors)):
            names = self._halving_names(level, interval, ring, sector)
            self._draw(
                SPLIT,
                names,
                nodes.column(interval, ring, sector),
                [nodes.column(half, ring, sector) for half in halves],
                self._halving(interval, ring, sector, beside),
                exact=FEW if ring else MOST_EXACT,
                local=(not ring, True),
            )
            if sector == nodes.sectors - 1:
                for half in halves:
                    self._sum_ring(half, ring)
        for half in halves:
            self._sum_rings(half)

    def _halving_names(self, level: int, interval: Interval, ring: int, sector: int) -> tuple[str, str]:
        """Tables for few and for many hits; near the axis, where all cells may be hit, by interval."""
        where = f"{ring} layers {interval.start}-{interval.stop} sector {sector}"
        if ring:
            return f"few {ring} level {level} sector {sector}", f"many {where}"
        cells = sum(len(block.cells) for block in blocks_of(self.nodes.lattice.rings[ring]))
        few = f"few {where}"
        return few, few if cells * (interval.stop - interval.start) <= MOST_EXACT else f"many {where}"

    def _halving(self, interval: Interval, ring: int, sector: int, beside: _Neighbours) -> list[int]:
        """What a split in depth looks at: the column, those beside it, and what is halved already."""
        nodes, halves = self.nodes, self.nodes.intervals.halves[interval]
        column, total = nodes.column, nodes.total
        others = [q for q in range(nodes.sectors) if q != sector]
        context = self._both(column(interval, ring, sector))
        context += self._both(*(column(interval, ring, q) for q in others))
        context += self._both(total(interval, ring), total(interval))
        for other in (ring - 1, ring + 1):
            if 0 <= other < nodes.rings:
                context += self._both(column(interval, other, sector), total(interval, other))
        for next_one in (beside.before, beside.after):
            nearest = (column(next_one, ring, sector), total(next_one, ring), total(next_one))
            context += self._both(*nearest)
        context.append(column(beside.further_before, ring, sector))
        for far in (beside.further_before, beside.further_after):
            context += [*self._both(total(far, ring)), total(far)]
        for half, q in product(halves, range(sector)):
            context += self._both(column(half, ring, q))
        if ring > 0:
            for half in halves:
                context += self._both(total(half, ring - 1), column(half, ring - 1, sector))
        if ring > 1:
            context += [total(half, ring - 2) for half in halves]
        return context + self._told(interval.number)

    # layers are cut into blocks and cells

    def layer(self, layer: int) -> None:
        """Share out one layer, ring by ring from the axis outwards."""
        lattice = self.nodes.lattice
        for ring, tree in enumerate(lattice.rings):
            for sector in range(lattice.sectors):
                if not isinstance(tree, Block):
                    self._cut(layer, ring, sector, tree)
            for sector in range(lattice.sectors):
                for block in blocks_of(tree):
                    self._fill(layer, ring, sector, block)

    def _cut(self, layer: int, ring: int, sector: int, tree: tuple[Tree, Tree]) -> None:
        """Split a part of a ring, and what it is split into."""
        nodes = self.nodes
        where = f"{ring} {_label(tree)} sector {sector if ring < _APART else int(sector > 0)}"
        children = [nodes.part(layer, sector, part) for part in tree]
        context = self._cutting(layer, ring, sector, tree)
        parent = nodes.part(layer, sector, tree)
        self._draw(SPLIT, (f"few cut {where}", f"cut {where}"), parent, children, context)
        for part in tree:
            if not isinstance(part, Block):
                self._cut(layer, ring, sector, part)

    def _cutting(self, layer: int, ring: int, sector: int, tree: tuple[Tree, Tree]) -> list[int]:
        """What a split of a ring looks at: its parts in the layers before, what is drawn beside it."""
        nodes = self.nodes
        context = self._both(nodes.part(layer, sector, tree))
        before = [nodes.part(layer - back, sector, part) for part in tree for back in (1, 2)]
        context += self._both(*before, nodes.in_layer(layer + 1, ring, sector))
        own = blocks_of(tree)
        context += self._both(*(nodes.block(layer, sector, *place) for place in _around(own, self.nodes)))
        if ring < _APART:
            edge = [*_edge(own, inside=1)]
            context += [nodes.cell(layer, sector, *place) for place in edge]
            context += [nodes.cell(layer - 1, sector, *place) for place in _edge(own, inside=0)]
        context += [nodes.part(layer - 1, sector, block) for block in own[:_BEFORE]]
        return context + self._told(layer, *self._which(ring, sector))

    def _fill(self, layer: int, ring: int, sector: int, block: Block) -> None:
        """Draw the cells of a block."""
        nodes = self.nodes
        parent = nodes.part(layer, sector, block)
        cells = [nodes.cell(layer, sector, *cell) for cell in block.cells]
        if len(cells) == 1:
            self._add(COPY, parent, cells)
            return
        if ring < _APART:
            name = f"cells {ring} block {_label(block)} sector {sector}"
        else:
            name = f"cells {ring} sector {int(sector > 0)} of {block.shape[0]} x {block.shape[1]}"
        context, touch = self._filling(layer, ring, sector, block)
        self._draw(PATTERN, (name, name), parent, cells, context, touch=touch)

    def _filling(
        self, layer: int, ring: int, sector: int, block: Block
    ) -> tuple[list[int], tuple[tuple[int, int, int], ...]]:
        """What a pattern looks at: blocks and cells beside it, the layers before, the next one's rings.

        Returns:
            The context, and what of it touches which cell.
        """
        nodes = self.nodes
        context = self._both(nodes.part(layer, sector, block))
        context += self._both(*(nodes.block(layer, sector, *place) for place in _ring_of(block.place)))
        beyond = [ring + 1] if ring < min(_APART - 1, nodes.rings - 1) else []
        context += self._both(*(nodes.in_layer(layer, r, sector) for r in beyond))
        others = [q for q in range(nodes.sectors) if q != sector] if ring < 2 else []
        context += [nodes.in_layer(layer, r, q) for r in beyond for q in others]
        around, window, touches = near(block)
        touch = tuple((len(context) + place, child, way) for place, child, way in touches)
        context += [nodes.cell(layer, sector, *place) for place in around]
        context += [nodes.cell(layer - 1, sector, *place) for place in window]
        context += [nodes.cell(layer - 2, sector, *place) for place in block.window(0)]
        ahead = range(beyond[0] + 1) if ring < 2 and beyond else [ring]
        context += self._both(*(nodes.in_layer(layer + 1, r, sector) for r in ahead))
        context += [nodes.in_layer(layer + 1, r, q) for r in range(min(ring, 1) + 1) for q in others]
        context.append(nodes.in_layer(layer - 1, ring, sector))
        told = self._told(layer, *(max(0, p) for p in block.place), *self._which(ring, sector))
        return context + told, touch

    # the end

    def program(self, threshold: float) -> Program:
        """All steps as arrays."""
        kind, parent, exact, few, many = np.array(self._steps, np.int32).T
        return Program(
            nodes=self.nodes.count,
            conditions=self.conditions,
            kind=kind.astype(np.uint8),
            parent=np.ascontiguousarray(parent),
            exact=np.ascontiguousarray(exact),
            few=np.ascontiguousarray(few),
            many=np.ascontiguousarray(many),
            child=_joined(self._children),
            child_start=firsts([len(each) for each in self._children]),
            context=_joined(self._contexts),
            context_start=firsts([len(each) for each in self._contexts]),
            capacity=self._capacity(),
            root=self.nodes.roots(),
            cell=self.nodes.cells(),
            threshold=threshold,
        )

    def _capacity(self) -> np.ndarray[tuple[int], np.dtype[np.int32]]:
        capacity = np.zeros(self.nodes.count, np.int32)
        capacity[self.nodes.cells()] = 1
        for (kind, parent, *_), children in zip(reversed(self._steps), reversed(self._children), strict=True):
            if kind != SUM:
                capacity[parent] = capacity[list(children)].sum()
        return capacity


@dataclass(frozen=True)
class _Neighbours:
    """The intervals in front of and behind the one that is halved, the nearest that are known."""

    further_before: Interval | None
    before: Interval | None
    after: Interval | None
    further_after: Interval | None

    @classmethod
    def of(cls, nodes: Nodes, current: Sequence[Interval], position: int) -> _Neighbours:
        def at(place: int) -> Interval | None:
            return current[place] if 0 <= place < len(current) else None

        before, halves = at(position - 1), nodes.intervals.halves
        front = halves[before] if before in halves else (at(position - 2), before)
        return cls(*front, at(position + 1), at(position + 2))


def _ring_of(place: tuple[int, int]) -> Iterator[tuple[int, int]]:
    for i, j in product((-1, 0, 1), repeat=2):
        if i or j:
            yield place[0] + i, place[1] + j


def _around(own: Sequence[Block], nodes: Nodes) -> list[tuple[int, int]]:
    """Places of the blocks beside some, the nearest to the axis first."""
    mine = {block.place for block in own}
    beside = {place for block in own for place in _ring_of(block.place)} - mine
    inside = [place for place in beside if nodes.lattice.block_at(0, *place) is not None]
    return sorted(inside, key=lambda place: (max(place), place))[:_NEAR]


def _edge(own: Sequence[Block], *, inside: int) -> Iterator[tuple[int, int]]:
    """Cells along the inner border of some blocks of a ring: just inside of it, or the first of the ring."""
    first = min(max(cell) for block in own for cell in block.cells) - inside
    for j in range(first + 1 + inside):
        yield first, j
        yield j, first


def _label(tree: Tree) -> str:
    return "+".join(f"{i}.{j}" for i, j in (block.place for block in blocks_of(tree)))


def _joined(lists: Sequence[Sequence[int]]) -> np.ndarray[tuple[int], np.dtype[np.int32]]:
    return np.concatenate([np.array(each, np.int32) for each in lists])
