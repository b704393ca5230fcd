"""3DGAN's comparison in bins of energy and angle, and its question: is everything within 10 %?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from caloforge.evaluation.papers.bins import energy_bins, places_of
from caloforge.evaluation.papers.correlations import correlation_value
from caloforge.evaluation.papers.gan_quantities import FAMILIES, quantities, sparsity_edges
from caloforge.evaluation.papers.inclination import inclination_bins
from caloforge.evaluation.papers.resampling import draws, listed, value_and_error
from caloforge.evaluation.results import Value
from caloforge.features import hits_above

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from caloforge.evaluation.pair import Pair
    from caloforge.evaluation.papers.gan_quantities import Quantity
    from caloforge.features import FeatureTable

__all__ = ["CORRELATED", "LIMIT", "bin_metric"]

LIMIT = 0.1
"""The agreement that the paper states for all of its quantities (2109.07388, section 9)."""

CORRELATED = (
    *("energy", "visible", "hits", "thirds", "first_part"),
    *(f"{kind}_{axis}" for kind in ("cog", "moment2", "moment3") for axis in "xyz"),
)
"""Inputs and features whose correlations the paper compares (figure 9), beside the angle."""

_ENERGY_BINS, _ANGLE_BINS = 5, 3
_FEWEST = 5
_SURE = 2.0
_OFF = {
    "beyond": "3DGAN: share of bins off by more than 10 %",
    "beyond_surely": "3DGAN: share of bins off by more than 10 % by two errors",
    "deviation": "3DGAN: mean deviation in bins of energy and angle",
}


def bin_metric(pair: Pair) -> list[Value]:
    """Means of the paper's quantities in bins of energy and angle, against the reference.

    A deviation is relative to the reference's mean in the bin or, for quantities whose mean may be 0,
    to their natural size there (``Quantity``). The first two values are shares of all quantities in
    all bins that are off by more than 10 %: as they stand, and by more than two of their errors. Then
    the mean absolute deviation of all, and of each family; and the correlations.
    """
    known = quantities(pair.frame)
    energies = energy_bins(pair.frame.reference, _ENERGY_BINS)
    inclination, angles = inclination_bins(pair.frame.reference, _ANGLE_BINS)
    shape = (len(known), len(energies), len(angles))
    inclined = (inclination.of_particles(pair.reference), inclination.of_particles(pair.generated))
    places = [
        places_of(energies.find(table["energy"]), angles.find(angle), len(angles))
        for table, angle in zip(_tables(pair), inclined, strict=True)
    ]
    deviations = _deviations(pair, known, places, shape[1] * shape[2])
    correlations = _correlations(pair, inclined)
    if not np.isfinite(deviations.values[0]).any():
        return [*_nothing(), correlations]
    settings = {
        "energy_edges": energies.edges.tolist(),
        "angle_edges": angles.edges.tolist(),
        "quantities": [[quantity.name, quantity.title] for quantity in known],
        "limit": LIMIT,
        "deviation": listed(deviations.values[0].reshape(shape)),
        "error": listed(deviations.errors.reshape(shape)),
    }
    return [*_shares(deviations, settings), *_families(pair, deviations, known), correlations]


def _correlations(pair: Pair, inclined: tuple[NDArray[np.float64], NDArray[np.float64]]) -> Value:
    """Of the inputs and features; angles have a sign where particles lean to both sides of one plane."""
    title = "3DGAN: correlations between inputs and features, mean difference"
    more = {"inclination": inclined}
    return correlation_value(pair, "physics.3dgan_correlations", title, CORRELATED, more=more)


@dataclass(frozen=True)
class _Deviations:
    """Relative deviations of the means, NaN where there are too few showers.

    Attributes:
        values: Of the samples and of their resamplings, ``(1 + R, Q, bins)``.
        errors: Of the means, ``(Q, bins)``.
    """

    values: NDArray[np.float64]
    errors: NDArray[np.float64]


def _deviations(pair: Pair, known: list[Quantity], places: list[NDArray[np.int64]], bins: int) -> _Deviations:
    weights = draws(pair, "physics.3dgan")
    cells = pair.frame.geometry.n_cells
    columns = [np.column_stack([q.values(table, cells) for q in known]) for table in _tables(pair)]
    scales = np.column_stack([q.scales(pair.reference, cells) for q in known])
    found = np.full((len(weights[0]), len(known), bins), np.nan)
    errors = np.full((len(known), bins), np.nan)
    for number in range(bins):
        rows = [np.flatnonzero(place == number) for place in places]
        if min(map(len, rows)) < _FEWEST:
            continue
        means = [_means(w[:, r], c[r]) for w, r, c in zip(weights, rows, columns, strict=True)]
        scale = np.abs(_means(weights[0][:, rows[0]], scales[rows[0]]))
        scale = np.where(scale > 0, scale, np.nan)
        found[:, :, number] = (means[1] - means[0]) / scale
        variance = sum(c[r].var(axis=0, ddof=1) / len(r) for r, c in zip(rows, columns, strict=True))
        errors[:, number] = np.sqrt(variance) / scale[0]
    return _Deviations(found, errors)


def _means(weights: NDArray[np.float64], values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Weighted means of the columns, ``(1 + R, Q)``; NaN for a resampling that left the bin empty."""
    total = weights.sum(axis=1, keepdims=True)
    return np.asarray(weights @ values / np.where(total > 0, total, np.nan))


def _shares(deviations: _Deviations, settings: dict[str, Any]) -> list[Value]:
    """Shares beyond the limit, and the mean deviation."""
    size = np.abs(deviations.values)
    used = np.isfinite(size[0])
    beyond = (size - LIMIT > 0)[:, used].mean(axis=1)
    surely = (size - _SURE * deviations.errors > LIMIT)[:, used].mean(axis=1)
    numbers = (beyond, surely, _mean(size))
    extra: tuple[dict[str, Any], ...] = (settings, {"errors": _SURE}, {})
    base = {"limit": LIMIT, "bins_used": int(used.sum())}
    return [
        Value(f"physics.3dgan_{name}", title, *value_and_error(found), base | more)
        for (name, title), found, more in zip(_OFF.items(), numbers, extra, strict=True)
    ]


def _families(pair: Pair, deviations: _Deviations, known: list[Quantity]) -> list[Value]:
    size = np.abs(deviations.values)
    values = []
    for family, title in FAMILIES.items():
        rows = [k for k, quantity in enumerate(known) if quantity.family == family]
        settings: dict[str, Any] = {"quantities": [known[k].name for k in rows]}
        if family == "sparsity":
            settings |= _sparsity(pair)
        name, long = f"physics.3dgan_{family}", f"3DGAN: {title}, mean deviation"
        value, error = value_and_error(_mean(size[:, rows]))
        note = "" if value is not None else "Its mean in the reference is 0 in all bins: there is no scale."
        values.append(Value(name, long, value, error, settings, note))
    return values


def _sparsity(pair: Pair) -> dict[str, list[float]]:
    """Mean shares of cells above several thresholds, with errors."""
    edges, cells = sparsity_edges(pair.frame), pair.frame.geometry.n_cells
    settings = {"thresholds": pair.frame.binning.spectrum[edges].tolist()}
    for name, table in zip(("reference", "generated"), _tables(pair), strict=True):
        shares = hits_above(table, edges) / cells
        settings[name] = shares.mean(axis=0).tolist()
        settings[f"{name}_error"] = (shares.std(axis=0) / np.sqrt(len(table))).tolist()
    return settings


def _mean(size: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean over quantities and bins that are known, ``(1 + R,)``."""
    known = np.isfinite(size)
    count = known.sum(axis=(1, 2))
    total = np.where(known, size, 0.0).sum(axis=(1, 2))
    return np.asarray(np.where(count > 0, total, np.nan) / np.maximum(count, 1))


def _nothing() -> list[Value]:
    note = f"No bin of energy and angle has {_FEWEST} showers in both samples."
    titles = _OFF | {name: f"3DGAN: {title}, mean deviation" for name, title in FAMILIES.items()}
    return [Value(f"physics.3dgan_{name}", title, None, note=note) for name, title in titles.items()]


def _tables(pair: Pair) -> tuple[FeatureTable, FeatureTable]:
    return pair.reference, pair.generated
