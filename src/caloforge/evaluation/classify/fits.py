"""CaloClouds' small network on vectors, for cross-validation."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from caloforge.evaluation.classify.examples import TableExamples
from caloforge.evaluation.classify.networks import DenseNetwork, initialised
from caloforge.evaluation.classify.training import Training, learn

if TYPE_CHECKING:
    from collections.abc import Callable
    from threading import Event

    from numpy.typing import NDArray

    from caloforge.evaluation.classify.crossval import Sample

__all__ = ["CLOUD_MLP", "PUBLISHED_CLOUD_MLP", "DenseFit"]


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


CLOUD_MLP = DenseFit((32, 16), 0.2, Training(1e-3, batch=64, epochs=150, keep="loss", patience=15))
"""The 25-32-16-1 network of CaloClouds II (reference section 8.7), trained until it stops improving."""

PUBLISHED_CLOUD_MLP = DenseFit((32, 16), 0.2, Training(1e-3, batch=256, epochs=10, keep="last"))
"""The same network with its own recipe."""
