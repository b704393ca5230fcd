"""Discrete-time diffusion (DDPM, arXiv:2006.11239): schedule, forward noising, ancestral sampling.

Step ``t`` counts from 0 here (from 1 in the paper): ``betas[t]`` is the variance that it adds.
"""

from __future__ import annotations

from itertools import accumulate
from operator import mul
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from torch import Tensor

    Predictor = Callable[[Tensor, int], Tensor]
    Source = Callable[[int], Tensor]

__all__ = ["ancestral", "ancestral_step", "noised", "quadratic_betas", "signal_shares"]


def quadratic_betas(steps: int, *, first: float, last: float) -> Tensor:
    """Variances that rise like a square from ``first`` to ``last``, ``(steps,)`` float64."""
    return torch.linspace(first**0.5, last**0.5, steps, dtype=torch.float64).square()


def signal_shares(betas: Tensor) -> Tensor:
    """Share of the data in the variance after every step, the product of all ``1 - beta`` so far."""
    return (1 - betas).cumprod(0)


def noised(clean: Tensor, noise: Tensor, share: Tensor) -> Tensor:
    """Data after the steps that leave ``share`` of their variance (eq. 4).

    Args:
        clean: Data.
        noise: Standard normal noise of the same shape.
        share: Broadcasts against ``clean``.
    """
    return share.sqrt() * clean + (1 - share).sqrt() * noise


def ancestral_step(
    x: Tensor,
    estimate: Tensor,
    noise: Tensor | None,
    betas: Sequence[float] | Tensor,
    step: int,
    *,
    flexibility: float = 0.0,
) -> Tensor:
    """Undo one step (algorithm 2).

    Args:
        x: Data after the step.
        estimate: The noise that the network sees in ``x``.
        noise: Standard normal noise; None for the last step, ``step`` 0, which adds none.
        betas: The schedule.
        step: Which one.
        flexibility: The standard deviation of the added noise lies between that of the posterior
            (0, exact for data that are a point) and that of the forward step (1, exact for data of
            unit variance).
    """
    values = _numbers(betas)
    shares = list(accumulate((1 - beta for beta in values), mul))
    beta, share = values[step], shares[step]
    mean: Tensor = (x - beta / (1 - share) ** 0.5 * estimate) / (1 - beta) ** 0.5
    if noise is None:
        return mean
    posterior = (1 - shares[step - 1]) / (1 - share)
    deviation = beta**0.5 * (flexibility + (1 - flexibility) * posterior**0.5)
    return torch.add(mean, noise, alpha=deviation)


def ancestral(
    predict: Predictor,
    x: Tensor,
    betas: Sequence[float] | Tensor,
    draw: Source,
    *,
    flexibility: float = 0.0,
) -> Tensor:
    """Sample: undo all steps, as many evaluations as the schedule is long.

    Args:
        predict: ``predict(x, step) -> estimate of the noise in x``.
        x: Standard normal noise.
        betas: The schedule.
        draw: ``draw(step) -> standard normal noise like x``, for every step but 0.
        flexibility: As of ``ancestral_step``.
    """
    for step in reversed(range(len(betas))):
        noise = draw(step) if step else None
        x = ancestral_step(x, predict(x, step), noise, betas, step, flexibility=flexibility)
    return x


def _numbers(betas: Sequence[float] | Tensor) -> list[float]:
    """Python's numbers; of a tensor that is traced these cannot be had."""
    return betas.tolist() if isinstance(betas, torch.Tensor) else list(betas)
