"""Number of hits and energy sum of a shower as numbers of order one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from caloforge.preprocessing.base import Fitted
from caloforge.preprocessing.trend import MEAN_LOG_NORMAL, least_squares, powers

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["Totals"]

_RIDGE = 1e-3  # of a row: few showers do not explode
_SMALLEST = 1e-4  # a residual that is smaller counts as this


class Totals(Fitted):
    """E_sum / E and (n + u) / sqrt(E), standardised (CaloPointFlow, NeurIPS ML4PS 2022).

    Args:
        degree: Of the polynomials in the condition that the mean and the logarithm of the width are.
            0 is as published: one mean and one width. Above, a flow need not learn the response.
    """

    mean: Tensor
    log_width: Tensor
    centre: Tensor
    width: Tensor

    def __init__(self, *, degree: int) -> None:
        super().__init__()
        self.degree = degree
        for name in ("mean", "log_width"):
            self.register_buffer(name, torch.zeros(degree + 1, 2, dtype=torch.float64))
        self.register_buffer("centre", torch.zeros(2, dtype=torch.float64))
        self.register_buffer("width", torch.ones(2, dtype=torch.float64))

    def fit(self, raw: Tensor, condition: Tensor) -> None:
        """Take means and widths from ``raw`` ``(B, 2)`` and conditions ``(B, 1)``."""
        self.centre.copy_(raw.mean(0))
        self.width.copy_(raw.std(0, correction=0).clamp_min(_SMALLEST))
        terms = powers(condition, self.degree)
        standard = (raw - self.centre) / self.width
        self.mean.copy_(least_squares(terms, standard, ridge=_RIDGE))
        residual = (standard - terms @ self.mean).abs().clamp_min(_SMALLEST)
        self.log_width.copy_(least_squares(terms, residual.log() - MEAN_LOG_NORMAL, ridge=_RIDGE))
        if not self.degree:
            self.log_width.zero_()
        self._done()

    @staticmethod
    def raw(counts: Tensor, visible: Tensor, energy: Tensor, uniform: Tensor) -> Tensor:
        """E_sum / E and (n + u) / sqrt(E), ``(B, 2)`` float64, of showers ``(B,)``."""
        energy = energy.double()
        return torch.stack([visible.double() / energy, (counts + uniform.double()) / energy.sqrt()], dim=1)

    def forward(self, raw: Tensor, condition: Tensor) -> Tensor:
        """Numbers of order one ``(B, 2)`` given the condition: what a flow models."""
        self._require_fitted()
        terms = powers(condition, self.degree)
        standard = (raw - self.centre) / self.width
        return ((standard - terms @ self.mean) * (-(terms @ self.log_width)).exp()).float()

    def inverse(self, target: Tensor, condition: Tensor) -> Tensor:
        """``raw`` of what a flow drew, ``(B, 2)`` float64."""
        self._require_fitted()
        terms = powers(condition, self.degree)
        standard = target.double() * (terms @ self.log_width).exp() + terms @ self.mean
        return standard * self.width + self.centre

    def plain(self, raw: Tensor) -> Tensor:
        """Numbers of order one ``(B, 2)`` whatever the condition: what other networks get."""
        return ((raw - self.centre) / self.width).float()

    @staticmethod
    def split(raw: Tensor, energy: Tensor) -> tuple[Tensor, Tensor]:
        """Hits (at least one) and energy sum [MeV] ``(B,)`` of ``raw``."""
        energy = energy.double()
        counts = (raw[:, 1] * energy.sqrt()).floor().clamp_min(1.0)
        return counts.long(), (raw[:, 0] * energy).clamp_min(0.0)
