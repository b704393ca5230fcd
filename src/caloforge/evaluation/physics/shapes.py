"""Depth and width shower by shower: means, spreads, and how they hang together."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from caloforge.evaluation.papers.correlations import correlation_value
from caloforge.evaluation.papers.resampling import distances, draws, relative, value_and_error
from caloforge.evaluation.physics.signed import ratio_value, signed
from caloforge.evaluation.physics.trend import without_trend
from caloforge.evaluation.results import Value

if TYPE_CHECKING:
    from caloforge.evaluation.pair import Pair
    from caloforge.evaluation.papers.resampling import Weights

__all__ = ["CORRELATED_SHAPES", "shape_metric"]

CORRELATED_SHAPES = (
    *("energy", "weighted_response", "mean_layer", "layer_spread", "first_layer"),
    *("core_share", "r50", "r90", "hits_per_visible", "hottest_share"),
)
"""Depth and lateral size, and what they hang together with."""

_QUANTITIES = {
    "depth": ("mean_layer", "Depth: mean layer of a shower"),
    "length": ("layer_spread", "Length: spread of the layers in a shower"),
    "core": ("core_share", "Share of the energy in the core"),
    "r50": ("r50", "R50 of a shower"),
    "r90": ("r90", "R90 of a shower"),
}
_LATE = 0.95


def shape_metric(pair: Pair) -> list[Value]:
    """Depth (mean layer and spread in the shower), core share, R50 and R90, over the showers.

    Of each the mean, and the spread from shower to shower about its trend with the energy (a parabola in
    log E, of each sample its own), as signed deviations from the reference. Then the first layer with a
    hit, where the shower starts (Wasserstein-1 distance in layers); the rate of late showers, those with
    more energy in the last third than 95 % of the reference's; and the correlations of all these with each
    other and with the energy.
    """
    weights = draws(pair, "physics.shapes")
    values = [value for name in _QUANTITIES for value in _moments(pair, name, weights)]
    title = "Correlations of depth, width and energy, mean difference"
    correlated = correlation_value(pair, "physics.shape_correlations", title, CORRELATED_SHAPES)
    return [*values, _start(pair, weights), _late(pair, weights), correlated]


def _moments(pair: Pair, name: str, weights: Weights) -> list[Value]:
    column, title = _QUANTITIES[name]
    means, spreads = [], []
    for table, rows in zip((pair.reference, pair.generated), weights, strict=True):
        values = table[column].astype(np.float64)
        rest = without_trend(values, table["energy"])
        count = rows.sum(axis=1)
        means.append(rows @ values / count)
        square, mean = rows @ np.square(rest) / count, rows @ rest / count
        spreads.append(np.sqrt(np.maximum(square - np.square(mean), 0.0)))
    return [
        ratio_value(name, f"{title}, mean", *means),
        ratio_value(f"{name}_spread", f"{title}, spread", *spreads),
    ]


def _start(pair: Pair, weights: Weights) -> Value:
    first, second = (t["first_layer"].astype(np.float64) for t in (pair.reference, pair.generated))
    scaled = [rows / rows.sum(axis=1, keepdims=True) for rows in weights]
    value, error = value_and_error(distances((first, second), (scaled[0], scaled[1])))
    layers = np.arange(pair.frame.geometry.n_layers + 2) - 0.5
    settings = {
        "reference": (np.histogram(first, layers)[0] / len(first)).tolist(),
        "generated": (np.histogram(second, layers)[0] / len(second)).tolist(),
        "unit": "layers",
    }
    return Value("physics.conversion", "First layer with a hit, distance in layers", value, error, settings)


def _late(pair: Pair, weights: Weights) -> Value:
    limit = float(np.quantile(pair.frame.reference["thirds"][:, 2], _LATE))
    tables = (pair.reference, pair.generated)
    first, second = (
        rows @ (table["thirds"][:, 2] > limit) / rows.sum(axis=1)
        for rows, table in zip(weights, tables, strict=True)
    )
    settings = {"limit": limit, "reference": float(first[0]), "generated": float(second[0])}
    note = "" if first[0] > 0 else "No shower of the reference has energy in the last third."
    title = "Rate of late showers (last third)"
    return signed("late", title, relative(second, first), settings, note)
