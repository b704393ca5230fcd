"""One table: trees for every number of hits, and the real splits in their leaves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from caloforge.models.mosaic import native
from caloforge.models.mosaic.program import PATTERN
from caloforge.models.mosaic.splitting import fit_splits
from caloforge.models.mosaic.tables import BUCKETS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from caloforge.models.mosaic.plan import Table
    from caloforge.models.mosaic.samples import Samples

__all__ = ["Grown", "grow"]


@dataclass(frozen=True)
class Grown:
    """A fitted table by itself; indices count from its own start.

    Attributes as of ``Tables``, ``roots`` ``(BUCKETS,)`` and ``bias`` ``(2,)``; ``share_count`` are the
    shares of every donor.
    """

    roots: NDArray[np.int32]
    feature: NDArray[np.int16]
    limit: NDArray[np.int16]
    kid: NDArray[np.int32]
    start: NDArray[np.int32]
    count: NDArray[np.int32]
    weights: NDArray[np.int32]
    bias: NDArray[np.int64]
    hit_weight: int
    split_hits: NDArray[np.uint8]
    split_angle: NDArray[np.int16]
    split_ratio: NDArray[np.int16]
    pattern: NDArray[np.uint16]
    share: NDArray[np.float32]


def grow(samples: Samples, table: Table, *, leaf: int, features: float, seed: int) -> Grown:
    """Fit a table to real splits.

    Args:
        samples: They, ``n`` of them; none is right, too.
        table: What kind they are of.
        leaf: Fewest of them in a leaf.
        features: Share of the context that a cut chooses from.
        seed: Of these choices.
    """
    if not len(samples.hits):
        return _empty(table)
    if table.kind == PATTERN:
        return _grow_patterns(samples, table, leaf=leaf, features=features, seed=seed)
    return _grow_splits(samples, table, leaf=leaf, features=features, seed=seed)


def _grow_splits(samples: Samples, table: Table, *, leaf: int, features: float, seed: int) -> Grown:
    splits = fit_splits(samples, few=table.few, rng=np.random.default_rng(seed))
    buckets = samples.hits if table.few else np.full(len(samples.hits), BUCKETS - 1)
    forest = _Forest.grown(samples.context, splits.targets, buckets, leaf=leaf, features=features, seed=seed)
    rows = forest.order
    return Grown(
        *forest.arrays,
        weights=np.concatenate([splits.hit_trend.weight, splits.energy_trend.weight]),
        bias=np.array([splits.hit_trend.bias, splits.energy_trend.bias], np.int64),
        hit_weight=splits.hit_weight,
        split_hits=splits.first[rows],
        split_angle=splits.angle[rows],
        split_ratio=splits.ratio[rows],
        pattern=np.zeros(len(rows), np.uint16),
        share=np.zeros(0, np.float32),
    )


def _grow_patterns(samples: Samples, table: Table, *, leaf: int, features: float, seed: int) -> Grown:
    hit = samples.child_hits > 0
    share = samples.child_excess / samples.child_excess.sum(axis=1, keepdims=True)
    targets = np.concatenate([0.5 * hit, np.sqrt(share)], axis=1).astype(np.float32)
    forest = _Forest.grown(samples.context, targets, samples.hits, leaf=leaf, features=features, seed=seed)
    rows = forest.order
    none = np.zeros(len(rows), np.int16)
    return Grown(
        *forest.arrays,
        weights=np.zeros(2 * table.context, np.int32),
        bias=np.zeros(2, np.int64),
        hit_weight=0,
        split_hits=np.zeros(len(rows), np.uint8),
        split_angle=none,
        split_ratio=none,
        pattern=(hit[rows] << np.arange(table.children)).sum(axis=1).astype(np.uint16),
        share=share[rows][hit[rows]].astype(np.float32),
    )


def _empty(table: Table) -> Grown:
    """A table that no real shower came to: all hits and energy go to the first child."""
    one, none = np.zeros(1, np.int32), np.zeros(1, np.int16)
    return Grown(
        roots=np.zeros(BUCKETS, np.int32),
        feature=np.full(1, -1, np.int16),
        limit=none,
        kid=one,
        start=one,
        count=np.ones(1, np.int32),
        weights=np.zeros(2 * table.context, np.int32),
        bias=np.zeros(2, np.int64),
        hit_weight=0,
        split_hits=np.full(1, 255, np.uint8),
        split_angle=none,
        split_ratio=none,
        pattern=np.full(1, table.kind == PATTERN, np.uint16),
        share=np.ones(int(table.kind == PATTERN), np.float32),
    )


class _Forest:
    """The trees of a table on end."""

    def __init__(self, roots: NDArray[np.int32]) -> None:
        self.roots = roots
        self._columns: list[tuple[NDArray[np.generic], ...]] = []
        self._orders: list[NDArray[np.int64]] = []
        self._nodes = self._rows = 0

    @classmethod
    def grown(
        cls,
        context: NDArray[np.int16],
        targets: NDArray[np.float32],
        buckets: NDArray[np.integer],
        *,
        leaf: int,
        features: float,
        seed: int,
    ) -> _Forest:
        """A tree for every bucket; buckets without rows get the tree of the next smaller one."""
        forest = cls(np.full(BUCKETS, -1, np.int32))
        for bucket in np.unique(buckets):
            rows = np.flatnonzero(buckets == bucket)
            forest.roots[bucket] = forest._nodes
            forest._add(
                native.build_tree(context[rows], targets[rows], leaf=leaf, features=features, seed=seed), rows
            )
        forest.roots = _filled(forest.roots)
        return forest

    def _add(self, tree: native.Tree, rows: NDArray[np.int64]) -> None:
        kid = np.where(tree.feature < 0, 0, tree.kid + self._nodes).astype(np.int32)
        self._columns.append((tree.feature, tree.limit, kid, tree.start + self._rows, tree.count))
        self._orders.append(rows[tree.order])
        self._nodes += len(tree.feature)
        self._rows += len(rows)

    @property
    def order(self) -> NDArray[np.int64]:
        """The rows, leaf after leaf."""
        return np.concatenate(self._orders)

    @property
    def arrays(self) -> tuple[NDArray[np.generic], ...]:
        """Roots, and the columns of all nodes, as of ``Grown``."""
        return (self.roots, *(np.concatenate(column) for column in zip(*self._columns, strict=True)))


def _filled(roots: NDArray[np.int32]) -> NDArray[np.int32]:
    known = np.flatnonzero(roots >= 0)
    nearest = np.maximum(np.searchsorted(known, np.arange(len(roots)), side="right") - 1, 0)
    filled: NDArray[np.int32] = roots[known[nearest]]
    return filled
