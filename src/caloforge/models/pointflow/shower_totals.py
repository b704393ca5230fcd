"""Number of hits and energy sum of a shower as the target of a flow (arXiv:2403.15782)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from caloforge import shares
from caloforge.preprocessing.base import Fitted
from caloforge.preprocessing.trend import least_squares, powers

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["ROOM", "ShowerTotals"]

_RIDGE = 1e-6  # times the number of showers: few of them, or showers of one energy, have no trend
_SMALLEST = 1e-3  # a deviation that is smaller counts as this
ROOM = 1.5
"""A shower has at most so many times the largest number of hits that was seen; more at higher energies."""


class ShowerTotals(Fitted):
    """n' = ln(n + U) - ln(E_in) / 2 and e' = ln E_sum - ln E_in, standardised.

    Published are one mean and one standard deviation each (``degree`` 0). Polynomials in ln E_in
    follow the showers' trend instead: what is left for the flow is close to normal at every energy.

    Args:
        degree: Of the polynomials.
    """

    mean: Tensor
    log_spread: Tensor
    most: Tensor

    def __init__(self, degree: int) -> None:
        super().__init__()
        self.degree = degree
        self.register_buffer("mean", torch.zeros(degree + 1, 2, dtype=torch.float64))
        self.register_buffer("log_spread", torch.zeros(degree + 1, 2, dtype=torch.float64))
        self.register_buffer("most", torch.ones((), dtype=torch.float64))

    def fit(
        self, counts: Tensor, total: Tensor, energy: Tensor, condition: Tensor, rng: torch.Generator
    ) -> None:
        """Take means and widths from showers; arguments as of ``forward``."""
        raw, terms = _raw(counts, total, energy, rng), powers(condition, self.degree)
        ridge = _RIDGE * len(terms)
        self.mean.copy_(least_squares(terms, raw, ridge=ridge))
        deviation = raw - terms @ self.mean
        self.log_spread.copy_(least_squares(terms, deviation.abs().clamp_min(_SMALLEST).log(), ridge=ridge))
        scaled = deviation / (terms @ self.log_spread).exp()
        self.log_spread[0] += scaled.std(dim=0, correction=0).clamp_min(_SMALLEST).log()
        self.most.copy_(ROOM * counts.max())
        self._done()

    def forward(
        self, counts: Tensor, total: Tensor, energy: Tensor, condition: Tensor, rng: torch.Generator
    ) -> Tensor:
        """The flow's target ``(B, 2)``.

        Args:
            counts: Hits, ``(B,)``.
            total: Energy sums [MeV], ``(B,)``.
            energy: Incident energies [MeV], ``(B,)``.
            condition: Scaled logarithms of the incident energies, ``(B, 1)``.
            rng: Of the uniform noise U.
        """
        self._require_fitted()
        terms = powers(condition, self.degree)
        scaled = (_raw(counts, total, energy, rng) - terms @ self.mean) / (terms @ self.log_spread).exp()
        return scaled.to(torch.float32)

    def inverse(self, target: Tensor, energy: Tensor, condition: Tensor) -> tuple[Tensor, Tensor]:
        """Numbers of hits ``(B,)`` int64, one or more, and energy sums ``(B,)`` [MeV]."""
        self._require_fitted()
        terms = powers(condition, self.degree)
        raw = target.double() * (terms @ self.log_spread).exp() + terms @ self.mean
        hits, visible = (raw + _offsets(energy)).clamp(max=30.0).exp().unbind(1)
        return hits.floor().clamp_min(1).to(torch.int64), visible.to(torch.float32)

    @property
    def largest(self) -> float:
        """Largest number of hits that was seen."""
        return float(self.most) / ROOM


def _offsets(energy: Tensor) -> Tensor:
    log = energy.double().log()
    return torch.stack([log / 2, log], dim=1)


def _raw(counts: Tensor, total: Tensor, energy: Tensor, rng: torch.Generator) -> Tensor:
    uniform = shares.uniform((len(counts),), rng, dtype=torch.float64, device=counts.device)
    hits = (counts + uniform).clamp_min(0.5).log()
    visible = total.double().clamp_min(1e-6).log()
    return torch.stack([hits, visible], dim=1) - _offsets(energy)
