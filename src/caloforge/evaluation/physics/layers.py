"""Correlations between the energies of layers once the incident energy, which all follow, is taken out."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from caloforge.evaluation.papers.correlations import pearson
from caloforge.evaluation.papers.resampling import draws, value_and_error
from caloforge.evaluation.physics.trend import without_trend
from caloforge.evaluation.results import Value

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from caloforge.evaluation.pair import Pair
    from caloforge.features import FeatureTable

__all__ = ["layer_metric", "layer_residuals"]

_FILLED, _DEGREE = 0.05, 4


def layer_metric(pair: Pair) -> list[Value]:
    """RMS difference of the Pearson coefficients of all pairs of layers, without the trend in energy.

    Of the energies over the root of the incident energy, whose fluctuations are alike at all energies, a
    polynomial in log E is taken out, of each sample its own. Layers with energy in fewer than 5 % of the
    reference's showers are left out. The number of showers alone makes such a difference, which the floor
    tells.
    """
    filled = (pair.frame.reference["layer_energy"] > 0).mean(axis=0) >= _FILLED
    name, title = "physics.layer_residuals", "Correlations of layers without the energy, RMS difference"
    if filled.sum() < 2:
        note = "Fewer than two layers have energy in one shower of twenty."
        return [Value(name, title, None, note=note)]
    first, second = (layer_residuals(t)[:, filled] for t in (pair.reference, pair.generated))
    above = np.triu_indices(int(filled.sum()), k=1)

    def difference(rows: tuple[NDArray[np.float64], NDArray[np.float64]]) -> float:
        off = pearson(second, rows[1]) - pearson(first, rows[0])
        return float(np.sqrt(np.square(off[above]).mean()))

    found = [difference(rows) for rows in zip(*draws(pair, name), strict=True)]
    value, error = value_and_error(found)
    return [
        Value(
            name,
            title,
            value,
            error,
            {"layers": int(filled.sum()), "trend": f"polynomial in log E of degree {_DEGREE}"},
        )
    ]


def layer_residuals(table: FeatureTable) -> NDArray[np.float64]:
    """Layers' energies over the root of the incident one, without the trend [MeV^(1/2)], ``(n, L)``."""
    scaled = table["layer_energy"].astype(np.float64) / np.sqrt(table["energy"])[:, None]
    return without_trend(scaled, table["energy"], degree=_DEGREE)
