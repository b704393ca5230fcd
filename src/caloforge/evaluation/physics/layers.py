"""Correlations between the energies of layers once the incident energy, which all follow, is taken out."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import numpy as np

from caloforge.evaluation.jackknife import jackknife_error
from caloforge.evaluation.physics.trend import without_trend
from caloforge.evaluation.results import Value

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from caloforge.evaluation.pair import Pair
    from caloforge.features import FeatureTable

__all__ = ["layer_metric", "layer_residuals"]

_FILLED, _DEGREE, _GROUPS = 0.05, 4, 20
_FLAT = 1e-18


def layer_metric(pair: Pair) -> list[Value]:
    """RMS difference of the Pearson coefficients of all pairs of layers, without the trend in energy.

    Of the energies over the root of the incident energy, whose fluctuations are alike at all energies, a
    polynomial in log E is taken out, of each sample its own. Layers with energy in fewer than 5 % of the
    reference's showers are left out. The number of showers alone makes such a difference, which the floor
    tells. The error is that of the jackknife without one of twenty groups of showers.
    """
    filled = (pair.frame.reference["layer_energy"] > 0).mean(axis=0) >= _FILLED
    name, title = "physics.layer_residuals", "Correlations of layers without the energy, RMS difference"
    if filled.sum() < 2:
        note = "Fewer than two layers have energy in one shower of twenty."
        return [Value(name, title, None, note=note)]
    first, second = (_Sums.of(layer_residuals(t)[:, filled]) for t in (pair.reference, pair.generated))
    value = _apart(first.pearson(), second.pearson())
    error = _error(first, second) if pair.resamples else None
    settings = {"layers": int(filled.sum()), "trend": f"polynomial in log E of degree {_DEGREE}"}
    return [Value(name, title, value, error, settings)]


def layer_residuals(table: FeatureTable) -> NDArray[np.float64]:
    """Layers' energies over the root of the incident one, without the trend [MeV^(1/2)], ``(n, L)``."""
    scaled = table["layer_energy"].astype(np.float64) / np.sqrt(table["energy"])[:, None]
    return without_trend(scaled, table["energy"], degree=_DEGREE)


@dataclass(frozen=True)
class _Sums:
    """Sums over the showers of each of several groups.

    Attributes:
        count: Showers, ``(g,)``.
        single: Of the observables, ``(g, F)``.
        product: Of the products of two, ``(g, F, F)``.
    """

    count: NDArray[np.float64]
    single: NDArray[np.float64]
    product: NDArray[np.float64]

    @classmethod
    def of(cls, values: NDArray[np.float64]) -> Self:
        """Observables ``(n, F)``, dealt out in turns."""
        parts = [values[k::_GROUPS] for k in range(_GROUPS)]
        return cls(
            np.array([float(len(part)) for part in parts]),
            np.stack([part.sum(axis=0) for part in parts]),
            np.stack([part.T @ part for part in parts]),
        )

    def pearson(self, without: int | None = None) -> NDArray[np.float64]:
        """Coefficients of all groups, or of all but one, ``(F, F)``; 0 of what does not vary."""
        kept = np.arange(len(self.count)) != (-1 if without is None else without)
        count = self.count[kept].sum()
        mean = self.single[kept].sum(axis=0) / count
        covariance = self.product[kept].sum(axis=0) / count - np.outer(mean, mean)
        variance = np.diag(covariance)
        scale = np.where(variance > _FLAT, 1.0 / np.sqrt(np.maximum(variance, _FLAT)), 0.0)
        return np.asarray(np.clip(covariance * np.outer(scale, scale), -1.0, 1.0))


def _apart(first: NDArray[np.float64], second: NDArray[np.float64]) -> float:
    above = np.triu_indices(len(first), k=1)
    return float(np.sqrt(np.square((first - second)[above]).mean()))


def _error(first: _Sums, second: _Sums) -> float:
    """Both samples' own errors together."""
    whole = first.pearson(), second.pearson()
    ones = [_apart(first.pearson(k), whole[1]) for k in range(_GROUPS)]
    others = [_apart(whole[0], second.pearson(k)) for k in range(_GROUPS)]
    return math.hypot(*(jackknife_error(np.array(found)) for found in (ones, others)))
