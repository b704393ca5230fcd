"""Diffusion of independent points given a condition per shower (arXiv:2309.05704)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import torch
from pydantic import Field
from torch import nn

from caloforge import shares
from caloforge.diffusion import (
    consistency_scalings,
    edm_scalings,
    euler,
    heun,
    karras_sigmas,
    log_normal_sigmas,
)
from caloforge.models.assembly import own_rows, tiles
from caloforge.models.base import ModelConfig
from caloforge.nn import FourierFeatures, PointWiseNet
from caloforge.records import Width, Widths  # noqa: TC001 (pydantic reads the annotations)

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["PointDiffusion", "PointDiffusionConfig", "SamplerConfig"]

_FEATURES = 4


class SamplerConfig(ModelConfig):
    """How points are drawn."""

    kind: Literal["heun", "euler"] = "heun"
    """ODE rule."""
    steps: int = Field(default=13, ge=1, le=10**5)
    """Noise levels; Heun takes 2 steps - 1 evaluations, Euler as many as steps."""
    sigma_min: float = Field(default=0.002, ge=1e-6, le=1e6)
    """Lowest noise level."""
    sigma_max: float = Field(default=80.0, ge=1e-6, le=1e6)
    """Highest noise level."""
    rho: float = Field(default=7.0, ge=0.1, le=100)
    """Spacing of the levels."""


class PointDiffusionConfig(ModelConfig):
    """Sizes and noise levels; the defaults are the published ones."""

    hidden: Widths = (128, 256, 512, 256, 128)
    """Widths between the four inputs and the four outputs."""
    time_features: Width = 64
    """Size of the embedding of the noise level."""
    sigma_data: float = Field(default=0.5, ge=1e-6, le=1e6)
    """Standard deviation of a feature."""
    noise_mean: float = Field(default=-1.2, ge=-100, le=100)
    """Mean of ln sigma in training."""
    noise_std: float = Field(default=1.2, gt=0, le=100)
    """Standard deviation of ln sigma in training."""


class PointDiffusion(nn.Module):
    """Denoiser of single points.

    Padding never enters: in training every shower lends the same number of points, in sampling all
    points of a block lie in one flat array.

    Args:
        config: Sizes.
        conditions: Size of the condition.
    """

    def __init__(self, config: PointDiffusionConfig, conditions: int) -> None:
        super().__init__()
        self.config = config
        size = config.time_features
        self.embed = nn.Sequential(FourierFeatures(size), nn.Linear(size, size), nn.LeakyReLU(0.01))
        self.net = PointWiseNet((_FEATURES, *config.hidden, _FEATURES), size + conditions)

    def denoise(
        self,
        x: Tensor,
        sigma: Tensor,
        condition: Tensor,
        index: Tensor | None = None,
        *,
        sigma_min: float | None = None,
    ) -> Tensor:
        """Estimate clean points.

        Args:
            x: Noisy points ``(B, K, 4)``, or ``(M, 4)`` with ``index``.
            sigma: Noise levels ``(B,)``, or one for all.
            condition: ``(B, conditions)``.
            index: The shower of every point, ``(M,)``.
            sigma_min: Given: use the consistency model's scalings, the identity at this level.
        """
        sigma = sigma.expand(condition.shape[0])
        data = self.config.sigma_data
        if sigma_min is None:
            scale = edm_scalings(sigma, data)
        else:
            scale = consistency_scalings(sigma, data, sigma_min)
        context = torch.cat([self.embed(scale.noise), condition], dim=-1)
        if index is None:
            skip, out, inp = (s[:, None, None] for s in (scale.skip, scale.out, scale.inp))
            context = context[:, None]
        else:  # one level for all showers of a flat call: the scalings are scalars
            skip, out, inp = scale.skip[0], scale.out[0], scale.inp[0]
            index = index if condition.shape[0] > 1 else None
        estimate: Tensor = skip * x + out * self.net(inp * x, context, index)
        return estimate

    def loss(self, features: Tensor, condition: Tensor, rng: torch.Generator) -> dict[str, Tensor]:
        """EDM loss with its implicit weight: the network's own output against its ideal output.

        Args:
            features: Clean points ``(B, K, 4)``.
            condition: ``(B, conditions)``.
            rng: Draws one noise level per shower, and the noise.
        """
        config = self.config
        sigma = log_normal_sigmas(len(features), mean=config.noise_mean, std=config.noise_std, rng=rng)
        noise = shares.normal(features.shape, rng, device=features.device)
        level = sigma[:, None, None]
        estimate = self.denoise(features + level * noise, sigma, condition)
        weight = edm_scalings(level, config.sigma_data).out.square().reciprocal()
        return {"loss": (weight * (estimate - features).square()).mean()}

    def sample(
        self,
        noise: Tensor,
        condition: Tensor,
        index: Tensor,
        sampler: SamplerConfig,
        *,
        consistency: bool = False,
    ) -> Tensor:
        """Points ``(M, 4)`` out of standard normal noise ``(M, 4)``.

        Args:
            noise: Standard normal noise.
            condition: ``(B, conditions)``.
            index: The shower of every point, rising, ``(M,)``.
            sampler: Noise levels and ODE rule.
            consistency: One evaluation of the consistency function instead of the ODE.
        """
        parts = [
            self._sample_tile(noise[rows], condition, index[rows], sampler, consistency=consistency)
            for rows in tiles(noise.shape[0])
        ]
        return torch.cat(parts) if parts else noise

    def _sample_tile(
        self, noise: Tensor, condition: Tensor, index: Tensor, sampler: SamplerConfig, *, consistency: bool
    ) -> Tensor:
        condition, index = own_rows(condition, index)
        x = noise * sampler.sigma_max
        if consistency:
            level = x.new_tensor(sampler.sigma_max)
            return self.denoise(x, level, condition, index, sigma_min=sampler.sigma_min)
        sigmas = karras_sigmas(
            sampler.steps, sigma_min=sampler.sigma_min, sigma_max=sampler.sigma_max, rho=sampler.rho
        )
        rule = heun if sampler.kind == "heun" else euler
        return rule(lambda y, sigma: self.denoise(y, sigma, condition, index), x, sigmas)
