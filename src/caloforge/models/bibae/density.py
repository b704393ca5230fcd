"""The flow that draws a shower's visible energy and the encoded part of its latent vector."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import nn

from caloforge.nn import ConditionalFlow
from caloforge.preprocessing.base import Fitted
from caloforge.units import GEV

if TYPE_CHECKING:
    from torch import Tensor

    from caloforge.models.bibae.config import DensityConfig

__all__ = ["Density", "Drawn"]

_VISIBLE_UNIT = 10 * GEV
_LATENT_UNIT = 10.0
_NARROWEST = 1e-3  # width of the logarithm of the visible over the incident energy


class Drawn(NamedTuple):
    """What the flow draws.

    Attributes:
        visible: Visible energies [MeV], ``(B,)``.
        latent: Encoded components, ``(B, latent)``; None where they are not drawn.
    """

    visible: Tensor
    latent: Tensor | None


class Density(nn.Module):
    """Density of (visible energy, encoded components) given the particle (2303.18150).

    Args:
        config: Sizes.
        latent: Encoded components.
        conditions: Numbers that it is told of the particle.
    """

    def __init__(self, config: DensityConfig, latent: int, conditions: int) -> None:
        super().__init__()
        self.scale = VisibleScale() if config.relative else None
        self._latent_unit = 1.0 if config.relative else _LATENT_UNIT
        self.features = 1 + latent * config.latent
        self.flow = ConditionalFlow(
            self.features,
            conditions,
            blocks=config.blocks,
            couplings=config.couplings,
            hidden=config.hidden,
            spline_hidden=config.spline_hidden,
            bins=config.bins,
        )

    def log_prob(self, drawn: Drawn, energy: Tensor, conditions: Tensor) -> Tensor:
        """Logarithms ``(B,)`` of the density of visible energy and components, in the flow's units.

        Args:
            drawn: What showers have.
            energy: Incident energies [MeV], ``(B,)``.
            conditions: Of the flow, ``(B, C)``.
        """
        visible = drawn.visible / _VISIBLE_UNIT if self.scale is None else self.scale(drawn.visible, energy)
        columns = [visible.float()[:, None]]
        if self.features > 1 and drawn.latent is not None:
            columns.append(drawn.latent / self._latent_unit)
        return self.flow.log_prob(torch.cat(columns, dim=1), conditions)

    def sample(self, normal: Tensor, energy: Tensor, conditions: Tensor) -> Drawn:
        """Draw for each condition, out of normal numbers ``(B, features)``."""
        made = self.flow.sample(normal.float(), conditions)
        visible, latent = made[:, 0], made[:, 1:] * self._latent_unit
        visible = visible * _VISIBLE_UNIT if self.scale is None else self.scale.inverse(visible, energy)
        return Drawn(visible.clamp_min(0.0), latent if self.features > 1 else None)


class VisibleScale(Fitted):
    """The logarithm of the visible over the incident energy, scaled to mean 0 and width 1."""

    mean: Tensor
    width: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros((), dtype=torch.float64))
        self.register_buffer("width", torch.ones((), dtype=torch.float64))

    def fit(self, visible: Tensor, energy: Tensor) -> None:
        """Take mean and width of showers with energy, ``(B,)`` each."""
        share = (visible.double() / energy)[visible > 0].log()
        self.mean.copy_(share.mean())
        self.width.copy_(share.std().clamp_min(_NARROWEST))
        self._done()

    def forward(self, visible: Tensor, energy: Tensor) -> Tensor:
        """Scaled numbers of visible energies [MeV]."""
        self._require_fitted()
        share = visible.double() / energy
        return (share.clamp_min(1e-9).log() - self.mean) / self.width

    def inverse(self, scaled: Tensor, energy: Tensor) -> Tensor:
        """Visible energies [MeV], at most ten times the incident ones."""
        self._require_fitted()
        return (scaled.double() * self.width + self.mean).clamp(-20.0, 2.3).exp() * energy
