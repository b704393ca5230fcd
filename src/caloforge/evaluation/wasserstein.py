"""Wasserstein-1 distances of standardised observables, times 100, as in CaloClouds' table."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.stats import wasserstein_distance

from caloforge.evaluation.histograms import bootstrap
from caloforge.evaluation.results import Value

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from caloforge.evaluation.pair import Pair

__all__ = ["standardised_distance", "wasserstein_metric"]

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


def standardised_distance(
    reference: NDArray[np.floating],
    generated: NDArray[np.floating],
    reference_weights: NDArray[np.float64] | None = None,
    generated_weights: NDArray[np.float64] | None = None,
    *,
    scale: float | None = None,
) -> float:
    """Wasserstein-1 distance of two samples ``(n,)``, in standard deviations of the reference.

    Args:
        reference: Sample of the reference.
        generated: Sample of the model.
        reference_weights: How often each entry counts.
        generated_weights: How often each entry counts.
        scale: Standard deviation to divide by instead of the reference's own.
    """
    width = scale if scale is not None else float(np.std(reference))
    distance = wasserstein_distance(reference, generated, reference_weights, generated_weights)
    return float(distance) / width if width > 0 else 0.0 if distance == 0 else float("inf")


def wasserstein_metric(pair: Pair) -> list[Value]:
    """Distances of the observables of 2309.05704 (reference section 8.7), in hundredths of a deviation.

    Observables with ten bins give the mean over the bins. The scale is the standard deviation of
    the whole reference.
    """
    values = [_measure(pair, name, title) for name, title in _OBSERVABLES]
    return [*values[:2], _cell_energy(pair), *values[2:]]


def _measure(pair: Pair, name: str, title: str) -> Value:
    reference, generated, whole = (
        table[name].reshape(len(table), -1).astype(np.float64)
        for table in (pair.reference, pair.generated, pair.frame.reference)
    )
    scales = whole.std(axis=0)

    def distances(
        first: NDArray[np.float64] | None, second: NDArray[np.float64] | None
    ) -> NDArray[np.float64]:
        columns = zip(reference.T, generated.T, scales, strict=True)
        return np.array([standardised_distance(r, g, first, second, scale=float(s)) for r, g, s in columns])

    each = _SCALE * distances(None, None)
    error = bootstrap(
        lambda first, second: _SCALE * float(distances(first, second).mean()),
        pair.sizes,
        resamples=pair.resamples,
        rng=pair.frame.rng(name),
    )
    settings = {"scales": scales.tolist(), "per_group": each.tolist(), "unit": "0.01 standard deviations"}
    return Value(f"wasserstein.{name}", title, float(each.mean()), error, settings)


def _cell_energy(pair: Pair) -> Value:
    """Distance of the cell energies of all showers, from the fine logarithmic spectrum."""
    edges = pair.frame.binning.spectrum
    centres = np.sqrt(edges[1:] * edges[:-1])
    whole = pair.frame.reference["spectrum"].sum(axis=0)
    mean = np.average(centres, weights=whole)
    scale = float(np.sqrt(np.average((centres - mean) ** 2, weights=whole)))

    def distance(first: NDArray[np.float64], second: NDArray[np.float64]) -> float:
        counts = [first @ pair.reference["spectrum"], second @ pair.generated["spectrum"]]
        if not counts[0].any() or not counts[1].any():
            return float("inf")
        return _SCALE * standardised_distance(centres, centres, *counts, scale=scale)

    sizes = pair.sizes
    value = distance(np.ones(sizes[0]), np.ones(sizes[1]))
    rng = pair.frame.rng("cell_energy")
    error = bootstrap(distance, sizes, resamples=pair.resamples, rng=rng)
    settings = {"scales": [scale], "bins": len(centres), "unit": "0.01 standard deviations"}
    return Value("wasserstein.cell_energy", "cell energy", value, error, settings)
