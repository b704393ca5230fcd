"""Discrete-time diffusion of independent points given a condition per shower (arXiv:2305.04847)."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Literal

import torch
from pydantic import Field
from torch import nn

from caloforge import shares
from caloforge.diffusion import ancestral, noised, quadratic_betas, signal_shares
from caloforge.models.assembly import own_rows, rows_of, tiles
from caloforge.models.base import ModelConfig
from caloforge.nn import FourierFeatures, PointWiseNet
from caloforge.records import Width, Widths  # noqa: TC001 (pydantic reads the annotations)

if TYPE_CHECKING:
    from torch import Tensor

    from caloforge.models.base import Noise

__all__ = ["AncestralConfig", "PointDDPM", "PointDDPMConfig"]

_FEATURES = 4


class AncestralConfig(ModelConfig):
    """How points are drawn."""

    flexibility: float = Field(default=0.0, ge=0, le=1)
    """Noise that a step adds: that of the posterior (0, published), which makes narrow features narrower in a
    hundred steps, that of the forward step (1), or between."""


class PointDDPMConfig(ModelConfig):
    """Sizes and schedule; the defaults are the published ones."""

    hidden: Widths = (128, 256, 512, 256, 128)
    """Widths between the four inputs and the four outputs."""
    steps: int = Field(default=100, gt=1, le=10**5)
    """Steps of the schedule."""
    first: float = Field(default=1e-4, gt=0, lt=1)
    """Variance that the first step adds."""
    last: float = Field(default=0.02, gt=0, lt=1)
    """Variance that the last step adds. With the published one 48 % of the data's variance outlive all steps,
    though sampling starts from noise alone."""
    time: Literal["beta", "fourier"] = "beta"
    """The network knows the step from ``beta`` (with its sine and cosine: published), or from a ``fourier``
    embedding of the noise level, as in CaloClouds II."""
    time_features: Width = 32
    """Size of the latter."""


class PointDDPM(nn.Module):
    """Predicts the noise in single points.

    Args:
        config: Sizes.
        conditions: Size of the condition.
    """

    betas: Tensor
    shares: Tensor

    def __init__(self, config: PointDDPMConfig, conditions: int) -> None:
        super().__init__()
        betas = quadratic_betas(config.steps, first=config.first, last=config.last)
        with torch.device("cpu"):  # numbers, also of networks that are built without any
            numbers = quadratic_betas(config.steps, first=config.first, last=config.last)
        self.schedule: tuple[float, ...] = tuple(numbers.tolist())
        self.register_buffer("betas", betas, persistent=False)
        self.register_buffer("shares", signal_shares(betas), persistent=False)
        self.embed, size = _embedding(config)
        widths = (_FEATURES, *config.hidden, _FEATURES)
        self.net = PointWiseNet(widths, size + conditions, residual=True)

    def predict(self, x: Tensor, step: Tensor, condition: Tensor, index: Tensor | None = None) -> Tensor:
        """Estimate the noise in points.

        Args:
            x: Noisy points ``(B, K, 4)``, or ``(M, 4)``.
            step: Steps ``(B,)`` int64, or one for all.
            condition: ``(B, conditions)``.
            index: The shower of every point of a flat array, ``(M,)``; None where there is only one.
        """
        context = torch.cat([self._time(step.expand(condition.shape[0])), condition], dim=-1)
        estimate: Tensor = self.net(x, context[:, None] if x.dim() == 3 else context, index)
        return estimate

    def loss(self, features: Tensor, condition: Tensor, rng: torch.Generator) -> Tensor:
        """Mean square error of the noise; one step per shower.

        Args:
            features: Clean points ``(B, K, 4)``.
            condition: ``(B, conditions)``.
            rng: Draws steps and noise.
        """
        device = features.device
        step = shares.integers(len(self.betas), (len(features),), rng, device=device)
        noise = shares.normal(features.shape, rng, device=device)
        share = self.shares[step].to(features.dtype)[:, None, None]
        return (self.predict(noised(features, noise, share), step, condition) - noise).square().mean()

    def sample(self, noise: Noise, condition: Tensor, counts: Tensor, sampler: AncestralConfig) -> Tensor:
        """Points ``(sum of counts, 4)``.

        Args:
            noise: Every step draws from a stream of its own.
            condition: ``(B, conditions)``.
            counts: Points per shower, ``(B,)``.
            sampler: How much noise a step adds.
        """

        def draw(step: int) -> Tensor:
            return noise.normal(f"points {step}", counts, _FEATURES)

        start = draw(len(self.betas))
        predict = partial(self._predict_all, condition=condition, index=rows_of(counts, start.shape[0]))
        return ancestral(predict, start, self.schedule, draw, flexibility=sampler.flexibility)

    def _predict_all(self, x: Tensor, step: int, *, condition: Tensor, index: Tensor) -> Tensor:
        parts = [self._predict_tile(x[rows], step, condition, index[rows]) for rows in tiles(x.shape[0])]
        return torch.cat(parts) if parts else x

    def _predict_tile(self, x: Tensor, step: int, condition: Tensor, index: Tensor) -> Tensor:
        condition, index = own_rows(condition, index)
        level = torch.tensor(step, device=x.device)
        return self.predict(x, level, condition, index if condition.shape[0] > 1 else None)

    def _time(self, step: Tensor) -> Tensor:
        if self.embed is None:
            beta = self.betas[step].to(torch.float32)[:, None]
            return torch.cat([beta, beta.sin(), beta.cos()], dim=-1)
        share = self.shares[step]
        embedded: Tensor = self.embed((((1 - share) / share).log() / 8).to(torch.float32))
        return embedded


def _embedding(config: PointDDPMConfig) -> tuple[nn.Module | None, int]:
    """The embedding of ln(sigma) / 4, as of CaloClouds II, and the features that tell the step."""
    if config.time == "beta":
        return None, 3
    size = config.time_features
    return nn.Sequential(FourierFeatures(size), nn.Linear(size, size), nn.LeakyReLU(0.01)), size
