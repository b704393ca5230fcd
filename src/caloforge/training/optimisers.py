"""Optimisers, learning rates and the moving average of the weights."""

from __future__ import annotations

import math
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from torch import Tensor, nn

    from caloforge.models import StageConfig

__all__ = ["Average", "learning_rate", "make_optimiser"]


def make_optimiser(parameters: Sequence[nn.Parameter], config: StageConfig) -> torch.optim.Optimizer:
    """The optimiser that a stage names."""
    kinds: dict[str, type[torch.optim.Optimizer]] = {
        "adam": torch.optim.Adam,
        "adamw": torch.optim.AdamW,
        "radam": torch.optim.RAdam,
    }
    kind: Any = kinds[config.optimiser]
    optimiser: torch.optim.Optimizer = kind(
        list(parameters), lr=config.learning_rate, weight_decay=config.weight_decay
    )
    return optimiser


def learning_rate(step: int, config: StageConfig) -> float:
    """Learning rate of step ``step`` (from 0)."""
    if step < config.warmup:
        return config.learning_rate * (step + 1) / config.warmup
    if config.schedule == "constant":
        return config.learning_rate
    share = (step - config.warmup) / max(1, config.steps - config.warmup)
    low, high = config.final_learning_rate, config.learning_rate
    return low + 0.5 * (high - low) * (1 + math.cos(math.pi * min(1.0, share)))


class Average:
    """Exponential moving average of weights, its decay warming up as 1 - (1 + step)^(-2/3).

    Args:
        parameters: The weights to follow.
        decay: Largest decay; 0 turns the average off: the weights themselves are returned.
    """

    def __init__(self, parameters: Sequence[nn.Parameter], decay: float) -> None:
        self.decay = decay
        self._parameters = list(parameters)
        self.values: list[Tensor] = [p.detach().clone() for p in parameters] if decay else []

    def update(self, step: int) -> None:
        """Follow the weights after step ``step`` (from 0)."""
        if not self.decay:
            return
        decay = min(self.decay, 1 - (1 + step) ** (-2 / 3))
        with torch.no_grad():
            for value, parameter in zip(self.values, self._parameters, strict=True):
                value.lerp_(parameter, 1 - decay)

    def weights(self) -> list[Tensor]:
        """Copies of the averaged weights."""
        source = self.values if self.decay else self._parameters
        return [value.detach().clone() for value in source]

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Put the averaged weights into the model for a while."""
        saved = [p.detach().clone() for p in self._parameters]
        assign(self._parameters, self.weights())
        try:
            yield
        finally:
            assign(self._parameters, saved)


def assign(parameters: Sequence[nn.Parameter], values: Sequence[Tensor]) -> None:
    """Copy values into parameters."""
    with torch.no_grad():
        for parameter, value in zip(parameters, values, strict=True):
            parameter.copy_(value)
