"""Classifiers of vectors for cross-validation: boosted trees, and CaloClouds' small network."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from sklearn.ensemble import HistGradientBoostingClassifier
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from caloforge.evaluation.classify.examples import TableExamples
from caloforge.evaluation.classify.networks import DenseNetwork, initialised
from caloforge.evaluation.classify.training import Training, learn

if TYPE_CHECKING:
    from collections.abc import Callable
    from threading import Event

    from numpy.typing import NDArray

    from caloforge.evaluation.classify.crossval import Sample

__all__ = ["BOOSTED", "CLOUD_MLP", "PUBLISHED_CLOUD_MLP", "BoostedTrees", "DenseFit"]


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
        model = HistGradientBoostingClassifier(
            max_iter=self.trees,
            max_leaf_nodes=self.leaves,
            learning_rate=self.learning_rate,
            max_features=self.feature_share,
            max_bins=self.bins,
            early_stopping=False,
            random_state=seed,
        )
        inputs, labels = (
            np.concatenate([getattr(s, n) for s in (train, tune)]) for n in ("inputs", "labels")
        )
        # its threads wait in busy loops when cores are shared; the limit holds for this thread alone
        with threadpool_limits(limits=1, user_api="openmp"):
            if stop is None or not stop.is_set():
                model.fit(inputs, labels)

        def score(inputs: NDArray[np.float64]) -> NDArray[np.float64]:
            with threadpool_limits(limits=1, user_api="openmp"):
                return np.asarray(model.predict_proba(inputs)[:, 1])

        return score


@dataclass(frozen=True)
class DenseFit:
    """A dense network with LeakyReLU on standardised vectors.

    Attributes:
        hidden: Widths of the hidden layers.
        slope: Negative slope of the LeakyReLU.
        training: The recipe; with ``keep="last"`` the tuning showers are learnt from too.
    """

    hidden: tuple[int, ...]
    slope: float
    training: Training

    @property
    def settings(self) -> dict[str, Any]:
        """JSON-ready settings."""
        rest = {"hidden": list(self.hidden), "slope": self.slope, "standardised": True}
        return {**rest, **self.training.settings}

    def on(self, device: str) -> DenseFit:
        """The same on a device."""
        return replace(self, training=replace(self.training, device=device))

    def __call__(
        self, train: Sample, tune: Sample, seed: int, stop: Event | None = None
    ) -> Callable[[NDArray[np.float64]], NDArray[np.float64]]:
        """Train; see ``caloforge.evaluation.classify.Fit``. The global random state is left alone."""
        classes = [
            np.concatenate([getattr(s, name) for s in (train, tune)]) for name in ("generated", "reference")
        ]
        examples = TableExamples.of(classes, self.training.dtype)
        learnt = (len(train.generated), len(train.reference))
        is_tune = np.concatenate([np.arange(len(c)) >= n for c, n in zip(classes, learnt, strict=True)])
        rows = np.flatnonzero(~is_tune | (self.training.keep == "last"))
        scaling = examples.fitted(rows)
        rng = torch.Generator().manual_seed(seed)
        network = initialised(
            lambda: DenseNetwork(examples.values.shape[1], self.hidden, slope=self.slope),
            rng,
            dtype=self.training.dtype,
        )
        done = learn(
            network,
            examples.scaled(scaling),
            rows,
            np.flatnonzero(is_tune),
            self.training,
            rng=np.random.default_rng(seed),
            stop=stop,
        )

        def score(inputs: NDArray[np.float64]) -> NDArray[np.float64]:
            scaled = torch.from_numpy(scaling.columns(inputs)).to(self.training.device, self.training.dtype)
            with torch.inference_mode():
                logits: torch.Tensor = done.network(scaled)[:, 0]
            return np.asarray(logits.double().cpu().numpy())

        return score


BOOSTED = BoostedTrees()

CLOUD_MLP = DenseFit((32, 16), 0.2, Training(1e-3, batch=64, epochs=150, keep="loss", patience=15))
"""The 25-32-16-1 network of CaloClouds II (reference section 8.7), trained until it stops improving."""

PUBLISHED_CLOUD_MLP = DenseFit((32, 16), 0.2, Training(1e-3, batch=256, epochs=10, keep="last"))
"""The same network with its own recipe."""
