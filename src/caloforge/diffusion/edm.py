"""The continuous-time diffusion of arXiv:2206.00364 (EDM): preconditioning, noise levels, loss weights."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from caloforge import shares

__all__ = ["Scalings", "edm_scalings", "karras_sigmas", "log_normal_sigmas"]


class Scalings(NamedTuple):
    """Factors of ``D(x; sigma) = skip * x + out * F(inp * x; noise)``, each like sigma."""

    skip: Tensor
    out: Tensor
    inp: Tensor
    noise: Tensor


def edm_scalings(sigma: Tensor, sigma_data: float) -> Scalings:
    """Preconditioning of a denoiser (arXiv:2206.00364, table 1)."""
    total = sigma.square() + sigma_data**2
    return Scalings(
        skip=sigma_data**2 / total,
        out=sigma * sigma_data / total.sqrt(),
        inp=total.rsqrt(),
        noise=sigma.log() / 4,
    )


def karras_sigmas(steps: int, *, sigma_min: float, sigma_max: float, rho: float = 7.0) -> Tensor:
    """Falling noise levels (arXiv:2206.00364, eq. 5) without the final zero, ``(steps,)`` float64, CPU."""
    ramp = torch.linspace(0, 1, steps, dtype=torch.float64, device="cpu")
    low, high = sigma_min ** (1 / rho), sigma_max ** (1 / rho)
    levels: Tensor = (high + ramp * (low - high)) ** rho
    return levels


def log_normal_sigmas(n: int, *, mean: float, std: float, rng: torch.Generator) -> Tensor:
    """Noise levels for training, ln sigma ~ N(mean, std), ``(n,)``."""
    return (mean + std * shares.normal((n,), rng, device=rng.device)).exp()
