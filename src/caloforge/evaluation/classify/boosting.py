"""Gradient boosting of two classes on binned inputs, without another package.

The algorithm is that of LightGBM as scikit-learn's ``HistGradientBoostingClassifier`` has it, and so are the
random choices: for the same seed both give the same scores (``tests/unit/test_boosting.py``).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from caloforge.evaluation.classify.growing import Growth, Table, grow

if TYPE_CHECKING:
    from collections.abc import Sequence
    from threading import Event

    from numpy.typing import NDArray

    from caloforge.evaluation.classify.growing import Tree

__all__ = ["Boosted", "bin_edges", "binned", "boost", "logistic"]

_SMALLEST_LOGIT = -37.0  # below, 1 + exp(-logit) is exp(-logit) in double precision


def logistic(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    """1 / (1 + exp(-x)), without overflow."""
    small = np.exp(-np.abs(logits))
    return np.where(logits >= 0, 1.0, small) / (1.0 + small)


def bin_edges(values: NDArray[np.float64], bins: int) -> NDArray[np.float64]:
    """Edges that divide one input into quantiles, fewer where values repeat.

    Args:
        values: Finite numbers, ``(n,)``.
        bins: Bins at most.

    Returns:
        Inner edges that rise, ``(at most bins - 1,)``; a value on an edge lies below it.
    """
    distinct = np.unique(values)
    if len(distinct) <= bins:
        return np.asarray((distinct[:-1] + distinct[1:]) / 2)
    shares = np.linspace(0, 100, bins + 1)[1:-1]
    return np.unique(np.percentile(values, shares, method="averaged_inverted_cdf"))


def binned(inputs: NDArray[np.float64], edges: Sequence[NDArray[np.float64]]) -> NDArray[np.uint8]:
    """Bins ``(F, n)`` of inputs ``(n, F)``."""
    columns = [np.searchsorted(edge, values) for edge, values in zip(edges, inputs.T, strict=True)]
    return np.array(columns, np.uint8).reshape(inputs.shape[1], len(inputs))


@dataclass
class _Masks:
    """Which inputs the next nodes look at: a share of them, drawn anew for every node.

    Attributes:
        rng: Draws them.
        number: Inputs.
        share: That are looked at.
        ahead: Drawn already, and not looked at yet.
    """

    rng: np.random.Generator
    number: int
    share: float
    ahead: list[NDArray[np.bool_]] = field(default_factory=list)

    def next(self, count: int) -> NDArray[np.bool_]:
        """Those of the next nodes, ``(count, F)``."""
        self.ahead += [self._drawn() for _ in range(count - len(self.ahead))]
        return np.array(self.ahead[:count])

    def used(self, count: int) -> None:
        """So many have been looked at."""
        del self.ahead[:count]

    def _drawn(self) -> NDArray[np.bool_]:
        mask = np.arange(self.number) < max(1, int(np.ceil(self.share * self.number)))
        if self.share < 1.0:
            self.rng.shuffle(mask)
        return mask


@dataclass(frozen=True)
class Boosted:
    """Boosted trees.

    Attributes:
        edges: Inner edges of the bins of every input.
        start: Logit before the first tree.
        rate: Share of a tree's step that is taken.
        trees: In the order in which they grew.
    """

    edges: Sequence[NDArray[np.float64]]
    start: float
    rate: float
    trees: Sequence[Tree]

    def logits(self, inputs: NDArray[np.float64]) -> NDArray[np.float64]:
        """Of label 1, ``(m,)``, for inputs ``(m, F)``."""
        bins = binned(inputs, self.edges)
        logits = np.full(len(inputs), self.start)
        for tree in self.trees:
            logits += (self.rate * tree.value)[tree.leaf_of(bins)]
        return logits


def boost(
    inputs: NDArray[np.float64],
    labels: NDArray[np.float64],
    *,
    trees: int,
    leaves: int,
    bins: int,
    rate: float,
    share: float,
    seed: int,
    stop: Event | None = None,
) -> Boosted:
    """Train boosted trees on the logistic loss.

    Args:
        inputs: Finite numbers, ``(n, F)``.
        labels: 0 or 1, both of them, ``(n,)``.
        trees: Their number.
        leaves: Leaves of a tree at most.
        bins: Quantile bins of an input, at most 256.
        rate: Share of a tree's step that is taken.
        share: Of the inputs that a node looks at.
        seed: Draws these.
        stop: No more trees grow once it is set.
    """
    edges = [bin_edges(column, bins) for column in inputs.T]
    table, used = binned(inputs, edges), np.array([len(edge) + 1 for edge in edges], np.int32)
    growth, masks = Growth(bins, leaves), _Masks(_generator(seed), inputs.shape[1], share)
    start = float(np.log(labels.mean() / (1.0 - labels.mean())))
    logits = np.full(len(labels), start)
    grown: list[Tree] = []
    while len(grown) < trees and not (stop is not None and stop.is_set()):
        tree = grow(Table(table, used, *_slopes(logits, labels)), masks.next(2 * leaves - 1), growth)
        masks.used(tree.looked)
        logits += (rate * tree.value)[tree.leaf]
        grown.append(tree)
    return Boosted(edges, start, rate, grown)


def _generator(seed: int) -> np.random.Generator:
    """That of scikit-learn for a seed: the second of two numbers is the seed of the inputs' choice."""
    both = np.random.RandomState(seed).randint(np.iinfo(np.uint32).max, size=2, dtype="u8")
    return np.random.default_rng(both[1])


def _slopes(
    logits: NDArray[np.float64], labels: NDArray[np.float64]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Gradient and hessian of the logistic loss."""
    small = np.exp(-np.maximum(logits, _SMALLEST_LOGIT))
    gradient = ((1.0 - labels) - labels * small) / (1.0 + small)
    hessian = small / (1.0 + small) ** 2
    return gradient.astype(np.float32), hessian.astype(np.float32)
