"""A shower's points to a latent vector: the encoder of PointFlow-like models.

The encoder of a particle flow network: every point by itself, the mean over the points, then the
mean and the width of a Gaussian in the latent space. The mean makes it blind to the points' order.
It is trained by the evidence lower bound with a flow as the prior (arXiv:1906.12320; equation 1 of
CaloPointFlow, NeurIPS ML4PS 2022; arXiv:2403.15782).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field
from torch import nn

from caloforge.models.base import ModelConfig
from caloforge.nn import Posterior, mlp, segment_mean
from caloforge.records import Width, Widths  # noqa: TC001 (pydantic reads the annotations)

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["PointEncoder", "PointEncoderConfig"]

_ACTIVATIONS = {"relu": nn.ReLU, "leaky-relu": nn.LeakyReLU, "gelu": nn.GELU}
_LOG_VARIANCE = (-16.0, 8.0)  # a width far out is not learnt from, but overflows


class PointEncoderConfig(ModelConfig):
    """Sizes of an encoder; the defaults are those of CaloPointFlow."""

    element: Widths = Field(default=(8, 16, 32, 64, 128, 256), min_length=1)
    """Widths before the mean, each with an activation; one more layer as wide as the last follows without."""
    pooled: Widths = (256, 256, 256, 256)
    """Widths behind the mean, each with an activation."""
    latent: Width = 256
    """Latent numbers."""
    activation: Literal["relu", "leaky-relu", "gelu"] = "leaky-relu"
    """Between the layers."""


class PointEncoder(nn.Module):
    """Points of showers to Gaussians in the latent space, whatever their number and order.

    Args:
        features: Of a point.
        config: Sizes.
    """

    def __init__(self, features: int, config: PointEncoderConfig) -> None:
        super().__init__()
        activation = _ACTIVATIONS[config.activation]
        width = config.element[-1]
        self.element = mlp((features, *config.element, width), activation=activation)
        layers: list[nn.Module] = []
        for wider in config.pooled:
            layers += [nn.Linear(width, wider), activation()]
            width = wider
        self.pooled = nn.Sequential(*layers)
        self.mean = nn.Linear(width, config.latent)
        self.log_variance = nn.Linear(width, config.latent)

    def forward(self, points: Tensor, index: Tensor, size: int) -> Posterior:
        """Encode ``size`` showers.

        Args:
            points: All points, ``(M, features)``.
            index: The shower of every point, ``(M,)``.
            size: Showers.
        """
        summary = self.pooled(segment_mean(self.element(points), index, size))
        return Posterior(self.mean(summary), self.log_variance(summary).clamp(*_LOG_VARIANCE))
