"""Calorimeter Pyramid's correlations between the hits of cells, and the patterns that hits make."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from caloforge.evaluation.papers.hit_counts import PARTS, HitCounts, Pattern, count_hits, occupancy
from caloforge.evaluation.papers.resampling import draws, relative, value_and_error
from caloforge.evaluation.results import Value
from caloforge.geometry.neighbours import cell_groups, neighbours

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from caloforge.evaluation.pair import Pair
    from caloforge.geometry import Geometry

__all__ = ["coefficients", "hit_pattern_metric"]

_CELLS = 400
_OCCUPANCY = (0.02, 0.98)
_TITLES = {
    "hit_correlation": "Pyramid: correlations between the hits of cells, RMS difference",
    "neighbours": "Pyramid: correlations between the hits of neighbours, mean difference",
    "group_hits": "Pyramid: hits in a hit ring or block, distance",
    "pairs": "Pyramid: hit neighbours per hit, relative deviation",
}
_COEFFICIENT_EDGES = np.linspace(-1.0, 1.0, 101)


def hit_pattern_metric(pair: Pair) -> list[Value]:
    """Correlations of hits (the Calorimeter Pyramid's figure) and local patterns of hits.

    * Pearson coefficients of hit or not between all pairs of the 400 cells whose hits vary most in the
      reference, of those hit in 2 to 98 % of the showers: RMS difference. The number of showers alone
      makes one, ``expected_noise``; ``excess`` is what the difference has beyond.
    * The same between each cell and its neighbours, averaged over the cells: mean absolute difference
      over the directions (in the layer, in the next layer, in the one after).
    * The numbers of hits in the rings (or blocks of 5 x 5 cells) that have any: Wasserstein-1 distance
      in standard deviations.
    * Pairs of hit neighbours in a layer for each hit: relative deviation.
    """
    reference, generated = pair.cells
    rate = occupancy(reference)
    frequent = np.flatnonzero((rate >= _OCCUPANCY[0]) & (rate <= _OCCUPANCY[1]))
    pattern = _pattern(pair.frame.geometry, rate, frequent)
    first, second = count_hits(reference, pattern), count_hits(generated, pattern)
    if len(pattern.chosen) < 2:
        note = "No two cells are hit in 2 to 98 % of the reference's showers."
        correlated = [_value(name, None, None, {}, note) for name in ("hit_correlation", "neighbours")]
    else:
        names = list(neighbours(pair.frame.geometry))
        correlated = [
            _all_pairs(first, second, pattern, errors=pair.resamples > 0),
            _near_pairs(first, second, pattern, (names, frequent), errors=pair.resamples > 0),
        ]
    return [*correlated, _groups(pair, first, second, pattern), _pairs(pair, first, second)]


def coefficients(
    joint: NDArray[np.floating], first: NDArray[np.floating], second: NDArray[np.floating], count: float
) -> NDArray[np.float64]:
    """Pearson coefficients of two cells' hits; 0 where one of them is always or never hit.

    Args:
        joint: Showers in which both are hit.
        first: Showers in which one is hit.
        second: Showers in which the other is hit.
        count: All showers.
    """
    p, q = np.asarray(first, np.float64) / count, np.asarray(second, np.float64) / count
    variance = p * (1 - p) * q * (1 - q)
    covariance = np.asarray(joint, np.float64) / count - p * q
    return np.asarray(
        np.where(variance > 0, covariance, 0.0) / np.sqrt(np.where(variance > 0, variance, 1.0))
    )


def _pattern(geometry: Geometry, rate: NDArray[np.float64], frequent: NDArray[np.int64]) -> Pattern:
    order = np.argsort(-(rate * (1 - rate))[frequent], kind="stable")
    near = neighbours(geometry)
    group, groups = cell_groups(geometry)
    return Pattern(
        chosen=np.sort(frequent[order[:_CELLS]]),
        near=np.array(list(near.values())),
        beside=np.array(["layer" not in name for name in near]),
        group=group,
        groups=groups,
        largest=int(np.bincount(group).max()),
    )


def _all_pairs(first: HitCounts, second: HitCounts, pattern: Pattern, *, errors: bool) -> Value:
    above = np.triu_indices(len(pattern.chosen), k=1)

    def matrix(counts: HitCounts, part: int | None) -> NDArray[np.float64]:
        joint, showers = _left(counts.joint, part), float(_left(counts.showers, part))
        single = np.diag(joint)
        return coefficients(joint, single[:, None], single[None, :], showers)[above]

    def rms(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
        return float(np.sqrt(np.mean(np.square(a - b))))

    reference, generated = matrix(first, None), matrix(second, None)
    value = rms(reference, generated)
    noise = sum(
        np.mean(np.square(1 - np.square(r))) / counts.showers.sum()
        for r, counts in ((reference, first), (generated, second))
    )
    settings = {
        "cells": len(pattern.chosen),
        "occupancy": list(_OCCUPANCY),
        "expected_noise": float(np.sqrt(noise)),
        "excess": float(np.sqrt(max(value**2 - noise, 0.0))),
        "edges": _COEFFICIENT_EDGES.tolist(),
        "reference": np.histogram(reference, _COEFFICIENT_EDGES)[0].tolist(),
        "generated": np.histogram(generated, _COEFFICIENT_EDGES)[0].tolist(),
    }
    error = _jackknife(matrix, (first, second), (reference, generated), rms) if errors else None
    return _value("hit_correlation", value, error, settings)


def _near_pairs(
    first: HitCounts,
    second: HitCounts,
    pattern: Pattern,
    named: tuple[list[str], NDArray[np.int64]],
    *,
    errors: bool,
) -> Value:
    names, frequent = named
    kept = [cells[np.isin(near[cells], frequent)] for near, cells in ((n, frequent) for n in pattern.near)]

    def means(counts: HitCounts, part: int | None) -> NDArray[np.float64]:
        single, near, showers = (_left(x, part) for x in (counts.single, counts.near, counts.showers))
        each = [
            coefficients(near[k, cells], single[cells], single[pattern.near[k, cells]], float(showers))
            for k, cells in enumerate(kept)
        ]
        return np.array([c.mean() if len(c) else np.nan for c in each])

    def difference(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
        known = np.isfinite(a) & np.isfinite(b)
        return float(np.abs(a - b)[known].mean()) if known.any() else float("nan")

    reference, generated = means(first, None), means(second, None)
    value = difference(reference, generated)
    if not np.isfinite(value):
        return _value("neighbours", None, None, {}, "No two neighbours are hit in 2 to 98 % of the showers.")
    settings = {
        "directions": names,
        "pairs": [len(cells) for cells in kept],
        "reference": [_number(x) for x in reference],
        "generated": [_number(x) for x in generated],
    }
    error = _jackknife(means, (first, second), (reference, generated), difference) if errors else None
    return _value("neighbours", value, error, settings)


def _groups(pair: Pair, first: HitCounts, second: HitCounts, pattern: Pattern) -> Value:
    shares = [
        np.cumsum(_shares(rows @ counts.group_hits[:, 1:]), axis=1)
        for rows, counts in zip(draws(pair, "physics.pyramid_group_hits"), (first, second), strict=True)
    ]
    hits = np.arange(1, pattern.largest + 1)
    seen = [np.diff(share[0], prepend=0.0) for share in shares]
    mean = float(seen[0] @ hits)
    scale = float(np.sqrt(seen[0] @ np.square(hits - mean)))
    if not scale > 0:
        note = "All hit rings or blocks of the reference have the same number of hits."
        return _value("group_hits", None, None, {}, note)
    distance = np.abs(shares[0] - shares[1]).sum(axis=1) / scale
    settings = {
        "cells_per_group": pattern.largest,
        "scale": scale,
        "reference": seen[0].tolist(),
        "generated": seen[1].tolist(),
        "unit": "standard deviations",
    }
    return _value("group_hits", *value_and_error(distance), settings)


def _pairs(pair: Pair, first: HitCounts, second: HitCounts) -> Value:
    rates = [
        (rows @ counts.pairs) / np.maximum(rows @ counts.hits, 1)
        for rows, counts in zip(draws(pair, "physics.pyramid_pairs"), (first, second), strict=True)
    ]
    settings = {"reference": float(rates[0][0]), "generated": float(rates[1][0])}
    value, error = value_and_error(np.abs(relative(rates[1], rates[0])))
    note = "" if value is not None else "The reference has no hit neighbours."
    return _value("pairs", value, error, settings, note)


def _left(counts: NDArray[np.floating], part: int | None) -> NDArray[np.floating]:
    """Sum over the parts, without one of them."""
    total = counts.sum(axis=0)
    return np.asarray(total if part is None else total - counts[part])


def _jackknife(
    measure: Callable[[HitCounts, int | None], NDArray[np.float64]],
    samples: tuple[HitCounts, HitCounts],
    whole: tuple[NDArray[np.float64], NDArray[np.float64]],
    difference: Callable[[NDArray[np.float64], NDArray[np.float64]], float],
) -> float:
    """Error of a difference when the parts of each sample are left out one by one."""
    first = [difference(measure(samples[0], part), whole[1]) for part in range(PARTS)]
    second = [difference(whole[0], measure(samples[1], part)) for part in range(PARTS)]
    variance = sum((PARTS - 1) * float(np.var(found)) for found in (first, second))
    return float(np.sqrt(variance))


def _shares(counts: NDArray[np.floating]) -> NDArray[np.float64]:
    return np.asarray(counts / np.maximum(counts.sum(axis=1, keepdims=True), 1.0))


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def _value(
    name: str, value: float | None, error: float | None, settings: dict[str, Any], note: str = ""
) -> Value:
    return Value(f"physics.pyramid_{name}", _TITLES[name], value, error, settings, note)
