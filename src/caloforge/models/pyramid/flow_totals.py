"""Number of hits and energy of every hit layer: what the lower stages of the pyramid share."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from caloforge import shares
from caloforge.nn import SplineFlow
from caloforge.preprocessing.base import Fitted
from caloforge.preprocessing.trend import MEAN_LOG_NORMAL, least_squares, powers
from caloforge.preprocessing.whitening import Axes, filled, principal_axes

if TYPE_CHECKING:
    from torch import Tensor

    from caloforge.models.base import Noise
    from caloforge.nn import SplineFlowConfig

__all__ = ["FlowTotals"]

_SMALLEST = 1e-4  # MeV above threshold a cell, so that the logarithm is finite
_NARROWEST = 1e-3  # a residual that is smaller counts as this
_DEGREE = 3  # of the polynomials in the energy that the means follow
_SPREAD_TERMS = 3  # powers of the energy that the spread's logarithm follows
_LOGS = (-12.0, 16.0)  # ln MeV and ln hits, so that an untrained network does not overflow


class FlowTotals(Fitted):
    """A flow of ln(visible energy), and ln(hits) and ln(mean energy above threshold) of the hit layers.

    Trend and spread as functions of the incident energy are taken out and the rest is decorrelated
    before the flow sees it: how deep a shower lies shows in all layers together, which a few
    thousand showers must teach. Hits are dequantised. Layers without a hit are filled with noise that nobody
    looks at.

    Args:
        config: Sizes of the flow.
        n_layers: Layers ``L``.
        threshold: Of the cells [MeV].
        conditions: Size of the condition.
        contained: Scale the layers' energies to the visible energy that is drawn with them. Right
            where showers are contained: it fluctuates less than any layer then. Otherwise its long
            tail to small values is better left to the layers.
    """

    weights: Tensor
    spread: Tensor
    basis: Tensor
    stretch: Tensor

    def __init__(
        self,
        config: SplineFlowConfig,
        n_layers: int,
        threshold: float,
        conditions: int,
        *,
        contained: bool = False,
    ) -> None:
        super().__init__()
        self.n_layers, self.threshold, self.contained = n_layers, threshold, contained
        size = 2 * n_layers + 1
        self.flow = SplineFlow(size, config, shared=conditions + n_layers)
        self.register_buffer("weights", torch.zeros(_DEGREE + 1, size, dtype=torch.float64))
        self.register_buffer("spread", torch.zeros(_SPREAD_TERMS, size, dtype=torch.float64))
        self.register_buffer("basis", torch.eye(size, dtype=torch.float64))
        self.register_buffer("stretch", torch.ones(size, dtype=torch.float64))

    def fit(self, counts: Tensor, energies: Tensor, condition: Tensor, rng: torch.Generator) -> None:
        """Take trends and correlations; arguments as of ``log_prob``."""
        terms, raw = powers(condition, _DEGREE), self._logarithms(counts, energies, rng)
        known = _known(counts)
        for column in range(self.features):
            rows = known[:, column]
            if int(rows.sum()) > 1:
                self.weights[:, column] = least_squares(terms[rows], raw[rows, column])
                rest = raw[rows, column] - terms[rows] @ self.weights[:, column]
                log_spread = rest.abs().clamp_min(_NARROWEST).log() - MEAN_LOG_NORMAL
                self.spread[:, column] = least_squares(terms[rows, :_SPREAD_TERMS], log_spread)
                # tails are wider than a normal distribution's: one on the whole all the same
                scaled = rest / self._scales(terms[rows])[:, column]
                self.spread[0, column] += 0.5 * scaled.square().mean().log()
        axes = principal_axes(self._scaled(raw, known, terms, rng))
        self.basis.copy_(axes.basis)
        self.stretch.copy_(axes.stretch)
        self._done()

    def log_prob(self, counts: Tensor, energies: Tensor, condition: Tensor, rng: torch.Generator) -> Tensor:
        """Log-densities ``(B,)``.

        Args:
            counts: Hits of the layers, ``(B, L)``.
            energies: Their energies [MeV], ``(B, L)``.
            condition: ``(B, C)``.
            rng: Draws the hits' fractions and what fills layers without hits.
        """
        self._require_fitted()
        raw, known = self._logarithms(counts, energies, rng), _known(counts)
        white = Axes(self.basis, self.stretch).whiten(
            self._scaled(raw, known, powers(condition, _DEGREE), rng)
        )
        return self.flow.log_prob(white.to(torch.float32), _context(counts > 0, condition))

    def sample(self, pattern: Tensor, condition: Tensor, noise: Noise) -> tuple[Tensor, Tensor]:
        """Hits (whole numbers) and energies [MeV] of the layers marked by ``pattern``, ``(B, L)`` each."""
        self._require_fitted()
        white = self.flow.sample(noise.normal("totals", 1, self.features), _context(pattern, condition))
        scaled = Axes(self.basis, self.stretch).restore(white)
        terms = powers(condition, _DEGREE)
        values = (scaled * self._scales(terms) + terms @ self.weights).clamp(*_LOGS).exp()
        visible, hits, excess = values[:, :1], *values[:, 1:].chunk(2, dim=1)
        counts = hits.floor().clamp_min(1.0) * pattern
        above, floor = counts * excess, counts * self.threshold
        if not self.contained:
            return counts, floor + above
        wanted = (visible - floor.sum(1, keepdim=True)).clamp_min(0.0)
        return counts, floor + above * wanted / above.sum(1, keepdim=True).clamp_min(_SMALLEST)

    @property
    def features(self) -> int:
        """Numbers of a shower: the visible energy, hits and mean energies of the layers."""
        return 2 * self.n_layers + 1

    def _logarithms(self, counts: Tensor, energies: Tensor, rng: torch.Generator) -> Tensor:
        share = shares.uniform(counts.shape, rng, dtype=torch.float64, device=counts.device)
        excess = energies.double() / counts.clamp_min(1) - self.threshold
        visible = energies.double().sum(1, keepdim=True).clamp_min(_SMALLEST)
        parts = [visible, (counts + share).clamp_min(1.0), excess.clamp_min(_SMALLEST)]
        return torch.cat(parts, dim=1).log()

    def _scaled(self, raw: Tensor, known: Tensor, terms: Tensor, rng: torch.Generator) -> Tensor:
        return filled((raw - terms @ self.weights) / self._scales(terms), known, rng)

    def _scales(self, terms: Tensor) -> Tensor:
        return (terms[:, :_SPREAD_TERMS] @ self.spread).exp()


def _known(counts: Tensor) -> Tensor:
    """What of a shower's numbers means something, ``(B, 2 L + 1)``."""
    hit = counts > 0
    return torch.cat([torch.ones_like(hit[:, :1]), hit, hit], dim=1)


def _context(pattern: Tensor, condition: Tensor) -> Tensor:
    return torch.cat([condition, pattern.to(condition.dtype)], dim=1)
