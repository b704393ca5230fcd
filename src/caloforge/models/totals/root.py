"""The whole shower: its weighted energy, hits and mean energies of its regions."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import nn

from caloforge.preprocessing.trend import MEAN_LOG_NORMAL, least_squares, powers

if TYPE_CHECKING:
    from torch import Tensor

    from caloforge.models.base import Noise

__all__ = ["Root", "log_mean"]

_DEGREE = 3
_SPREAD_DEGREE = 2
_NARROWEST = 1e-3
_RIDGE = 1e-3
_NEIGHBOURS = 0.03  # of all showers are near in energy, on either side
_JITTER = 1e-9


class Root(nn.Module):
    """Trends in the incident energy, and residuals of real showers of like energy, a little smeared.

    Args:
        regions: Regions ``R``; a shower has ``1 + 2 R`` numbers.
        size: Most showers that are kept.
        smooth: Width of the smearing in units of the residuals' covariance; the variance stays.
        conditions: Size of the condition of a shower, ``C``.
    """

    trend: Tensor
    spread: Tensor
    energy: Tensor
    residual: Tensor
    factor: Tensor
    number: Tensor

    def __init__(self, regions: int, *, size: int, smooth: float, conditions: int = 1) -> None:
        super().__init__()
        self.regions, self.smooth = regions, smooth
        columns = 1 + 2 * regions
        for name, shape in {
            "trend": (_DEGREE + conditions, columns),
            "spread": (_SPREAD_DEGREE + 1, columns),
            "factor": (columns, columns),
        }.items():
            self.register_buffer(name, torch.zeros(shape, dtype=torch.float64))
        self.register_buffer("energy", torch.zeros(size, dtype=torch.float32))
        self.register_buffer("residual", torch.zeros(size, columns, dtype=torch.float16))
        self.register_buffer("number", torch.ones((), dtype=torch.int64))

    def fit(
        self, hits: Tensor, energy: Tensor, incident: Tensor, condition: Tensor, rng: torch.Generator
    ) -> None:
        """Take trends and residuals.

        Args:
            hits: Of whole showers, ``(B, R)``.
            energy: Above threshold and weighted [MeV], ``(B, R)``.
            incident: Incident energies [MeV], ``(B,)``.
            condition: ``(B, C)``, the scaled logarithm of the incident energy first.
            rng: Draws the hits' fractions and the showers that are kept.
        """
        values, terms = _values(hits, energy, incident, rng), _terms(condition)
        self.trend.copy_(least_squares(terms, values, ridge=_RIDGE))
        rest = values - terms @ self.trend
        logs = rest.abs().clamp_min(_NARROWEST).log() - MEAN_LOG_NORMAL
        self.spread.copy_(least_squares(terms[:, : _SPREAD_DEGREE + 1], logs, ridge=_RIDGE))
        rest = rest / self._scale(terms)
        kept = torch.randperm(len(rest), generator=rng)[: len(self.energy)]
        kept = kept[condition[kept, 0].argsort()]
        self.number.fill_(len(kept))
        self.energy[: len(kept)] = condition[kept, 0].float()
        self.residual[: len(kept)] = rest[kept].to(self.residual)
        self.factor.copy_(_root_of(rest.T.cov()))

    def sample(self, incident: Tensor, condition: Tensor, noise: Noise) -> tuple[Tensor, Tensor]:
        """Hits (whole numbers) and weighted energies above threshold [MeV], ``(B, R)`` float64 each."""
        terms = _terms(condition)
        values = self._residual(condition, noise) * self._scale(terms) + terms @ self.trend
        total, hits, mean = torch.split(values, [1, self.regions, self.regions], dim=1)
        hits = (hits.exp() - 1).floor().clamp_min(0.0)
        energy = hits * mean.exp()
        wanted = incident[:, None] * total.exp()
        return hits, energy * wanted / energy.sum(1, keepdim=True).clamp_min(_NARROWEST)

    def _residual(self, condition: Tensor, noise: Noise) -> Tensor:
        number = int(self.number)
        reach = max(1, round(_NEIGHBOURS * number))
        place = torch.searchsorted(self.energy[:number], condition[:, 0].float().contiguous())
        step = (noise.uniform("root", 1, 1)[:, 0] * (2 * reach + 1)).floor().long() - reach
        donor = self.residual[(place + step).clamp(0, number - 1)].double()
        smear = noise.normal("smear", 1, len(self.factor)).double() @ self.factor.T
        smeared: Tensor = (donor + self.smooth * smear) / math.sqrt(1 + self.smooth**2)
        return smeared

    def _scale(self, terms: Tensor) -> Tensor:
        return (terms[:, : _SPREAD_DEGREE + 1] @ self.spread).exp()


def log_mean(hits: Tensor, energy: Tensor) -> Tensor:
    """Logarithm of the mean energy above threshold [MeV] of a hit, in the shape of both; 0 without hits."""
    mean = (energy.clamp_min(1e-9) / hits.clamp_min(1)).log()
    return torch.where(hits > 0, mean, 0.0)


def _terms(condition: Tensor) -> Tensor:
    """Powers of the energy, and the other conditions as they are, float64."""
    return torch.cat([powers(condition, _DEGREE), condition[:, 1:].double()], dim=1)


def _values(hits: Tensor, energy: Tensor, incident: Tensor, rng: torch.Generator) -> Tensor:
    """ln(energy / incident), ln(1 + hits) with their fractions, ln(mean energy of a hit)."""
    fraction = torch.rand(hits.shape, generator=rng, dtype=hits.dtype, device=hits.device)
    mean = log_mean(hits, energy)
    middle = mean.sum(0) / (hits > 0).sum(0).clamp_min(1)
    mean = torch.where(hits > 0, mean, middle)
    total = (energy.sum(1).clamp_min(1e-9) / incident).log()
    return torch.cat([total[:, None], (hits + fraction).log1p(), mean], dim=1)


def _root_of(covariance: Tensor) -> Tensor:
    """A matrix whose product with its transpose it is."""
    values, vectors = torch.linalg.eigh(covariance)
    root: Tensor = vectors * values.clamp_min(_JITTER).sqrt()
    return root
