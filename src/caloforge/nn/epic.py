"""Equivariant point cloud layers (EPiC, arXiv:2301.08128) and an encoder of clouds made of them.

Source of the encoder: CaloClouds (arXiv:2305.04847). Every linear layer has its weights normalised
(arXiv:1602.07868), as there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.nn.functional import leaky_relu
from torch.nn.utils.parametrizations import weight_norm

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["EPiCEncoder", "EPiCLayer"]

_SUM_SCALE = 1e-3  # sums over a thousand points are of order one


class EPiCLayer(nn.Module):
    """Lets points and a vector of their cloud update each other.

    Args:
        width: Features of a point.
        latent: Features of the cloud's vector.
        context: Size of the condition of a cloud.
    """

    def __init__(self, width: int, latent: int, context: int) -> None:
        super().__init__()
        self.gather = _linear(2 * width + latent + context, width)
        self.update = _linear(width, latent)
        self.scatter = _linear(width + latent + context, width)
        self.refine = _linear(width, width)

    def forward(
        self, points: Tensor, cloud: Tensor, context: Tensor, number: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Update points ``(B, K, width)`` and clouds ``(B, latent)``.

        Args:
            points: Features of the points.
            cloud: Features of the clouds.
            context: Conditions of the clouds, ``(B, context)``.
            number: Points that a cloud has, of which ``K`` are a sample, ``(B,)``.
        """
        pooled = torch.cat([_pool(points, number), cloud, context], dim=1)
        cloud = leaky_relu(self.update(leaky_relu(self.gather(pooled))) + cloud)
        spread = _beside(points, torch.cat([cloud, context], dim=1))
        points = leaky_relu(self.refine(leaky_relu(self.scatter(spread))) + points)
        return points, cloud


class EPiCEncoder(nn.Module):
    """Mean and logarithm of the variance of a cloud's latent vector; the points' order does not matter.

    Args:
        features: Features of a point.
        context: Size of the condition of a cloud.
        width: Features inside.
        latent: Size of the latent vector.
        layers: EPiC layers.
    """

    def __init__(
        self, features: int, context: int, *, width: int = 128, latent: int = 256, layers: int = 3
    ) -> None:
        super().__init__()
        self.point = _linear(features + context, width)
        self.refine = _linear(width, width)
        self.gather = _linear(2 * width + context, width)
        self.cloud = _linear(width, latent)
        self.layers = nn.ModuleList(EPiCLayer(width, latent, context) for _ in range(layers))
        self.summarise = _linear(2 * width + latent + context, width)
        self.finish = _linear(width, width)
        self.mean = _linear(width, latent)
        self.log_variance = _linear(width, latent)

    def forward(self, points: Tensor, context: Tensor, number: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and ln(variance), ``(B, latent)`` each.

        Args:
            points: Points ``(B, K, features)``, a sample of every cloud: no padding.
            context: Conditions of the clouds, ``(B, context)``.
            number: Points that a cloud has: sums are those of the whole cloud, ``(B,)``.
        """
        points = leaky_relu(self.point(_beside(points, context)))
        points = leaky_relu(self.refine(points) + points)
        pooled = torch.cat([_pool(points, number), context], dim=1)
        cloud = leaky_relu(self.cloud(leaky_relu(self.gather(pooled))))
        for layer in self.layers:
            points, cloud = layer(points, cloud, context, number)
        pooled = torch.cat([_pool(points, number), cloud, context], dim=1)
        summary = leaky_relu(self.summarise(pooled))
        summary = leaky_relu(self.finish(summary) + summary)
        return self.mean(summary), self.log_variance(summary)


def _linear(inputs: int, outputs: int) -> nn.Module:
    layer: nn.Module = weight_norm(nn.Linear(inputs, outputs))
    return layer


def _pool(points: Tensor, number: Tensor) -> Tensor:
    """Mean and scaled sum of a cloud, ``(B, 2 F)``."""
    mean = points.mean(1)
    return torch.cat([mean, mean * (_SUM_SCALE * number[:, None])], dim=1)


def _beside(points: Tensor, cloud: Tensor) -> Tensor:
    """Give every point the vector of its cloud, ``(B, K, F + C)``."""
    return torch.cat([points, cloud[:, None].expand(-1, points.shape[1], -1)], dim=-1)
