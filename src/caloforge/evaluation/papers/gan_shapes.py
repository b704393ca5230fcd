"""3DGAN's shower shapes: where along x, y and z the energy lies, in bins of energy and angle."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from caloforge.evaluation.papers.bins import energy_bins, places_of
from caloforge.evaluation.papers.inclination import inclination_bins
from caloforge.evaluation.papers.resampling import draws, value_and_error
from caloforge.evaluation.results import Value
from caloforge.features.projections import has_projections

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from caloforge.evaluation.pair import Pair

__all__ = ["SHAPES", "gan_shape_metric"]

SHAPES = {"x": "profile_x", "y": "profile_y", "z": "layer_energy"}
"""Columns of the energy along every axis (2109.07388, figure 8)."""

_ENERGY_BINS, _ANGLE_BINS = 5, 3
_FEWEST = 5


def gan_shape_metric(pair: Pair) -> list[Value]:
    """Shapes along x, y and z, in bins of energy and angle, against the reference.

    The shape is the mean energy along an axis, the others summed, over its sum. The value is the share
    of the energy that lies in another place, half of the sum of the absolute differences, averaged over
    the bins that have enough showers in both samples. Along x and y it needs square cells.
    """
    energies = energy_bins(pair.frame.reference, _ENERGY_BINS)
    inclination, angles = inclination_bins(pair.frame.reference, _ANGLE_BINS)
    places = [
        places_of(energies.find(table["energy"]), angles.find(inclination.of_particles(table)), len(angles))
        for table in (pair.reference, pair.generated)
    ]
    settings = {"energy_edges": energies.edges.tolist(), "angle_edges": angles.edges.tolist()}
    return [_shape(pair, axis, places, len(energies) * len(angles), settings) for axis in SHAPES]


def _shape(
    pair: Pair, axis: str, places: list[NDArray[np.int64]], bins: int, settings: dict[str, Any]
) -> Value:
    name, title = f"physics.3dgan_shape_{axis}", f"3DGAN: shape along {axis}, energy in another place"
    if axis != "z" and not has_projections(pair.frame.geometry):
        return Value(name, title, None, note="The read-out has no square cells, which add up along x and y.")
    weights = draws(pair, "physics.3dgan_shapes")
    tables = (pair.reference, pair.generated)
    columns = [np.asarray(table[SHAPES[axis]], np.float64) for table in tables]
    found = []
    for number in range(bins):
        rows = [np.flatnonzero(place == number) for place in places]
        if min(map(len, rows)) < _FEWEST:
            continue
        apart = _apart(*(w[:, r] @ c[r] for w, r, c in zip(weights, rows, columns, strict=True)))
        if np.isfinite(apart[0]):
            found.append(apart)
    if not found:
        note = (
            f"No bin of energy and angle has {_FEWEST} showers in both samples and energy in the reference."
        )
        return Value(name, title, None, note=note)
    told = {**settings, "bins_used": len(found), "largest": float(max(values[0] for values in found))}
    return Value(name, title, *value_and_error(np.mean(found, axis=0)), told)


def _apart(first: NDArray[np.float64], second: NDArray[np.float64]) -> NDArray[np.float64]:
    """Half of the sum of the differences of shares, of sums along an axis ``(1 + R, k)``.

    1 where only the second has no energy, NaN where the first has none: ``(1 + R,)``.
    """
    totals = [sums.sum(axis=1, keepdims=True) for sums in (first, second)]
    one, two = (
        sums / np.where(total > 0, total, 1.0) for sums, total in zip((first, second), totals, strict=True)
    )
    apart = np.where(totals[1][:, 0] > 0, 0.5 * np.abs(two - one).sum(axis=1), 1.0)
    return np.asarray(np.where(totals[0][:, 0] > 0, apart, np.nan))
