"""Steps of a program in waves: those of a wave do not see each other, so that they run at once."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from caloforge.models.mosaic.program import SUM

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from caloforge.models.mosaic.program import Program

__all__ = ["Group", "Wave", "waves"]


@dataclass(frozen=True, eq=False)
class Group:
    """``G`` steps of one kind; rows are filled up with node 0, which is empty.

    Attributes:
        kind: ``SPLIT``, ``PATTERN``, ``COPY`` or ``SUM``.
        step: Their numbers in the program, ``(G,)``.
        parent: Nodes, ``(G,)``.
        exact: Most hits that go to the tables ``few``, ``(G,)``.
        few: Tables, ``(G,)``.
        many: Tables, ``(G,)``.
        child: Nodes, ``(G, M)``.
        children: How many of them count, ``(G,)``.
        context: Places, ``(G, L)``.
        length: How many of them count, ``(G,)``.
    """

    kind: int
    step: NDArray[np.int64]
    parent: NDArray[np.int32]
    exact: NDArray[np.int32]
    few: NDArray[np.int32]
    many: NDArray[np.int32]
    child: NDArray[np.int32]
    children: NDArray[np.int32]
    context: NDArray[np.int32]
    length: NDArray[np.int32]


Wave = tuple[Group, ...]


@lru_cache(maxsize=8)
def waves(program: Program) -> tuple[Wave, ...]:
    """All steps, each as early as those before it allow.

    A step comes after those that write what it reads, and not before those that read, still empty,
    what it writes. Within a wave everything is read before anything is written.
    """
    level = _levels(program)
    order = np.argsort(level, kind="stable")
    parts = np.split(order, np.flatnonzero(np.diff(level[order])) + 1)
    return tuple(_wave(program, part) for part in parts if len(part))


def _wave(program: Program, steps: NDArray[np.int64]) -> Wave:
    kinds = program.kind[steps]
    return tuple(_group(program, int(kind), steps[kinds == kind]) for kind in np.unique(kinds))


def _group(program: Program, kind: int, steps: NDArray[np.int64]) -> Group:
    child, children = _rows(program.child, program.child_start, steps)
    context, length = _rows(program.context, program.context_start, steps)
    return Group(
        kind=kind,
        step=steps,
        parent=program.parent[steps],
        exact=program.exact[steps],
        few=program.few[steps],
        many=program.many[steps],
        child=child,
        children=children,
        context=context,
        length=length,
    )


def _levels(program: Program) -> NDArray[np.int64]:
    """The wave of every step, ``(T,)``."""
    written = np.full(program.nodes, -1)
    seen = np.zeros(program.nodes, dtype=np.int64)
    level = np.zeros(program.steps, dtype=np.int64)
    for step in range(program.steps):
        read, put = _nodes(program, step)
        level[step] = max(written[read].max() + 1, seen[put].max())
        seen[read] = np.maximum(seen[read], level[step])
        written[put] = level[step]
    return level


def _nodes(program: Program, step: int) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """The nodes that a step looks at, its parent and its context, and those that it puts, its children."""
    parent = program.parent[step : step + 1]
    child = program.child[program.child_start[step] : program.child_start[step + 1]]
    if program.kind[step] == SUM:
        return child, parent
    places = program.context[program.context_start[step] : program.context_start[step + 1]]
    context = places[places < 2 * program.nodes] % program.nodes
    return np.concatenate([context, parent]), child


def _rows(
    values: NDArray[np.int32], start: NDArray[np.int32], steps: NDArray[np.int64]
) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Lists of several lengths as rows filled up with 0, and their lengths."""
    first, length = start[steps], start[steps + 1] - start[steps]
    column = np.arange(length.max(initial=0))
    inside = column < length[:, None]
    index = np.where(inside, first[:, None] + column, 0)
    rows = np.where(inside, values[index], 0) if len(values) else np.zeros_like(index)
    return rows.astype(np.int32), length
