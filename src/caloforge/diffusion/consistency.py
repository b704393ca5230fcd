"""Consistency models: boundary scalings and distillation of a diffusion teacher (arXiv:2303.01469)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from caloforge.diffusion.edm import Scalings
from caloforge.diffusion.samplers import heun_step

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    Denoiser = Callable[[Tensor, Tensor], Tensor]

__all__ = ["consistency_pair", "consistency_scalings"]


def consistency_scalings(sigma: Tensor, sigma_data: float, sigma_min: float) -> Scalings:
    """Preconditioning that makes the network the identity at ``sigma_min`` (eq. 5 and appendix C)."""
    above = sigma - sigma_min
    total = sigma.square() + sigma_data**2
    return Scalings(
        skip=sigma_data**2 / (above.square() + sigma_data**2),
        out=above * sigma_data / total.sqrt(),
        inp=total.rsqrt(),
        noise=sigma.log() / 4,
    )


def consistency_pair(
    teacher: Denoiser, clean: Tensor, noise: Tensor, sigma: Tensor, lower: Tensor
) -> tuple[Tensor, Tensor]:
    """Two neighbouring points on one ODE trajectory: at ``sigma``, and at ``lower`` by a Heun step.

    Args:
        teacher: The diffusion model's denoiser.
        clean: Clean data.
        noise: Standard normal noise of the same shape.
        sigma: Upper noise levels, broadcast against ``clean``.
        lower: Lower noise levels.
    """
    upper_point = clean + sigma * noise
    with torch.no_grad():
        lower_point = heun_step(teacher, upper_point, sigma, lower)
    return upper_point, lower_point
