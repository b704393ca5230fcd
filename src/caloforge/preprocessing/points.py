"""Points of a cloud to features of order one half, and back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import torch
from pydantic import Field

from caloforge.preprocessing.base import Fitted
from caloforge.records import Record

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["PointTransform", "PointTransformConfig"]

_MINIMUM_ENERGY = 1e-6  # MeV, keeps the logarithm finite
_SIGMA = 0.5  # the standard deviation that the diffusion's preconditioning expects
_LARGEST_BEND = 8.0  # 4.5 m from the axis at a core of 3 mm: an untrained network must not overflow
_LOG_ENERGIES = (-20.0, 16.0)  # ln MeV, for the same reason


class PointTransformConfig(Record):
    """How points become features."""

    kind: Literal["linear", "standard"] = "standard"
    """``linear`` is the paper's (lateral positions over ``half_width``, depth to [-1, 1], energies in MeV as
    they are); ``standard`` takes asinh of the lateral position and the logarithm of the energy, which keeps
    energies positive, and standardises everything."""
    half_width: float = Field(default=200.0, ge=1e-3, le=1e6)
    """Lateral positions of the linear kind are divided by it [mm]."""
    core: float = Field(default=3.0, ge=1e-3, le=1e6)
    """The asinh of the standard kind is linear below this distance from the axis [mm]."""


class PointTransform(Fitted):
    """Points (x, y [mm], depth [layers], energy [MeV]) to four features, and back.

    Positions are taken relative to the particle's axis: a shower at an angle is sheared upright.

    Args:
        config: Kind and scales.
        layer_z: Depth of every layer [mm], ``(L,)``.
    """

    layer_z: Tensor
    mean: Tensor
    std: Tensor

    def __init__(self, config: PointTransformConfig, layer_z: Tensor) -> None:
        super().__init__()
        self.config = config
        self.register_buffer("layer_z", layer_z.to(torch.float32))
        self.register_buffer("mean", torch.zeros(4))
        self.register_buffer("std", torch.ones(4))

    def fit(self, points: Tensor, slope: Tensor) -> None:
        """Take means and standard deviations from points ``(B, K, 4)`` with slopes ``(B, 2)``."""
        if self.config.kind == "standard":
            features = self._bend(points, slope[:, None]).flatten(0, -2)
            self.mean.copy_(features.mean(0))
            self.std.copy_(features.std(0))
            lateral = self.std[:2].square().mean().sqrt()
            self.mean[:2], self.std[:2] = 0.0, lateral  # the square's symmetries stay exact
        self._done()

    def forward(self, points: Tensor, slope: Tensor) -> Tensor:
        """Points ``(..., 4)`` to features; ``slope`` = tan(theta) (cos phi, sin phi) broadcasts."""
        self._require_fitted()
        bent = self._bend(points, slope)
        return (bent - self.mean) / self.std * (_SIGMA if self.config.kind == "standard" else 1.0)

    def inverse(self, features: Tensor) -> Tensor:
        """Features ``(..., 4)`` to upright points; add the axis with ``axis`` after placing layers."""
        self._require_fitted()
        scale = _SIGMA if self.config.kind == "standard" else 1.0
        bent = features / scale * self.std + self.mean
        if self.config.kind == "linear":
            half = len(self.layer_z) / 2
            depth = (bent[..., 2:3] + 1) * half
            energy = bent[..., 3:].clamp_min(0.0)
            return torch.cat([bent[..., :2] * self.config.half_width, depth, energy], dim=-1)
        lateral = bent[..., :2].clamp(-_LARGEST_BEND, _LARGEST_BEND).sinh() * self.config.core
        return torch.cat([lateral, bent[..., 2:3], bent[..., 3:].clamp(*_LOG_ENERGIES).exp()], dim=-1)

    def axis(self, layer: Tensor, slope: Tensor) -> Tensor:
        """Where the particle's axis crosses the layers, x and y [mm], ``(..., 2)``."""
        last = len(self.layer_z) - 1
        return slope * self.layer_z[layer.long().clamp(0, last)][..., None]

    def _bend(self, points: Tensor, slope: Tensor) -> Tensor:
        lateral = points[..., :2] - self.axis(points[..., 2], slope)
        if self.config.kind == "linear":
            half = len(self.layer_z) / 2
            parts = [lateral / self.config.half_width, points[..., 2:3] / half - 1, points[..., 3:]]
            return torch.cat(parts, dim=-1)
        energy = points[..., 3:].clamp_min(_MINIMUM_ENERGY).log()
        return torch.cat([(lateral / self.config.core).asinh(), points[..., 2:3], energy], dim=-1)
