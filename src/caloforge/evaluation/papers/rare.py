"""Rare showers: those that start early or late, which 3DGAN lost (2109.07388, section 7)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from caloforge.evaluation.papers.bins import energy_bins
from caloforge.evaluation.papers.gan_kinds import kinds_of
from caloforge.evaluation.papers.resampling import draws, relative, value_and_error
from caloforge.evaluation.results import Value

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from caloforge.evaluation.pair import Pair
    from caloforge.evaluation.papers.bins import Bins
    from caloforge.features import FeatureTable

__all__ = ["rare_metric"]

_SHARE = 0.03
_ENERGY_BINS = 5
_KINDS = {
    "early": ("early_share", "3DGAN: rate of early showers, relative deviation"),
    "late": ("first_part", "3DGAN: rate of late showers, relative deviation"),
}


def rare_metric(pair: Pair) -> list[Value]:
    """Rates of showers that start unusually early or late, against the reference.

    The paper finds that a few per cent of the showers begin before the calorimeter, fewer at higher
    energies, and that its generator loses them. Here a shower is early when its share of energy in
    the first 3/25 of the layers is above what 3 % of the reference's showers reach, late when its
    share in the first 8/25 (R1) is below what 3 % fall short of. The values are relative deviations
    of the rates; the settings hold the rates with binomial errors, also in bins of energy.

    Of several kinds of particles electrons count, or the kind with the smallest code: charged pions that
    do not shower have as much energy in the first layers as in any others.
    """
    return [_measure(pair, kind, *entry) for kind, entry in _KINDS.items()]


def _measure(pair: Pair, kind: str, column: str, title: str) -> Value:
    name, sign = f"physics.3dgan_{kind}", 1.0 if kind == "early" else -1.0
    whole, particle = pair.frame.reference, kinds_of(pair.frame.reference)[0]
    limit = float(np.quantile(sign * whole[column][whole["pdg"] == particle], 1.0 - _SHARE))
    both = (pair.reference, pair.generated)
    own = [table["pdg"] == particle for table in both]
    tables = [table.select(rows) for table, rows in zip(both, own, strict=True)]
    weights = [w[:, rows] for w, rows in zip(draws(pair, name), own, strict=True)]
    flags = [sign * table[column] > limit for table in tables]
    if not flags[0].any() or not len(flags[1]):
        note = "The reference has no such showers, or the model none of their particles."
        return Value(name, title, None, note=note)
    first, second = (_mean(w, rare) for w, rare in zip(weights, flags, strict=True))
    bins = energy_bins(whole, _ENERGY_BINS)
    settings: dict[str, Any] = {
        "column": column,
        "threshold": sign * limit,
        "energy_bins": bins.intervals,
    }
    for label, table, rare in zip(("reference", "generated"), tables, flags, strict=True):
        settings[label] = _rate(rare)
        settings[f"{label}_by_energy"] = _by_energy(table, rare, bins)
    return Value(name, title, *value_and_error(np.abs(relative(second, first))), settings)


def _mean(weights: NDArray[np.float64], rare: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Share of the showers, ``(1 + R,)``; NaN for a resampling without any."""
    total = weights.sum(axis=1)
    return np.asarray(weights @ rare / np.where(total > 0, total, np.nan))


def _rate(rare: NDArray[np.bool_]) -> dict[str, float | None]:
    """Share with its binomial error (that of (k + 1) / (n + 2), which is not 0 for k = 0)."""
    count, found = len(rare), int(rare.sum())
    if not count:
        return {"rate": None, "error": None}
    share = (found + 1) / (count + 2)
    return {"rate": found / count, "error": float(np.sqrt(share * (1 - share) / count))}


def _by_energy(table: FeatureTable, rare: NDArray[np.bool_], bins: Bins) -> list[dict[str, float | None]]:
    index = bins.find(table["energy"])
    return [_rate(rare[index == number]) for number in range(len(bins))]
