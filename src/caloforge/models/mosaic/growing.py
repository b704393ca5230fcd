"""One table: trees for every number of hits, and the real splits in their leaves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from caloforge.models.mosaic.forest import grow_forest, single_leaf
from caloforge.models.mosaic.program import PATTERN
from caloforge.models.mosaic.pulls import Apart, fit_pulls, no_pulls
from caloforge.models.mosaic.splitting import fit_splits
from caloforge.models.mosaic.tables import BUCKETS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from caloforge.models.mosaic.forest import Forest
    from caloforge.models.mosaic.plan import Table
    from caloforge.models.mosaic.pulls import Pulls
    from caloforge.models.mosaic.samples import Samples

__all__ = ["Grown", "grow"]


_SHARE_APART = 4  # one pattern of so many is held apart
_MOST_APART = 12_000


@dataclass(frozen=True)
class Grown:
    """A fitted table by itself; indices count from its own start.

    Attributes:
        forest: Its trees.
        weights: And the others as of ``Tables``, ``bias`` ``(2,)``.
    """

    forest: Forest
    weights: NDArray[np.int32]
    bias: NDArray[np.int64]
    hit_weight: int
    split_hits: NDArray[np.uint8]
    split_angle: NDArray[np.int16]
    split_ratio: NDArray[np.int16]
    pattern: NDArray[np.uint16]
    share: NDArray[np.float32]
    pulls: Pulls


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
    forest = grow_forest(samples.context, splits.targets, buckets, leaf=leaf, features=features, seed=seed)
    rows = forest.order
    return Grown(
        forest,
        weights=np.concatenate([splits.hit_trend.weight, splits.energy_trend.weight]),
        bias=np.array([splits.hit_trend.bias, splits.energy_trend.bias], np.int64),
        hit_weight=splits.hit_weight,
        split_hits=splits.first[rows],
        split_angle=splits.angle[rows],
        split_ratio=splits.ratio[rows],
        pattern=np.zeros(len(rows), np.uint16),
        share=np.zeros(0, np.float32),
        pulls=no_pulls(),
    )


def _grow_patterns(samples: Samples, table: Table, *, leaf: int, features: float, seed: int) -> Grown:
    rng = np.random.default_rng(seed)
    hit = samples.child_hits > 0
    share = samples.child_excess / samples.child_excess.sum(axis=1, keepdims=True)
    use, rest = _apart(len(hit), rng)
    apart = Apart(samples.context[rest], hit[rest], samples.hits[rest])
    hit, share = hit[use], share[use]
    targets = np.concatenate([0.5 * hit, np.sqrt(share)], axis=1).astype(np.float32)
    forest = grow_forest(
        samples.context[use], targets, samples.hits[use], leaf=leaf, features=features, seed=seed
    )
    pulls = fit_pulls(apart, hit, forest, table.touch, rng=rng)
    rows = forest.order
    none = np.zeros(len(rows), np.int16)
    return Grown(
        forest,
        weights=np.zeros(2 * table.context, np.int32),
        bias=np.zeros(2, np.int64),
        hit_weight=0,
        split_hits=np.zeros(len(rows), np.uint8),
        split_angle=none,
        split_ratio=none,
        pattern=(hit[rows] << np.arange(table.children)).sum(axis=1).astype(np.uint16),
        share=share[rows][hit[rows]].astype(np.float32),
        pulls=pulls,
    )


def _apart(count: int, rng: np.random.Generator) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Rows to grow trees on, and rows to fit pulls to."""
    order = rng.permutation(count)
    rest = min(count // _SHARE_APART, _MOST_APART)
    return np.sort(order[rest:]), np.sort(order[:rest])


def _empty(table: Table) -> Grown:
    """A table that no real shower came to: all hits and energy go to the first child."""
    return Grown(
        forest=single_leaf(),
        weights=np.zeros(2 * table.context, np.int32),
        bias=np.zeros(2, np.int64),
        hit_weight=0,
        split_hits=np.full(1, 255, np.uint8),
        split_angle=np.zeros(1, np.int16),
        split_ratio=np.zeros(1, np.int16),
        pattern=np.full(1, table.kind == PATTERN, np.uint16),
        share=np.ones(int(table.kind == PATTERN), np.float32),
        pulls=no_pulls(),
    )
