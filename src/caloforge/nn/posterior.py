"""Gaussians in a latent space: what an encoder makes of a shower."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from caloforge import shares

if TYPE_CHECKING:
    import torch
    from torch import Tensor

__all__ = ["Posterior"]


@dataclass(frozen=True)
class Posterior:
    """Independent Gaussians in the latent space, one row a shower.

    Attributes:
        mean: ``(B, latent)``.
        log_variance: ``(B, latent)``.
    """

    mean: Tensor
    log_variance: Tensor

    def draw(self, rng: torch.Generator) -> Tensor:
        """One latent vector per shower ``(B, latent)``, differentiable in mean and width."""
        noise = shares.normal(self.mean.shape, rng, dtype=self.mean.dtype, device=self.mean.device)
        return self.mean + noise * (0.5 * self.log_variance).exp()

    @property
    def entropy(self) -> Tensor:
        """Of every shower, ``(B,)``: d/2 (1 + ln 2 pi) + sum of ln sigma."""
        constant = 0.5 * self.mean.shape[1] * (1 + math.log(2 * math.pi))
        return constant + 0.5 * self.log_variance.sum(dim=1)

    @property
    def divergence(self) -> Tensor:
        """Kullback-Leibler divergence from a standard normal distribution [nats], ``(B,)``."""
        terms = self.mean.square() + self.log_variance.exp() - self.log_variance - 1
        return 0.5 * terms.sum(1)
