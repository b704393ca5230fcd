"""What the engine runs: the nodes of a shower, and the steps that share them out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["CONSTANTS", "COPY", "PATTERN", "SPLIT", "SUM", "Program"]

SPLIT, PATTERN, COPY, SUM = 0, 1, 2, 3
"""Kinds of steps: a node into two, a node into cells, a node that is a cell, a node that others add up to.

A sum draws nothing: it is there for contexts."""

CONSTANTS = 512
"""Codes of the numbers 0, 1, ... that contexts can point to."""


@dataclass(frozen=True, eq=False)  # one program is one plan: what is derived from it is kept
class Program:
    """Nodes and steps for one read-out.

    A *node* is a set of cells of some layers, with hits ``n`` and energy above threshold ``x``
    (energy minus threshold times hits). A *step* shares out its parent to its children. Steps run
    in order; those whose parent has no hits are passed over. A context is a list of places in the
    *codes* of a shower: energies of all nodes, then hits of all nodes, then conditions, then
    the constants.

    Attributes:
        nodes: How many; node 0 stays empty.
        conditions: How many numbers describe the incident particle; the energy is the first.
        kind: ``SPLIT``, ``PATTERN``, ``COPY`` or ``SUM``, ``(T,)`` uint8.
        parent: Nodes, ``(T,)`` int32.
        exact: Up to so many hits of the parent a split draws hits themselves, above it their share,
            ``(T,)`` int32.
        few: Table for parents of up to ``exact`` hits, ``(T,)`` int32; -1 for ``COPY`` and ``SUM``.
        many: Table for the others, ``(T,)`` int32; patterns have only ``few``.
        child: Nodes of all steps on end, int32.
        child_start: Where a step's begin, ``(T + 1,)`` int32.
        context: Places of all steps on end, int32.
        context_start: Where a step's begin, ``(T + 1,)`` int32.
        capacity: Cells of every node, ``(nodes,)`` int32.
        root: The nodes that are drawn first, ``(R,)`` int32.
        cell: The node of every cell of the read-out, ``(n_cells,)`` int32.
        threshold: Of the cells [MeV].
    """

    nodes: int
    conditions: int
    kind: NDArray[np.uint8]
    parent: NDArray[np.int32]
    exact: NDArray[np.int32]
    few: NDArray[np.int32]
    many: NDArray[np.int32]
    child: NDArray[np.int32]
    child_start: NDArray[np.int32]
    context: NDArray[np.int32]
    context_start: NDArray[np.int32]
    capacity: NDArray[np.int32]
    root: NDArray[np.int32]
    cell: NDArray[np.int32]
    threshold: float

    @property
    def steps(self) -> int:
        """How many there are."""
        return len(self.kind)

    @property
    def places(self) -> int:
        """Length of a shower's codes."""
        return 2 * self.nodes + self.conditions + CONSTANTS
