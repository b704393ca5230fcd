"""Boosted trees on vectors, for cross-validation."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from caloforge.evaluation.classify.boosting import boost, logistic

if TYPE_CHECKING:
    from collections.abc import Callable
    from threading import Event

    from numpy.typing import NDArray

    from caloforge.evaluation.classify.crossval import Sample

__all__ = ["BOOSTED", "BoostedTrees"]


@dataclass(frozen=True)
class BoostedTrees:
    """Gradient-boosted trees on binned inputs; strong and quick on a thousand showers.

    Attributes:
        trees: Boosting steps.
        leaves: Leaves of a tree at most.
        learning_rate: Shrinkage of a step.
        feature_share: Share of the inputs that each split looks at.
        bins: Quantile bins of an input.
        most: Showers of each class that are looked at, at most: more take memory and tell no more.
    """

    trees: int = 100
    leaves: int = 15
    learning_rate: float = 0.1
    feature_share: float = 0.3
    bins: int = 31
    most: int = 10_000

    @property
    def settings(self) -> dict[str, Any]:
        """JSON-ready settings."""
        return asdict(self)

    def on(self, device: str) -> BoostedTrees:  # noqa: ARG002 (networks have devices)
        """The same: trees grow on the CPU."""
        return self

    def __call__(
        self, train: Sample, tune: Sample, seed: int, stop: Event | None = None
    ) -> Callable[[NDArray[np.float64]], NDArray[np.float64]]:
        """Train on both samples (nothing is tuned); see ``caloforge.evaluation.classify.Fit``."""
        inputs, labels = (
            np.concatenate([getattr(s, n) for s in (train, tune)]) for n in ("inputs", "labels")
        )
        trees = boost(
            inputs,
            labels,
            trees=self.trees,
            leaves=self.leaves,
            bins=self.bins,
            rate=self.learning_rate,
            share=self.feature_share,
            seed=seed,
            stop=stop,
        )
        return lambda inputs: logistic(trees.logits(inputs))


BOOSTED = BoostedTrees()
