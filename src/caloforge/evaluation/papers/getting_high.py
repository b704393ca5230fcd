"""The figures of Getting High (2005.05334): MIP peak, linearity and resolution, profiles, correlations."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from caloforge.evaluation.histograms import weighted_sums
from caloforge.evaluation.papers.bins import energy_bins
from caloforge.evaluation.papers.correlations import correlation_value
from caloforge.evaluation.papers.intervals import core_draws
from caloforge.evaluation.papers.mip import Peak, has_peak, spectrum_peak
from caloforge.evaluation.papers.resampling import draws, listed, relative, spread, value_and_error
from caloforge.evaluation.results import Value

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from caloforge.evaluation.pair import Pair
    from caloforge.evaluation.papers.bins import Bins
    from caloforge.features import FeatureTable

__all__ = ["CORRELATED", "energy_metric", "mip_metric", "profile_metric"]

CORRELATED = (
    *("cog_x", "cog_y", "cog_z", "moment2_x", "moment2_y", "moment2_z"),
    *("visible", "energy", "hits", "thirds"),
)
"""The paper's observables: first and second moments, E_vis, E_inc, hits, shares in thirds of the depth."""

_BINS = 8
_FEWEST = 10
_PEAK = {
    "position": "Getting High: position of the MIP peak, relative deviation",
    "height": "Getting High: height of the MIP peak, relative deviation",
    "width": "Getting High: width of the MIP peak, relative deviation",
}
_LINES = {
    "linearity": "Getting High: mean response (mu90) in energy bins",
    "resolution": "Getting High: resolution (sigma90 / mu90) in energy bins",
}
_PROFILES = {
    "longitudinal": ("layer_energy", "Getting High: longitudinal profile, relative deviation"),
    "radial": ("radial_profile", "Getting High: radial profile, relative deviation"),
}


def mip_metric(pair: Pair) -> list[Value]:
    """Position, height and width of the MIP peak of the cell energies, as relative deviations.

    The peak of the density in the cell energy (cells per MeV and shower), see ``spectrum_peak``.
    Where the reference's spectrum has no peak above the threshold there are no numbers.
    """
    edges = pair.frame.binning.spectrum
    weights = draws(pair, "physics.gettinghigh_mip")
    first, second = (
        [spectrum_peak(edges, counts) for counts in weighted_sums(table, "spectrum", rows) / len(table)]
        for rows, table in zip(weights, (pair.reference, pair.generated), strict=True)
    )
    settings = {
        "reference": _peak_settings(first),
        "generated": _peak_settings(second),
        "bins_per_decade": float(1.0 / np.log10(edges[1] / edges[0])),
    }
    if not has_peak(edges, pair.frame.reference.total("spectrum")):
        note = "The reference's cell energies have no peak above the threshold."
        return [
            Value(f"physics.gettinghigh_mip_{what}", title, None, note=note) for what, title in _PEAK.items()
        ]
    return [_peak_value(what, title, first, second, settings) for what, title in _PEAK.items()]


def energy_metric(pair: Pair) -> list[Value]:
    """Linearity and resolution: mean and RMS of the shortest interval that holds 90 % of E_vis.

    In bins of the incident energy (one for each energy when they are discrete) of E_vis / E_inc, so
    that the width of a bin adds nothing; the resolution is sigma90 / mu90. Values are the mean and
    the largest relative deviation from the reference over the bins; errors from resampling within
    the bins. As in the paper the sum is not weighted with the absorber, and deviations have no sign: see
    ``physics.response`` for both.
    """
    bins = energy_bins(pair.frame.reference, _BINS)
    rng = pair.frame.rng("physics.gettinghigh_energy")
    tables = (pair.reference, pair.generated)
    first, second = (np.array([*_cores(table, bins, pair.resamples, rng)]) for table in tables)
    settings = {
        "bins": bins.intervals,
        "energy": _mean_energies(pair.reference, bins),
        "reference": _core_settings(first),
        "generated": _core_settings(second),
    }
    off = np.abs(relative(second, first))
    return [
        value
        for column, (name, title) in enumerate(_LINES.items())
        for value in _line_values(name, title, off[:, :, column], settings)
    ]


def profile_metric(pair: Pair) -> list[Value]:
    """Deviations of the mean profiles, and of the correlations between the paper's observables.

    A profile's deviation is the sum of the absolute differences of its mean energies, divided by
    the reference's mean energy.
    """
    values = [_profile(pair, what, *entry) for what, entry in _PROFILES.items()]
    title = "Getting High: correlations between observables, mean difference"
    return [*values, correlation_value(pair, "physics.gettinghigh_correlations", title, CORRELATED)]


def _profile(pair: Pair, what: str, column: str, title: str) -> Value:
    name = f"physics.gettinghigh_{what}"
    first, second = (
        weighted_sums(table, column, rows) / len(table)
        for rows, table in zip(draws(pair, name), (pair.reference, pair.generated), strict=True)
    )
    total = first.sum(axis=1)
    off = np.abs(second - first).sum(axis=1) / np.where(total > 0, total, np.nan)
    value, error = value_and_error(off)
    note = "" if value is not None else "The reference has no energy."
    return Value(name, title, value, error, {"bins": first.shape[1]}, note)


def _peak_value(
    what: str, title: str, first: list[Peak | None], second: list[Peak | None], settings: dict[str, Any]
) -> Value:
    found = [
        abs(getattr(b, what) / getattr(a, what) - 1.0) if a is not None and b is not None else np.nan
        for a, b in zip(first, second, strict=True)
    ]
    value, error = value_and_error(found)
    note = "" if value is not None else "There are no generated cells."
    return Value(f"physics.gettinghigh_mip_{what}", title, value, error, settings, note)


def _peak_settings(peaks: list[Peak | None]) -> dict[str, float | None]:
    """The peak, and the errors of its numbers."""
    settings: dict[str, float | None] = {}
    for what in _PEAK:
        numbers = np.array([np.nan if peak is None else getattr(peak, what) for peak in peaks])
        settings[what] = value_and_error(numbers)[0]
        settings[f"{what}_error"] = spread(numbers[1:])
    return settings


def _cores(
    table: FeatureTable, bins: Bins, resamples: int, rng: np.random.Generator
) -> Iterator[NDArray[np.float64]]:
    """mu90 and sigma90 / mu90 of every bin, and of its resamplings, ``(1 + R, 2)``."""
    index = bins.find(table["energy"])
    for number in range(len(bins)):
        values = table["fraction"][index == number]
        found = np.full((1 + resamples, 2), np.nan)
        if len(values) >= _FEWEST and np.median(values) > 0:
            found = core_draws(values, resamples, rng)
            found[:, 1] /= found[:, 0]
        yield found


def _mean_energies(table: FeatureTable, bins: Bins) -> list[float | None]:
    index = bins.find(table["energy"])
    chosen = [table["energy"][index == number] for number in range(len(bins))]
    return [float(energies.mean()) if len(energies) else None for energies in chosen]


def _core_settings(found: NDArray[np.float64]) -> dict[str, Any]:
    """``found`` is ``(bins, 1 + R, 2)``."""
    settings: dict[str, Any] = {}
    for column, name in enumerate(("mu90", "sigma90")):
        settings[name] = listed(found[:, 0, column])
        settings[f"{name}_error"] = [spread(row) for row in found[:, 1:, column]]
    return settings


def _line_values(name: str, title: str, off: NDArray[np.float64], settings: dict[str, Any]) -> list[Value]:
    """Mean and largest deviation over the bins that have enough showers; ``off`` is ``(bins, 1 + R)``."""
    used = off[np.isfinite(off[:, 0])]
    names = (f"physics.gettinghigh_{name}", f"physics.gettinghigh_{name}_max")
    titles = (f"{title}, mean deviation", f"{title}, largest deviation")
    if not len(used):
        note = f"No energy bin has {_FEWEST} showers with energy in both samples."
        return [Value(*both, None, note=note) for both in zip(names, titles, strict=True)]
    found = (used.mean(axis=0), used.max(axis=0))
    return [
        Value(*both, *value_and_error(numbers), settings)
        for both, numbers in zip(zip(names, titles, strict=True), found, strict=True)
    ]
