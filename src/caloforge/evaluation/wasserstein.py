"""Wasserstein-1 distances of standardised observables, times 100, as in CaloClouds' table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from caloforge.evaluation.histograms import Histogram, weighted_sums
from caloforge.evaluation.papers.resampling import distances, draws
from caloforge.evaluation.results import Value
from caloforge.evaluation.scales import spreads

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from caloforge.evaluation.pair import Pair
    from caloforge.evaluation.papers.resampling import Weights

__all__ = ["wasserstein_metric"]

_OBSERVABLES = (
    ("hits", "number of hits"),
    ("fraction", "sampling fraction"),
    ("longitudinal_bins", "energy in longitudinal bins"),
    ("radial_bins", "energy in radial bins"),
    ("cog_x", "centre of gravity x"),
    ("cog_y", "centre of gravity y"),
    ("cog_z", "centre of gravity z"),
)
_SCALE = 100.0
_FLAT = 1e-9


def wasserstein_metric(pair: Pair) -> list[Value]:
    """Distances of the observables of 2309.05704 (reference section 8.7), in hundredths of a deviation.

    Observables with ten bins give the mean over the bins; longitudinal ones hold a tenth of the
    reference's energy each, as the paper's own edges do for its data. The scale is the standard
    deviation of the whole reference. All cell energies are compared, in the fine bins of the spectrum,
    where the paper compares the first cells of its showers. The error comes from resampled showers,
    where the paper gives the spread of ten samples of 50 000 showers.
    """
    weights = draws(pair, "wasserstein")
    values = [_measure(pair, weights, name, title) for name, title in _OBSERVABLES]
    return [*values[:2], _cell_energy(pair, weights), *values[2:]]


def _measure(pair: Pair, weights: Weights, name: str, title: str) -> Value:
    reference, generated, whole = (
        table[name].reshape(len(table), -1)
        for table in (pair.reference, pair.generated, pair.frame.reference)
    )
    scales = spreads(whole)
    columns = zip(reference.T, generated.T, scales, strict=True)
    each = np.array([_scaled(distances((r, g), weights), float(scale)) for r, g, scale in columns])
    if not (scales > 0).any():
        return _absent(name, title, "It is the same in all showers of the reference: there is no scale.")
    unknown = np.flatnonzero(np.isnan(each[:, 0]))
    if len(unknown):
        which = f"Bin {unknown[0] + 1} of {len(each)}"
        note = f"{which} is the same in all showers of the reference: there is no scale."
        return _absent(name, title, note)
    settings = {
        "scales": scales.tolist(),
        "per_group": each[:, 0].tolist(),
        "unit": "0.01 standard deviations",
    }
    return _value(name, title, each.mean(axis=0), settings)


def _cell_energy(pair: Pair, weights: Weights) -> Value:
    """Distance of the cell energies of all showers, from the fine logarithmic spectrum."""
    name, title = "cell_energy", "cell energy"
    edges = pair.frame.binning.spectrum
    centres = np.sqrt(edges[1:] * edges[:-1])
    tables = (pair.reference, pair.generated)
    counts = [weighted_sums(table, "spectrum", own) for table, own in zip(tables, weights, strict=True)]
    if not all(c[0].any() for c in counts):
        which = "reference" if not counts[0][0].any() else "generated sample"
        return _absent(name, title, f"The {which} has no cells above the threshold.")
    whole = pair.frame.reference.total("spectrum")
    mean = np.average(centres, weights=whole)
    scale = float(np.sqrt(np.average((centres - mean) ** 2, weights=whole)))
    if not scale > _FLAT * mean:
        return _absent(name, title, "All cells of the reference have one energy: there is no scale.")
    first, second = (np.cumsum(Histogram(edges, c).shares, axis=1) for c in counts)
    distances = np.abs(first - second)[:, :-1] @ np.diff(centres)
    empty = np.any([~c.any(axis=1) for c in counts], axis=0)  # a resampling may be
    settings = {"scales": [scale], "bins": len(centres), "unit": "0.01 standard deviations"}
    return _value(name, title, _scaled(np.where(empty, np.nan, distances), scale), settings)


def _scaled(distances: NDArray[np.float64], width: float) -> NDArray[np.float64]:
    """Without a scale only equal samples have a distance, of 0; others NaN."""
    if width > 0:
        return _SCALE * distances / width
    return np.where(distances == 0, 0.0, np.nan)


def _absent(name: str, title: str, note: str) -> Value:
    return Value(f"wasserstein.{name}", title, None, note=note)


def _value(name: str, title: str, found: NDArray[np.float64], settings: dict[str, Any]) -> Value:
    """The distance itself, and its standard deviation over the resamplings."""
    known = found[1:][np.isfinite(found[1:])]
    error = float(np.std(known, ddof=1)) if len(known) > 1 else None
    return Value(f"wasserstein.{name}", title, float(found[0]), error, settings)
