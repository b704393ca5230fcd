"""Samplers of the probability-flow ODE as pure functions of a denoiser."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    Denoiser = Callable[[Tensor, Tensor], Tensor]

__all__ = ["euler", "heun", "heun_step"]


def heun_step(denoise: Denoiser, x: Tensor, sigma: Tensor, next_sigma: Tensor) -> Tensor:
    """One step of Heun's second-order rule from ``sigma`` to ``next_sigma`` > 0 (2 evaluations)."""
    slope = (x - denoise(x, sigma)) / sigma
    guess = x + (next_sigma - sigma) * slope
    next_slope = (guess - denoise(guess, next_sigma)) / next_sigma
    return x + (next_sigma - sigma) * 0.5 * (slope + next_slope)


def heun(denoise: Denoiser, x: Tensor, sigmas: Tensor) -> Tensor:
    """Integrate from ``sigmas[0]`` to 0: Heun steps, the last one Euler (arXiv:2206.00364, alg. 1).

    Args:
        denoise: ``denoise(x, sigma) -> estimate of the clean x``.
        x: Noise of standard deviation ``sigmas[0]``.
        sigmas: Falling noise levels, the final zero left out, ``(n,)``: 2 n - 1 evaluations.
    """
    levels = sigmas.to(dtype=x.dtype, device=x.device)
    for i in range(len(levels) - 1):
        x = heun_step(denoise, x, levels[i], levels[i + 1])
    return denoise(x, levels[-1])


def euler(denoise: Denoiser, x: Tensor, sigmas: Tensor) -> Tensor:
    """Integrate from ``sigmas[0]`` to 0 with Euler's rule: n evaluations; arguments as of ``heun``."""
    levels = sigmas.to(dtype=x.dtype, device=x.device)
    for sigma, next_sigma in zip(levels, torch.cat([levels[1:], levels.new_zeros(1)]), strict=True):
        x = x + (next_sigma - sigma) * (x - denoise(x, sigma)) / sigma
    return x
