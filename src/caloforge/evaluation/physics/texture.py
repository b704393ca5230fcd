"""How hits stick together, shower by shower: pairs, isolated hits, hits for an energy, edges."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from caloforge.evaluation.papers.bins import Bins
from caloforge.evaluation.papers.resampling import draws, relative
from caloforge.evaluation.physics.signed import curve_settings, mean_and_largest, ratio_value

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from caloforge.evaluation.pair import Pair
    from caloforge.evaluation.papers.resampling import Weights
    from caloforge.evaluation.results import Value
    from caloforge.features import FeatureTable

__all__ = ["hit_texture_metric"]

_RATES: Mapping[str, tuple[tuple[str, ...], str]] = {
    "pairs_lateral": (("pairs_first", "pairs_second"), "Neighbouring hits in a layer, per hit"),
    "pairs_depth": (("pairs_depth",), "Neighbouring hits in depth, per hit"),
    "neighbours": (("neighbours",), "Hits among the 26 cells round a hit"),
    "isolated": (("isolated",), "Share of isolated hits"),
    "edges": (("edge_hits",), "Share of hits at the edge of the window"),
}
_BINS, _PER_BIN, _FEWEST = 8, 60, 10


def hit_texture_metric(pair: Pair) -> list[Value]:
    """Rates over all hits of the sample, against the reference's, signed; and hits for a visible energy.

    Pairs of neighbouring hits in a layer and in depth for each hit, hits round a hit (3 x 3 x 3), hits
    without any, hits in the window's outermost cells. Then the mean number of hits in bins of the visible
    energy, which the reference's showers fill equally: the signed mean over the bins, and the largest.
    """
    weights = draws(pair, "physics.texture")
    values = []
    for name, (columns, title) in _RATES.items():
        first, second = (
            (rows @ _total(table, columns)) / np.maximum(rows @ table["hits"], 1.0)
            for rows, table in zip(weights, (pair.reference, pair.generated), strict=True)
        )
        values.append(ratio_value(name, title, first, second))
    return [*values, *_hits(pair, weights)]


def _total(table: FeatureTable, columns: tuple[str, ...]) -> NDArray[np.float64]:
    """Sum over the hits of every shower, of what the columns have per hit."""
    return np.asarray(table.matrix(columns).sum(axis=1) * table["hits"])


def _hits(pair: Pair, weights: Weights) -> list[Value]:
    visible = pair.frame.reference["visible"].astype(np.float64)
    count = int(np.clip(len(visible) // _PER_BIN, 1, _BINS))
    edges = np.unique(np.quantile(visible, np.linspace(0, 1, count + 1)))
    title = "Hits at the same visible energy"
    if len(edges) < 2:
        return mean_and_largest("hits", title, np.full((1, 1), np.nan), {})
    bins = Bins(np.concatenate([edges[:-1], [edges[-1] * (1 + 1e-6)]]))
    tables = (pair.reference, pair.generated)
    first, second = (_means(t, bins, rows) for t, rows in zip(tables, weights, strict=True))
    settings = {
        "bins": bins.intervals,
        "reference": curve_settings(first, "hits"),
        "generated": curve_settings(second, "hits"),
        "unit": "bins: visible energy [MeV]",
    }
    return mean_and_largest("hits", title, relative(second, first), settings)


def _means(table: FeatureTable, bins: Bins, rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean number of hits in bins of the visible energy, ``(bins, 1 + R)``; NaN with too few showers."""
    inside = bins.find(table["visible"])[:, None] == np.arange(len(bins))
    number = rows @ inside
    mean = (rows @ (inside * table["hits"][:, None])) / np.maximum(number, 1.0)
    return np.asarray(np.where(number >= _FEWEST, mean, np.nan).T)
