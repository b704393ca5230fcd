"""What tells kinds of particles apart in 3DGAN's figures: sampling fraction, and where showers start."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from caloforge.evaluation.papers.bins import energy_bins
from caloforge.evaluation.papers.resampling import draws, value_and_error
from caloforge.evaluation.results import Value
from caloforge.particles import particle_name

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from caloforge.evaluation.pair import Pair
    from caloforge.features import FeatureTable

__all__ = ["LATE_START", "kind_metric", "kinds_of"]

LATE_START = 0.1
"""Photons have more showers with less than this share of the energy in the first part (figure 11)."""

_ENERGY_BINS = 5
_FEWEST = 20
_ELECTRON = 11
_TITLES = {
    "kinds_fraction": "3DGAN: sampling fractions of two kinds, difference of their ratios",
    "kinds_start": "3DGAN: share of showers that start late (R1 below 0.1), difference between two kinds",
}


def kind_metric(pair: Pair) -> list[Value]:
    """Whether kinds of particles differ as they do in the reference (2109.07388, figure 11).

    Every kind is compared with electrons (without them, with the kind that has the smallest code). The
    first value is about the ratio of the sampling fractions, the mean over bins of energy; the
    second about the difference of the shares of showers with less than a tenth of their energy in
    the first 8/25 of the layers (R1). Values are absolute differences between the samples, averaged
    over the kinds.
    """
    kinds = kinds_of(pair.frame.reference)
    counts = [[int((table["pdg"] == kind).sum()) for kind in kinds] for table in _tables(pair)]
    if len(kinds) < 2:
        return _nothing("All particles are of one kind.")
    if min(map(min, counts)) < _FEWEST:
        return _nothing(f"A kind of particles has fewer than {_FEWEST} showers in one of the samples.")
    weights = draws(pair, "physics.3dgan_kinds")
    bins = energy_bins(pair.frame.reference, _ENERGY_BINS)
    fractions, late = [], []
    for table, own in zip(_tables(pair), weights, strict=True):
        place = bins.find(table["energy"])
        fractions.append(_fractions(table, own, kinds, place, len(bins)))
        late.append(_late(table, own, kinds))
    return [
        _value("kinds_fraction", kinds, [values[1:] / values[0] for values in fractions]),
        _value("kinds_start", kinds, [values[1:] - values[0] for values in late]),
    ]


def kinds_of(table: FeatureTable) -> list[int]:
    """Codes of the particles, the one that others are compared with first."""
    return sorted({int(code) for code in np.unique(table["pdg"])}, key=lambda code: (code != _ELECTRON, code))


def _fractions(
    table: FeatureTable,
    weights: NDArray[np.float64],
    kinds: list[int],
    place: NDArray[np.int64],
    bins: int,
) -> NDArray[np.float64]:
    """Mean sampling fractions, ``(K, 1 + R, bins)``; NaN where a kind has no shower."""
    found = np.full((len(kinds), len(weights), bins), np.nan)
    for row, kind in enumerate(kinds):
        for number in range(bins):
            own = np.flatnonzero((table["pdg"] == kind) & (place == number))
            found[row, :, number] = _mean(weights[:, own], table["fraction"][own])
    return found


def _late(table: FeatureTable, weights: NDArray[np.float64], kinds: list[int]) -> NDArray[np.float64]:
    """Shares of showers that start late, ``(K, 1 + R, 1)``."""
    late = (table["first_part"] < LATE_START).astype(np.float64)
    rows = [np.flatnonzero(table["pdg"] == kind) for kind in kinds]
    return np.stack([_mean(weights[:, own], late[own])[:, None] for own in rows])


def _mean(weights: NDArray[np.float64], values: NDArray[np.float64]) -> NDArray[np.float64]:
    total = weights.sum(axis=1)
    return np.asarray(weights @ values / np.where(total > 0, total, np.nan))


def _value(name: str, kinds: list[int], found: list[NDArray[np.float64]]) -> Value:
    """From what both samples have of every kind but the first, ``(K - 1, 1 + R, bins)``."""
    known = np.isfinite(found[0]) & np.isfinite(found[1])
    count = np.maximum(known.sum(axis=-1), 1)
    first, second = (np.where(known, values, 0.0).sum(axis=-1) / count for values in found)
    settings: dict[str, Any] = {
        "kinds": [particle_name(kind) for kind in kinds],
        "reference": first[:, 0].tolist(),
        "generated": second[:, 0].tolist(),
    }
    apart = np.abs(second - first).mean(axis=0)
    return Value(f"physics.3dgan_{name}", _TITLES[name], *value_and_error(apart), settings)


def _nothing(note: str) -> list[Value]:
    return [Value(f"physics.3dgan_{name}", title, None, note=note) for name, title in _TITLES.items()]


def _tables(pair: Pair) -> tuple[FeatureTable, FeatureTable]:
    return pair.reference, pair.generated
