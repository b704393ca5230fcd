"""The papers' energies of layers: a masked autoregressive flow of them, given the incident energy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import torch
from pydantic import Field

from caloforge import shares
from caloforge.nn import MaskedFlow, MaskedFlowConfig
from caloforge.preprocessing.base import Fitted
from caloforge.records import Record

if TYPE_CHECKING:
    from torch import Tensor

    from caloforge.models.base import Noise

__all__ = ["EnergyFlow", "EnergyFlowConfig"]

_NOISE = (1e-3, 2e-4)  # MeV, mean and width of what is added to every layer
_ALPHA = 1e-6  # of the logit
_ATTEMPTS = 20  # to draw a shower that is not vetoed


class EnergyFlowConfig(Record):
    """The flow of the layers' energies; the defaults are those of arXiv:2405.20407."""

    kind: Literal["flow"] = "flow"
    """Tells it from ``splits``."""
    flow: MaskedFlowConfig = MaskedFlowConfig()
    """Sizes."""
    veto: float = Field(default=0.0, ge=0, le=1e9)
    """Showers whose layers have more than this times the incident energy are drawn again; 0 for none."""


class EnergyFlow(Fitted):
    """Energies of all layers, divided by somewhat more than the largest and put through a logit.

    Args:
        config: Sizes.
        n_layers: Layers ``L``.
        conditions: Size of the condition of a shower.
    """

    features = 1
    """Numbers of a layer that the flows of voxels are told."""
    unit: Tensor

    def __init__(self, config: EnergyFlowConfig, n_layers: int, conditions: int) -> None:
        super().__init__()
        self.n_layers, self.veto = n_layers, config.veto
        self.flow = MaskedFlow(n_layers, conditions, config.flow)
        self.register_buffer("unit", torch.ones(()))

    def fit(self, energies: Tensor) -> None:
        """Take the scale from energies of layers [MeV], ``(B, L)``."""
        self.unit.copy_(1.05 * energies.max().clamp_min(_NOISE[0]))
        self._done()

    def loss(self, energies: Tensor, condition: Tensor, rng: torch.Generator) -> Tensor:
        """Negative log-likelihood per layer of energies [MeV], ``(B, L)``."""
        self._require_fitted()
        noise = shares.normal(energies.shape, rng, device=energies.device)
        share = (energies.float() + _NOISE[0] + _NOISE[1] * noise) / self.unit
        value = torch.logit(_ALPHA + (1 - 2 * _ALPHA) * share.clamp(0, 1))
        return -self.flow.log_prob(value, condition).mean() / self.n_layers

    def sample(self, incident: Tensor, condition: Tensor, noise: Noise) -> Tensor:
        """Energies of layers [MeV], ``(B, L)`` float64, given incident energies [MeV], ``(B,)``."""
        self._require_fitted()
        energies = self._drawn("energies", condition, noise)
        for attempt in range(1, _ATTEMPTS):
            vetoed = energies.sum(1) > self.veto * incident if self.veto else energies.new_zeros(0)
            if not bool(vetoed.any()):
                break
            again = self._drawn(f"energies again {attempt}", condition, noise)
            energies = torch.where(vetoed[:, None], again, energies)
        return energies

    def _drawn(self, stage: str, condition: Tensor, noise: Noise) -> Tensor:
        value = self.flow.sample(noise.normal(stage, 1, self.n_layers).float(), condition).double()
        share = (torch.sigmoid(value) - _ALPHA) / (1 - 2 * _ALPHA)
        return (share * self.unit - _NOISE[0]).clamp_min(0.0)
