"""Wasserstein losses of critics with a gradient penalty."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from caloforge import shares

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

__all__ = ["critic_terms", "gradient_penalty"]


def critic_terms(
    critic: Callable[[Tensor], Tensor], real: Tensor, fake: Tensor, rng: torch.Generator
) -> dict[str, Tensor]:
    """Mean values of what is real and what is not, and the gradient penalty (1704.00028).

    Args:
        critic: Values of samples.
        real: ``(B, ...)``.
        fake: As many.
        rng: Of the places between both where gradients are looked at.
    """
    return {
        "real": critic(real).mean(),
        "fake": critic(fake).mean(),
        "penalty": gradient_penalty(critic, real, fake, rng),
    }


def gradient_penalty(
    critic: Callable[[Tensor], Tensor], real: Tensor, fake: Tensor, rng: torch.Generator
) -> Tensor:
    """Mean of (|gradient| - 1)^2 at random places between ``real`` and ``fake``, a norm a sample."""
    shape = (len(real), *[1] * (real.dim() - 1))
    share = shares.uniform(shape, rng, device=real.device, dtype=real.dtype)
    between = (share * real + (1 - share) * fake).detach().requires_grad_()
    with torch.enable_grad():
        (gradient,) = torch.autograd.grad(critic(between).sum(), between, create_graph=True)
    norm: Tensor = gradient.flatten(1).norm(dim=1)
    return (norm - 1).square().mean()
