"""Optimisers and learning rates."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import nn

    from caloforge.models import OptimiserConfig

__all__ = ["learning_rate", "make_optimiser"]

_RISE, _FIRST, _LAST = 0.3, 1 / 25, 1 / 25e4  # of one cycle: share of the steps, of the rate


def make_optimiser(parameters: Sequence[nn.Parameter], config: OptimiserConfig) -> torch.optim.Optimizer:
    """The optimiser that a section names."""
    kinds: dict[str, type[torch.optim.Optimizer]] = {
        "adam": torch.optim.Adam,
        "adamw": torch.optim.AdamW,
        "radam": torch.optim.RAdam,
        "rmsprop": torch.optim.RMSprop,
    }
    kind: Any = kinds[config.optimiser]
    own = {"alpha": config.rho} if config.optimiser == "rmsprop" else {"betas": config.betas}
    optimiser: torch.optim.Optimizer = kind(
        list(parameters), lr=config.learning_rate, eps=config.eps, weight_decay=config.weight_decay, **own
    )
    return optimiser


def learning_rate(step: int, config: OptimiserConfig, steps: int) -> float:
    """Learning rate of step ``step`` (from 0) of ``steps``.

    One cycle is that of arXiv:1708.07120 as frameworks have it, without its cycle of the momentum.
    """
    if config.schedule == "one-cycle":
        return _one_cycle(step, config, steps)
    if step < config.warmup:
        return config.learning_rate * (step + 1) / config.warmup
    if config.schedule == "constant":
        return config.learning_rate
    share = (step - config.warmup) / max(1, steps - config.warmup)
    return _cosine(config.learning_rate, config.final_learning_rate, share)


def _one_cycle(step: int, config: OptimiserConfig, steps: int) -> float:
    highest, last = config.learning_rate, steps - 1
    top = (config.warmup or _RISE * steps) - 1
    if step < top:
        return _cosine(_FIRST * highest, highest, step / top)
    return _cosine(highest, _LAST * highest, (step - top) / max(1.0, last - top))


def _cosine(start: float, end: float, share: float) -> float:
    """From ``start`` to ``end`` along half a period."""
    return end + 0.5 * (start - end) * (1 + math.cos(math.pi * min(1.0, share)))
