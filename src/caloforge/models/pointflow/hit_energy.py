"""Energies of single hits as a feature of a point, and the way back to a shower's energy sum."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal

import torch

from caloforge.nn.sets import segment_sum
from caloforge.preprocessing.base import Fitted
from caloforge.preprocessing.quantiles import QuantileTransform

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["EnergyScaling", "HitEnergy", "share_energy"]

EnergyScaling = Literal["fraction", "quantile"]

_EDGE = 1e-6  # the logit stays away from 0 and 1 by this
_KNOTS, _REACH = 145, 4.5  # of the table of quantiles


class HitEnergy(Fitted):
    """Energies to numbers of order one.

    ``fraction``, as published: e_i / E_sum, from its range in the data to (0, 1), logit,
    standardised. Hits below the threshold come out of it, and a soft hit is a small number next to
    the hardest, where the logit is steep. ``quantile``: the logarithm of e_i / threshold, by a
    table of its quantiles, to a standard normal distribution; no energy leaves the data's range,
    and none falls below the threshold.

    Args:
        scaling: ``fraction`` or ``quantile``.
        threshold: Of the read-out [MeV].
    """

    low: Tensor
    high: Tensor
    mean: Tensor
    spread: Tensor

    def __init__(self, scaling: EnergyScaling, threshold: float) -> None:
        super().__init__()
        self.scaling = scaling
        self.threshold = threshold
        if scaling == "quantile":
            self.table = QuantileTransform(_KNOTS, reach=_REACH)
        else:
            for name in ("low", "high", "mean", "spread"):
                self.register_buffer(name, torch.zeros((), dtype=torch.float64))

    @property
    def floor(self) -> float:
        """What every hit has at least [MeV]."""
        return self.threshold if self.scaling == "quantile" else 0.0

    def fit(self, energy: Tensor, total: Tensor) -> None:
        """Take the scales from energies ``(M,)`` and the sums of their showers ``(M,)`` [MeV]."""
        if self.scaling == "quantile":
            lowest = math.log(self.threshold) if self.threshold > 0 else None
            self.table.fit(energy.double().log(), lowest=lowest)
        else:
            fraction = energy.double() / total.double()
            self.low.copy_(fraction.min())
            self.high.copy_(fraction.max().clamp_min(fraction.min() * 1.01))
            logit = self._logit(fraction)
            self.mean.copy_(logit.mean())
            self.spread.copy_(logit.std(correction=0).clamp_min(1e-3))
        self._done()

    def forward(self, energy: Tensor, total: Tensor) -> Tensor:
        """Features ``(M,)``; arguments as of ``fit``."""
        self._require_fitted()
        if self.scaling == "quantile":
            normal: Tensor = self.table(energy.double().log())
            return normal
        feature: Tensor = (self._logit(energy.double() / total.double()) - self.mean) / self.spread
        return feature.to(torch.float32)

    def inverse(self, feature: Tensor, total: Tensor) -> Tensor:
        """Energies ``(M,)`` [MeV] of features ``(M,)``; they do not sum to ``total`` ``(M,)`` yet."""
        self._require_fitted()
        if self.scaling == "quantile":
            return self.table.inverse(feature).exp().clamp_min(self.threshold)
        share = torch.sigmoid(feature.double() * self.spread + self.mean)
        fraction = self.low + (self.high - self.low) * (share - _EDGE) / (1 - 2 * _EDGE)
        energy: Tensor = fraction.clamp_min(0.0) * total
        return energy.to(torch.float32)

    def _logit(self, fraction: Tensor) -> Tensor:
        share = ((fraction - self.low) / (self.high - self.low)).clamp(0, 1)
        return torch.logit(_EDGE + (1 - 2 * _EDGE) * share)


def share_energy(energy: Tensor, index: Tensor, total: Tensor, *, floor: float) -> Tensor:
    """Scale what hits have above ``floor`` so that every shower's energies sum to its ``total``.

    Args:
        energy: Energies, ``(M,)`` [MeV].
        index: Shower of every hit, ``(M,)``.
        total: Sums wanted, ``(B,)`` [MeV]; a sum below ``floor`` for every hit counts as that.
        floor: What every hit has at least [MeV].
    """
    above = (energy - floor).clamp_min(0.0).double()
    columns = torch.stack([above, torch.ones_like(above)], dim=1)
    sums, number = segment_sum(columns, index, total.shape[0]).unbind(1)
    wanted = (total.double() - floor * number).clamp_min(0.0)
    empty = sums <= 0
    factor = wanted / sums.masked_fill(empty, 1.0)
    equal = wanted / number.clamp_min(1.0)
    shared = torch.where(empty[index], equal[index], above * factor[index])
    return (floor + shared).to(torch.float32).clamp_min(floor)
