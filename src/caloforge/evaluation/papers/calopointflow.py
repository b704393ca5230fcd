"""CaloPointFlow's numbers of cells and energies in three regimes of the cell energy."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from caloforge.evaluation.papers.resampling import distances, draws, spread, value_and_error
from caloforge.evaluation.results import Value
from caloforge.evaluation.scales import spreads

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from caloforge.evaluation.pair import Pair

__all__ = ["regime_metric"]

_COLUMNS = (
    ("hits", "regime_hits", "CaloPointFlow: cells in three energy regimes, distance"),
    ("energy", "regime_energy", "CaloPointFlow: energy in three energy regimes, distance"),
)


def regime_metric(pair: Pair) -> list[Value]:
    """Cells of low, middle and high energy (NeurIPS ML4PS 2022, figure 3).

    Wasserstein-1 distances in standard deviations of the reference, averaged over the three regimes;
    the settings hold each, and the ratios of the means with errors. A regime without any cell in the
    reference is left out.
    """
    return [_measure(pair, *entry) for entry in _COLUMNS]


def _measure(pair: Pair, name: str, column: str, title: str) -> Value:
    reference, generated, whole = (
        table[column].astype(np.float64) for table in (pair.reference, pair.generated, pair.frame.reference)
    )
    scales = spreads(whole)
    used = np.flatnonzero(scales > 0)
    name = f"physics.calopointflow_{name}"
    if not len(used):
        return Value(name, title, None, note="No regime varies in the reference.")

    weights = draws(pair, name)
    each = [distances((reference[:, k], generated[:, k]), weights) / scales[k] for k in used]
    found = np.stack(each, axis=1)
    value, error = value_and_error(found.mean(axis=1))
    settings = {
        "edges": pair.frame.binning.regimes.tolist(),
        "regimes": used.tolist(),
        "per_regime": found[0].tolist(),
        "scales": scales[used].tolist(),
        "unit": "standard deviations",
        **_ratios(reference[:, used], generated[:, used], weights),
    }
    return Value(name, title, value, error, settings)


def _ratios(
    reference: NDArray[np.float64],
    generated: NDArray[np.float64],
    weights: tuple[NDArray[np.float64], NDArray[np.float64]],
) -> dict[str, list[float | None]]:
    """Ratios of the means, generated to reference, with errors."""
    first, second = (
        w @ values / w.sum(axis=1, keepdims=True)
        for w, values in zip(weights, (reference, generated), strict=True)
    )
    ratio = np.divide(second, first, out=np.full_like(first, np.nan), where=first > 0)
    return {
        "ratio": [value_and_error(column)[0] for column in ratio.T],
        "ratio_error": [spread(column[1:]) for column in ratio.T],
    }
