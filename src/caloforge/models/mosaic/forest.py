"""The trees of one table: one for every number of hits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from caloforge.models.mosaic import native
from caloforge.models.mosaic.runs import firsts
from caloforge.models.mosaic.tables import BUCKETS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from caloforge.models.mosaic.samples import Tree

__all__ = ["Forest", "grow_forest", "single_leaf"]


@dataclass(frozen=True)
class Forest:
    """Trees on end; indices count from their own start.

    Attributes:
        roots: The tree of every number of hits, ``(BUCKETS,)``; and the others as of ``Tables``.
        order: The rows that they were grown on, leaf after leaf.
    """

    roots: NDArray[np.int32]
    feature: NDArray[np.int16]
    limit: NDArray[np.int16]
    kid: NDArray[np.int32]
    start: NDArray[np.int32]
    count: NDArray[np.int32]
    order: NDArray[np.int64]

    def leaves(self, context: NDArray[np.int16], buckets: NDArray[np.integer]) -> NDArray[np.int32]:
        """The leaves of contexts ``(n, L)`` of some buckets, ``(n,)``."""
        node: NDArray[np.int32] = self.roots[np.minimum(buckets, BUCKETS - 1)]
        left = np.arange(len(node))
        while len(left):
            left = left[self.feature[node[left]] >= 0]
            at = node[left]
            node[left] = self.kid[at] + (context[left, self.feature[at]] > self.limit[at])
        return node


def grow_forest(
    context: NDArray[np.int16],
    targets: NDArray[np.float32],
    buckets: NDArray[np.integer],
    *,
    leaf: int,
    features: float,
    seed: int,
) -> Forest:
    """A tree for every bucket; buckets without rows get the tree of the next smaller one.

    Args:
        context: ``(n, L)``.
        targets: ``(n, K)``.
        buckets: Of the rows, ``(n,)``.
        leaf: Fewest rows of a leaf.
        features: Share of the context that a cut chooses from.
        seed: Of these choices.
    """
    known = np.unique(buckets)
    rows = [np.flatnonzero(buckets == bucket) for bucket in known]
    trees = [
        native.build_tree(context[some], targets[some], leaf=leaf, features=features, seed=seed)
        for some in rows
    ]
    return _joined(known, rows, trees)


def single_leaf() -> Forest:
    """One leaf with one row, for all numbers of hits."""
    none, one = np.zeros(1, np.int32), np.ones(1, np.int32)
    feature, limit = np.full(1, -1, np.int16), np.zeros(1, np.int16)
    return Forest(np.zeros(BUCKETS, np.int32), feature, limit, one - 1, none, one, np.zeros(1, np.int64))


def _joined(known: NDArray[np.integer], rows: Sequence[NDArray[np.int64]], trees: Sequence[Tree]) -> Forest:
    nodes = firsts([len(tree.feature) for tree in trees])[:-1]
    first_rows = firsts([len(some) for some in rows])[:-1]
    nearest = np.maximum(np.searchsorted(known, np.arange(BUCKETS), side="right") - 1, 0)
    both = list(zip(trees, nodes, first_rows, strict=True))
    return Forest(
        roots=nodes[nearest],
        feature=np.concatenate([tree.feature for tree in trees]),
        limit=np.concatenate([tree.limit for tree in trees]),
        kid=np.concatenate([np.where(t.feature < 0, 0, t.kid + node) for t, node, _ in both]).astype(
            np.int32
        ),
        start=np.concatenate([t.start + row for t, _, row in both]).astype(np.int32),
        count=np.concatenate([tree.count for tree in trees]),
        order=np.concatenate([some[tree.order] for some, tree in zip(rows, trees, strict=True)]),
    )
