"""Trees in the order of their file: tree after tree, breadth first, so that children need no pointers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from caloforge.errors import FormatError
from caloforge.models.mosaic.program import COPY, PATTERN, SPLIT
from caloforge.models.mosaic.tables import BUCKETS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from caloforge.models.mosaic.program import Program
    from caloforge.models.mosaic.tables import Tables

__all__ = ["ANGLE", "HITS", "PLACES", "RATIO", "Layout", "check_tables", "kids", "tree_uses"]

HITS, ANGLE, RATIO, PLACES = 1, 2, 4, 8
"""What a tree's donors are asked for, bit by bit: split hits, angle, ratio, pattern with shares."""


@dataclass(frozen=True, eq=False)
class Layout:
    """Where the nodes of tables stand in their file.

    Attributes:
        root: First node of every tree in the tables, rising, ``(T,)``.
        size: Nodes of every tree, ``(T,)``.
        node: The nodes in the order of the file, ``(V,)``.
        tree: The tree of each, ``(V,)``.
    """

    root: NDArray[np.int64]
    size: NDArray[np.int64]
    node: NDArray[np.int64]
    tree: NDArray[np.int64]

    @classmethod
    def of(cls, tables: Tables) -> Layout:
        """The layout of all nodes that can be reached."""
        root = np.unique(tables.roots[tables.roots >= 0]).astype(np.int64)
        nodes, trees = _levels(tables, root)
        order = np.argsort(trees, kind="stable")
        return cls(root, np.bincount(trees, minlength=len(root)), nodes[order], trees[order])

    def tree_of(self, roots: NDArray[np.int32]) -> NDArray[np.int32]:
        """The number of every tree, -1 where there is none, ``(K, BUCKETS)``."""
        found = np.searchsorted(self.root, roots)
        return np.where(roots < 0, -1, found).astype(np.int32)


def _levels(tables: Tables, root: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Nodes and their trees, level by level."""
    node, tree = root, np.arange(len(root))
    nodes, trees = [node], [tree]
    while len(node):
        inner = tables.feature[node] >= 0
        first = tables.kid[node[inner]].astype(np.int64)
        node, tree = np.stack([first, first + 1], axis=1).ravel(), np.repeat(tree[inner], 2)
        nodes.append(node)
        trees.append(tree)
    return np.concatenate(nodes), np.concatenate(trees)


def kids(inner: NDArray[np.bool_], size: NDArray[np.int64]) -> NDArray[np.int32]:
    """First children of inner nodes in the order of the file, 0 for leaves.

    Args:
        inner: Which nodes have children, ``(V,)``.
        size: Nodes of every tree, ``(T,)``.
    """
    start = np.cumsum(size) - size
    before: NDArray[np.int64] = np.cumsum(inner, dtype=np.int64) - inner
    rank = before - np.repeat(before[start], size)
    return np.where(inner, np.repeat(start, size) + 1 + 2 * rank, 0).astype(np.int32)


def tree_uses(program: Program, trees: NDArray[np.int32], count: int) -> NDArray[np.uint8]:
    """What the donors of every tree are asked for, ``(count,)``.

    Args:
        program: That the tables belong to.
        trees: The tree of every table and number of hits, -1 where there is none, ``(K, BUCKETS)``.
        count: Of trees.
    """
    table, bucket = np.nonzero(trees >= 0)
    asked = _table_uses(program, len(trees))[table, bucket]
    uses = np.zeros(count, np.uint8)
    np.bitwise_or.at(uses, trees[table, bucket], asked)
    return uses


def _table_uses(program: Program, tables: int) -> NDArray[np.uint8]:
    """The same by table and number of hits: what no parent can have is not asked for."""
    last, bucket = BUCKETS - 1, np.arange(BUCKETS)
    uses = np.zeros((tables, BUCKETS), np.uint8)
    room = np.minimum(program.capacity[program.parent], last)[:, None]
    exact = program.exact[:, None]
    few = (bucket >= 1) & (bucket <= np.minimum(exact, room))
    many = (bucket > np.minimum(exact, last - 1)) & (bucket <= room)  # the last one stands for all above
    split, pattern = program.kind == SPLIT, program.kind == PATTERN
    np.bitwise_or.at(uses, program.few[split], np.where(few[split], HITS | RATIO, 0).astype(np.uint8))
    np.bitwise_or.at(uses, program.many[split], np.where(many[split], ANGLE | RATIO, 0).astype(np.uint8))
    np.bitwise_or.at(uses, program.few[pattern], np.where(bucket >= 1, PLACES, 0).astype(np.uint8)[None])
    return uses


def check_tables(tables: Tables, program: Program) -> None:
    """Make sure that the trees and trends of tables look at what the steps of a program tell them.

    Raises:
        FormatError: They were fitted for other steps.
    """
    if not _fits(tables, program):
        msg = "The fitted tables belong to another version of mosaic: fit the model again."
        raise FormatError(msg)


def _fits(tables: Tables, program: Program) -> bool:
    table = np.stack([program.few, program.many])[:, program.kind < COPY]
    told = np.diff(program.context_start)[program.kind < COPY]
    trend = np.diff(tables.weights_start)
    if table.max(initial=-1) >= len(tables.roots):
        return False
    split = program.kind[program.kind < COPY] == SPLIT
    if (trend[table] != 2 * told)[:, split].any():
        return False
    known = np.zeros(len(tables.roots), np.int64)
    known[table] = told
    layout = Layout.of(tables)
    of_tree = np.zeros(len(layout.root), np.int64)
    trees = layout.tree_of(tables.roots)
    of_tree[trees[trees >= 0]] = known[np.nonzero(trees >= 0)[0]]
    return bool((tables.feature[layout.node] < of_tree[layout.tree]).all())
