"""The floor of a metric: what it gives for Geant4 against Geant4 at the same numbers of showers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from caloforge.evaluation.pair import Pair

if TYPE_CHECKING:
    from collections.abc import Iterator

    from caloforge.evaluation.pair import Frame, Observed
    from caloforge.evaluation.registry import Metric
    from caloforge.evaluation.results import Value

__all__ = ["Floor", "FloorMaker"]

_SAME = 1e-6


@dataclass(frozen=True)
class Floor:
    """One floor.

    Attributes:
        value: At the numbers of showers of the comparison.
        error: One standard deviation, None when there is only one pair without error.
        sizes: Showers of the two samples that it was computed from.
        factor: By which the computed value was multiplied, because ``sizes`` are smaller.
        pairs: How many pairs were averaged.
    """

    value: float
    error: float | None
    sizes: tuple[int, int]
    factor: float
    pairs: int


class FloorMaker:
    """Makes the floors of an evaluation.

    With ``spare`` showers of the reference that the comparison does not use, the floor is the
    reference against as many of those as the model has showers: the same numbers of showers, no
    assumption.

    Without them, it is one part of the reference against the rest, which are fewer showers. Noise
    goes as (1/n + 1/m)^p: p is 0.5 for distances and 0 for classifiers; for separations it is
    between 0 (a handful of entries in many bins) and 1, and is measured with half of the showers.
    The floor is scaled with it to the numbers of the comparison.
    """

    def __init__(self, frame: Frame, reference: Observed, spare: Observed | None) -> None:
        self._frame, self._reference, self._spare = frame, reference, spare
        self._known: dict[tuple[str, int], dict[str, Floor]] = {}

    def floors(self, metric: Metric, count: int) -> dict[str, Floor]:
        """Floors by value name, for a model with ``count`` showers."""
        key = (metric.name, count)
        if key not in self._known:
            self._known[key] = self._compute(metric, count)
        return self._known[key]

    def _compute(self, metric: Metric, count: int) -> dict[str, Floor]:
        pairs = list(self._pairs(metric, count))
        if not pairs or min(pairs[0].sizes) < metric.minimum // 2:
            return {}
        rows = [metric.values(pair) for pair in pairs]
        gain = _noise((len(self._reference), count)) / _noise(pairs[0].sizes)
        powers = _powers(metric, pairs, rows) if gain < 1 - _SAME else {}
        floors = {}
        for values in zip(*rows, strict=True):
            if any(value.value is None for value in values):
                continue
            name = values[0].name
            factor = float(gain ** powers.get(name, 0.0))
            numbers = np.array([_number(v) for v in values]) * factor
            error = float(np.std(numbers, ddof=1)) if len(values) > 1 else _scaled(values[0].error, factor)
            floors[name] = Floor(float(numbers.mean()), error, pairs[0].sizes, factor, len(values))
        return floors

    def _pairs(self, metric: Metric, count: int) -> Iterator[Pair]:
        if self._spare is not None and len(self._spare) >= count:
            pairs = min(metric.floor_pairs, len(self._spare) // count)
            resamples = _resamples(pairs)
            for k in range(pairs):
                part = self._spare.select(slice(k * count, (k + 1) * count))
                yield Pair(self._reference, part, self._frame, resamples)
            return
        size = min(count, len(self._reference) // 2)
        rng = self._frame.rng("floor")
        resamples = _resamples(metric.floor_pairs)
        for _ in range(metric.floor_pairs):
            order = rng.permutation(len(self._reference))
            first, second = self._reference.select(order[size:]), self._reference.select(order[:size])
            yield Pair(first, second, self._frame, resamples)


def _resamples(pairs: int) -> int:
    """Several pairs tell the error by their spread; a single one by itself."""
    return 0 if pairs > 1 else Pair.resamples


def _powers(metric: Metric, pairs: list[Pair], rows: list[list[Value]]) -> dict[str, float]:
    """By which power of the noise each value grows, by its name."""
    if metric.noise is not None:
        return {value.name: metric.noise for value in rows[0]}
    fewer = [metric.values(_half(pair)) for pair in pairs]
    ratio = _noise(_half(pairs[0]).sizes) / _noise(pairs[0].sizes)
    powers = {}
    for many, few in zip(zip(*rows, strict=True), zip(*fewer, strict=True), strict=True):
        means = [float(np.mean([_number(v) for v in values])) for values in (many, few)]
        growth = np.log(means[1] / means[0]) / np.log(ratio) if min(means) > 0 else 1.0
        powers[many[0].name] = float(np.clip(growth, 0.0, 1.0))
    return powers


def _noise(sizes: tuple[int, int]) -> float:
    return 1 / sizes[0] + 1 / sizes[1]


def _number(value: Value) -> float:
    return float("nan") if value.value is None else value.value


def _scaled(error: float | None, factor: float) -> float | None:
    return None if error is None else error * factor


def _half(pair: Pair) -> Pair:
    first, second = (s.select(slice(0, max(len(s) // 2, 1))) for s in (pair.first, pair.second))
    return Pair(first, second, pair.frame, resamples=0)
