"""The dense classifiers of the papers, in float32 on the CPU, with early stopping."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from caloforge.evaluation.auc import Sample

__all__ = ["CALOCHALLENGE_DNN", "CLOUD_MLP", "DenseClassifier"]


@dataclass(frozen=True)
class DenseClassifier:
    """A dense network with LeakyReLU, trained with Adam on the binary cross-entropy.

    It keeps the weights of the epoch with the lowest loss on the tuning sample.

    Attributes:
        hidden: Widths of the hidden layers.
        slope: Negative slope of the LeakyReLU.
        learning_rate: Of Adam.
        batch: Showers per step.
        epochs: At most.
        patience: Epochs without a better tuning loss before it stops.
        standardise: Whether inputs are brought to mean 0 and deviation 1 of the training sample.
    """

    hidden: tuple[int, ...]
    slope: float
    learning_rate: float
    batch: int
    epochs: int
    patience: int
    standardise: bool = True

    @property
    def settings(self) -> dict[str, Any]:
        """JSON-ready settings."""
        return {**asdict(self), "hidden": list(self.hidden), "precision": "float32", "device": "cpu"}

    def __call__(
        self, train: Sample, tune: Sample, seed: int
    ) -> Callable[[NDArray[np.float64]], NDArray[np.float64]]:
        """Train; see ``caloforge.evaluation.auc.Fit``. The global random state is left alone."""
        shift, scale = self._scaling(train.inputs)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            network = self._network(train.inputs.shape[1])
        data = [_tensors(part, shift, scale) for part in (train, tune)]
        with _one_thread():
            self._train(network, data[0], data[1], torch.Generator().manual_seed(seed))

        def score(inputs: NDArray[np.float64]) -> NDArray[np.float64]:
            with torch.inference_mode():
                logits: torch.Tensor = network(_scaled(inputs, shift, scale)).squeeze(1)
            return np.asarray(logits.double().numpy())

        return score

    def _scaling(self, inputs: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        if not self.standardise:
            return np.zeros(inputs.shape[1]), np.ones(inputs.shape[1])
        deviation = inputs.std(axis=0)
        return inputs.mean(axis=0), np.where(deviation > 0, deviation, 1.0)

    def _network(self, inputs: int) -> nn.Sequential:
        layers: list[nn.Module] = []
        for before, after in pairwise((inputs, *self.hidden)):
            layers += [nn.Linear(before, after), nn.LeakyReLU(self.slope)]
        return nn.Sequential(*layers, nn.Linear(self.hidden[-1], 1))

    def _train(
        self,
        network: nn.Sequential,
        train: tuple[torch.Tensor, torch.Tensor],
        tune: tuple[torch.Tensor, torch.Tensor],
        rng: torch.Generator,
    ) -> None:
        optimiser = torch.optim.Adam(network.parameters(), lr=self.learning_rate)
        best, kept, waited = float("inf"), _copy(network), 0
        for _ in range(self.epochs):
            for rows in torch.split(torch.randperm(len(train[0]), generator=rng), self.batch):
                optimiser.zero_grad()
                torch.autograd.backward(_loss(network, train[0][rows], train[1][rows]))
                optimiser.step()
            with torch.inference_mode():
                loss = float(_loss(network, *tune))
            waited += 1
            if loss < best:
                best, kept, waited = loss, _copy(network), 0
            if waited >= self.patience:
                break
        network.load_state_dict(kept)


CLOUD_MLP = DenseClassifier(hidden=(32, 16), slope=0.2, learning_rate=1e-3, batch=64, epochs=150, patience=15)
"""The 25-32-16-1 network of CaloClouds II (reference section 8.7), trained until it stops improving."""

CALOCHALLENGE_DNN = DenseClassifier(
    hidden=(512, 512, 512), slope=0.01, learning_rate=2e-4, batch=128, epochs=50, patience=8
)
"""The CaloChallenge's network (reference section 13.4), 512 wide as in its 2022 version."""


@contextmanager
def _one_thread() -> Iterator[None]:
    """Sums have the same order, and so results the same last digits, whatever the machine."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _loss(network: nn.Module, inputs: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    return nn.functional.binary_cross_entropy_with_logits(network(inputs).squeeze(1), labels)


def _copy(network: nn.Module) -> dict[str, torch.Tensor]:
    return {name: values.clone() for name, values in network.state_dict().items()}


def _scaled(
    inputs: NDArray[np.float64], shift: NDArray[np.float64], scale: NDArray[np.float64]
) -> torch.Tensor:
    return torch.from_numpy(((inputs - shift) / scale).astype(np.float32))


def _tensors(
    part: Sample, shift: NDArray[np.float64], scale: NDArray[np.float64]
) -> tuple[torch.Tensor, torch.Tensor]:
    return _scaled(part.inputs, shift, scale), torch.from_numpy(part.labels.astype(np.float32))
