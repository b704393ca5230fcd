"""The training loop of all network classifiers."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from torch import nn

from caloforge.evaluation.classify.examples import labels_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from threading import Event

    from numpy.typing import NDArray

    from caloforge.evaluation.classify.examples import Examples

__all__ = ["Fitted", "Training", "learn", "logits_of", "mean_logits"]

_CHUNK = 256


@dataclass(frozen=True)
class Training:
    """How a network is trained with Adam on the cross-entropy.

    Attributes:
        learning_rate: Of Adam; the highest one where it changes.
        batch: Showers per step.
        epochs: At most.
        keep: Which weights are kept: those of the epoch with the best accuracy or the lowest loss on
            the tuning showers (the first such epoch), or the last ones.
        patience: Epochs without better ones before it stops; None: all epochs.
        precision: Of weights and inputs.
        device: Where it is done.
        schedule: Of the learning rate: constant, or one cycle, which rises to the highest one in three
            tenths of the steps and falls to nearly zero, as cosines (Smith and Topin, arXiv:1708.07120).
        weight_decay: Beside the gradient (AdamW, arXiv:1711.05101).
    """

    learning_rate: float
    batch: int
    epochs: int
    keep: Literal["accuracy", "loss", "last"] = "accuracy"
    patience: int | None = None
    precision: Literal["float32", "float64"] = "float32"
    device: str = "cpu"
    schedule: Literal["constant", "one_cycle"] = "constant"
    weight_decay: float = 0.0

    @property
    def dtype(self) -> torch.dtype:
        """Of weights and inputs."""
        return torch.float64 if self.precision == "float64" else torch.float32

    @property
    def settings(self) -> dict[str, Any]:
        """JSON-ready settings."""
        return {**asdict(self), "optimiser": "AdamW" if self.weight_decay else "Adam"}


@dataclass(frozen=True)
class Fitted:
    """A trained network.

    Attributes:
        network: With the kept weights, in evaluation mode, where it was trained.
        epoch: Whose weights were kept, from 1.
        steps: Optimiser steps in all.
    """

    network: nn.Module
    epoch: int
    steps: int


def learn(
    network: nn.Module,
    examples: Examples,
    rows: NDArray[np.int64],
    tune: NDArray[np.int64],
    training: Training,
    *,
    rng: np.random.Generator,
    stop: Event | None = None,
) -> Fitted:
    """Train ``network`` in place, on the recipe's device.

    Args:
        network: One logit for two classes (the second one has label 1), or one logit a class.
        examples: The showers.
        rows: Showers to learn from.
        tune: Showers that tell which epoch is best.
        training: The recipe.
        rng: Draws the order of the showers, and how they are turned.
        stop: Gives up when it is set.
    """
    network.to(training.device)
    optimiser, schedule = _optimiser(network, training, len(rows))
    best, kept, epoch, steps = -np.inf, _copy(network), 0, 0
    for number in range(1, training.epochs + 1):
        network.train()
        for part in _batches(rng.permutation(rows), training.batch):
            if stop is not None and stop.is_set():
                return Fitted(network, epoch, steps)
            optimiser.zero_grad()
            torch.autograd.backward(_loss(_logits(network, examples, part, rng), labels_of(examples, part)))
            optimiser.step()
            schedule.step()
            steps += 1
        quality = (
            float(number) if training.keep == "last" else _quality(network, examples, tune, training.keep)
        )
        if quality > best or training.keep == "last":
            best, kept, epoch = quality, _copy(network), number
        if (training.keep == "accuracy" and best == 1.0) or _is_patient(training, number - epoch):
            break
    network.load_state_dict(kept)
    return Fitted(network.eval(), epoch, steps)


def logits_of(network: nn.Module, examples: Examples, rows: NDArray[np.int64]) -> torch.Tensor:
    """Logits ``(n, outputs)`` of rising rows, in evaluation mode; on the CPU."""
    network.eval()
    with torch.inference_mode():
        parts = [_logits(network, examples, part).cpu() for part in _batches(rows, _CHUNK)]
    return torch.cat(parts)


def mean_logits(network: nn.Module, examples: Examples, rows: NDArray[np.int64]) -> NDArray[np.float64]:
    """Logits ``(n, outputs)`` of rising rows, averaged over the views of the showers."""
    views = [logits_of(network, view, rows) for view in examples.views()]
    return np.asarray(torch.stack(views).double().mean(dim=0).numpy())


def _logits(
    network: nn.Module, examples: Examples, rows: NDArray[np.int64], rng: np.random.Generator | None = None
) -> torch.Tensor:
    device = next(network.parameters()).device
    logits: torch.Tensor = network(*(part.to(device) for part in examples.batch(rows, rng)))
    return logits


def _optimiser(
    network: nn.Module, training: Training, showers: int
) -> tuple[torch.optim.Optimizer, torch.optim.lr_scheduler.LRScheduler]:
    kind = torch.optim.AdamW if training.weight_decay else torch.optim.Adam
    optimiser = kind(
        network.parameters(), lr=training.learning_rate, weight_decay=training.weight_decay, fused=True
    )
    if training.schedule == "constant":
        return optimiser, torch.optim.lr_scheduler.ConstantLR(optimiser, factor=1.0)
    steps = training.epochs * len(range(0, max(showers - 1, 1), training.batch))
    return optimiser, torch.optim.lr_scheduler.OneCycleLR(
        optimiser, training.learning_rate, total_steps=steps, cycle_momentum=False
    )


def _batches(rows: NDArray[np.int64], size: int) -> Iterator[NDArray[np.int64]]:
    """Rows in parts, each rising; a single row left over joins the last part (batch norms need two)."""
    for part in np.split(rows, range(size, len(rows) - 1, size)):
        yield np.sort(part)


def _loss(logits: torch.Tensor, labels: NDArray[np.int64]) -> torch.Tensor:
    wanted = torch.from_numpy(labels).to(logits.device)
    if logits.shape[1] == 1:
        return nn.functional.binary_cross_entropy_with_logits(logits[:, 0], wanted.to(logits.dtype))
    return nn.functional.cross_entropy(logits, wanted)


def _quality(
    network: nn.Module, examples: Examples, rows: NDArray[np.int64], keep: Literal["accuracy", "loss", "last"]
) -> float:
    """A number to be as high as possible."""
    if keep == "last":
        return 0.0
    rows = np.sort(rows)
    logits, labels = logits_of(network, examples, rows), labels_of(examples, rows)
    if keep == "loss":
        return -float(_loss(logits, labels))
    found = (logits[:, 0] > 0).long() if logits.shape[1] == 1 else logits.argmax(dim=1)
    return float(np.mean(found.numpy() == labels))


def _is_patient(training: Training, waited: int) -> bool:
    return training.patience is not None and waited >= training.patience


def _copy(network: nn.Module) -> dict[str, torch.Tensor]:
    return {name: values.clone() for name, values in network.state_dict().items()}
