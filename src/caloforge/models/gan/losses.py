"""The terms of 3DGAN's loss, each a mean over the showers that count."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch.nn import functional

from caloforge import shares

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

__all__ = [
    "absolute_error",
    "cross_entropy",
    "flipped",
    "gradient_penalty",
    "percentage_error",
    "sorted_difference",
]

_SMALLEST = 1e-7  # of what an error is relative to, as in Keras


def flipped(label: float, like: Tensor, share: float, rng: torch.Generator) -> Tensor:
    """Labels 0 or 1, a ``share`` of them wrong, ``(B,)``."""
    wrong = shares.uniform((len(like),), rng, device=like.device) < share
    return torch.where(wrong, 1.0 - label, label)


def cross_entropy(logits: Tensor, labels: Tensor, weight: Tensor) -> Tensor:
    """Binary cross-entropy of logits ``(B,)``, averaged with weights ``(B,)``."""
    terms = functional.binary_cross_entropy_with_logits(logits, labels, reduction="none")
    return _mean(terms, weight)


def percentage_error(found: Tensor, expected: Tensor, weight: Tensor) -> Tensor:
    """Mean absolute error relative to ``expected``, in percent, of ``(B,)``."""
    terms = (found - expected).abs() / expected.abs().clamp_min(_SMALLEST)
    return 100 * _mean(terms, weight)


def absolute_error(found: Tensor, expected: Tensor, weight: Tensor) -> Tensor:
    """Mean absolute error of ``(B,)``."""
    return _mean((found - expected).abs(), weight)


def sorted_difference(found: Tensor, expected: Tensor, weight: Tensor) -> Tensor:
    """Mean absolute difference of sorted values ``(B,)``: the Wasserstein distance of the batch.

    Showers that do not count are taken out of both samples. Of ``(B, n)`` the mean over the columns.
    """
    found, expected, weight = (shares.everyone(values) for values in (found, expected, weight))
    counts = (weight > 0).reshape(-1, *[1] * (found.dim() - 1))
    ends = torch.finfo(found.dtype).max
    first, second = (torch.where(counts, values, ends).sort(0).values for values in (found, expected))
    number = counts.sum()
    place = torch.arange(len(found), device=found.device).reshape(counts.shape) < number
    distance = torch.where(place, (first - second).abs(), 0.0).sum(0) / number.clamp_min(1)
    return distance.mean()


def gradient_penalty(critic: Callable[[Tensor], Tensor], images: Tensor) -> Tensor:
    """Mean squared gradient of the critic's logits with respect to real images (R1, 1801.04406)."""
    images = images.detach().requires_grad_()
    with torch.enable_grad():
        (gradient,) = torch.autograd.grad(critic(images).sum(), images, create_graph=True)
    return 0.5 * gradient.float().square().flatten(1).sum(1).mean()


def _mean(terms: Tensor, weight: Tensor) -> Tensor:
    return shares.ratio((terms * weight).sum(), weight.sum())
