"""The floor of a metric: what it gives for Geant4 against Geant4 at the same numbers of showers."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from caloforge.evaluation.matching import apart, match_particles, neighbour_pairs
from caloforge.evaluation.pair import Observed, Pair

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from numpy.typing import NDArray

    from caloforge.evaluation.pair import Frame
    from caloforge.evaluation.registry import Metric
    from caloforge.evaluation.results import Value

__all__ = ["Floor", "FloorMaker"]

_SAME = 1e-6
_ENOUGH = 3  # times as many spare showers as wanted ones hold a near one for each


@dataclass(frozen=True)
class Floor:
    """One floor.

    Attributes:
        value: At the numbers of showers of the comparison.
        error: One standard deviation: of the mean of several pairs by their spread, of a single pair as
            the metric tells it; None when it tells none.
        sizes: Showers of the two samples that it was computed from.
        factor: By which the computed value was multiplied, because ``sizes`` are smaller.
        pairs: How many pairs were averaged.
        particles: Whether they are "matched", which is fair for a model that was given the reference's
            particles, or "independent", which is fair for others; and how far matched ones are apart. "own"
            where the reference itself stands in the model's place.
    """

    value: float
    error: float | None
    sizes: tuple[int, int]
    factor: float
    pairs: int
    particles: Mapping[str, Any] = field(default_factory=lambda: {"particles": "independent"})

    @property
    def facts(self) -> dict[str, Any]:
        """How it was made, as JSON types."""
        return {"sizes": list(self.sizes), "factor": self.factor, "pairs": self.pairs, **self.particles}


class FloorMaker:
    """Makes the floors of an evaluation.

    With ``spare`` showers of the reference that the comparison does not use, the floor is the
    reference against as many of those as the model has showers: the same numbers of showers, no
    assumption. Where the model's showers share the reference's particles, so do these: each has the
    particle that is nearest to the reference's (``matching``), or, where spare showers are few,
    neighbours in energy of all showers are put on two sides.

    Without them, it is one part of the reference against the rest, which are fewer showers. Noise
    goes as (1/n + 1/m)^p: p is 0.5 for distances and 0 for classifiers; for separations it is
    between 0 (a handful of entries in many bins) and 1, and is measured with half of the showers.
    The floor is scaled with it to the numbers of the comparison.

    Further pairs come from exchanging showers of the two sides at random, which are of one origin: over
    all exchanges a classifier is right as often as wrong, and the mean area is one half.
    """

    def __init__(self, frame: Frame, reference: Observed, spare: Observed | None) -> None:
        self._frame, self._reference, self._spare = frame, reference, spare
        self._known: dict[tuple[str, int, bool], dict[str, Floor]] = {}
        self._matched: dict[int, Observed | None] = {}

    def floors(self, metric: Metric, count: int, *, shared: bool = False) -> dict[str, Floor]:
        """Floors by value name, for ``count`` showers of a model, of the reference's particles or others."""
        key = (metric.name, count, shared)
        if key not in self._known:
            self._known[key] = self._compute(metric, count, shared=shared)
        return self._known[key]

    def _compute(self, metric: Metric, count: int, *, shared: bool) -> dict[str, Floor]:
        if not metric.floor_pairs:
            return self._own(metric)
        pairs = list(self._pairs(metric, count, shared=shared))
        if not pairs or min(pairs[0].sizes) < metric.minimum // 2:
            return {}
        rows = [metric.values(pair) for pair in pairs]
        gain = _noise((len(self._reference), count)) / _noise(pairs[0].sizes)
        powers = _powers(metric, pairs, rows) if gain < 1 - _SAME else {}
        return {
            values[0].name: _floor(values, float(gain ** powers.get(values[0].name, 0.0)), pairs[0])
            for values in zip(*rows, strict=True)
            if all(value.value is not None for value in values)
        }

    def _own(self, metric: Metric) -> dict[str, Floor]:
        """The reference in the model's place."""
        own = Pair(self._reference, self._reference, self._frame, is_floor=True)
        return {
            value.name: Floor(value.value, value.error, own.sizes, 1.0, 1, {"particles": "own"})
            for value in metric.values(own)
            if value.value is not None
        }

    def _pairs(self, metric: Metric, count: int, *, shared: bool) -> Iterator[Pair]:
        wanted = metric.floor_pairs
        sides = self._matched_sides if shared else self._independent_sides
        # several pairs tell the error by their spread; a single one by itself
        resamples = 0 if wanted > 1 and not metric.cells else Pair.resamples
        found = [self._pair(*both, resamples, shared=shared) for both in sides(metric, count)]
        yield from found
        rng = self._frame.rng("floor.exchange")
        for _ in range(wanted - len(found) if found and not metric.cells else 0):
            yield _exchanged(found[0], rng)

    def _pair(self, first: Observed, second: Observed, resamples: int, *, shared: bool) -> Pair:
        return Pair(first, second, self._frame, resamples, shared=shared, is_floor=True)

    def _independent_sides(self, metric: Metric, count: int) -> Iterator[tuple[Observed, Observed]]:
        if self._spare is not None and len(self._spare) >= count:
            for k in range(min(metric.floor_pairs, len(self._spare) // count)):
                yield self._reference, self._spare.select(slice(k * count, (k + 1) * count))
            return
        size, rng = min(count, len(self._reference) // 2), self._frame.rng("floor")
        for _ in range(metric.floor_pairs):
            order = rng.permutation(len(self._reference))
            yield self._reference.select(order[size:]), self._reference.select(order[:size])

    def _matched_sides(self, metric: Metric, count: int) -> Iterator[tuple[Observed, Observed]]:
        near = self._near(count)
        if near is not None:
            yield self._reference, near
            return
        whole, rng = self._pool(metric), self._frame.rng("floor")
        size = min(count, len(whole) // 2)
        for _ in range(metric.floor_pairs if size else 0):
            first, second = neighbour_pairs(whole.table, size, rng)
            yield whole.select(first), whole.select(second)

    def _near(self, count: int) -> Observed | None:
        """Spare showers with the particles of the first ``count`` of the reference, if there are enough."""
        if self._spare is None or len(self._spare) < _ENOUGH * count:
            return None
        if count not in self._matched:
            wanted = self._reference.table.select(slice(0, count))
            rows = match_particles(wanted, self._spare.table)
            self._matched[count] = None if rows is None else self._spare.select(rows)
        return self._matched[count]

    def _pool(self, metric: Metric) -> Observed:
        """All showers of the reference's origin; with single cells, which are in one store, its own."""
        if self._spare is None or metric.cells:
            return self._reference
        return Observed(self._reference.table.followed_by(self._spare.table))


def _floor(values: tuple[Value, ...], factor: float, pair: Pair) -> Floor:
    """The mean over the pairs, of which the first is given, times a factor."""
    numbers = np.array([_number(value) for value in values]) * factor
    told: dict[str, Any] = {"particles": "independent"}
    if pair.shared:
        both = pair.twins()
        told = {"particles": "matched", **apart(both.reference, both.generated)}
    return Floor(
        float(numbers.mean()), _error(numbers, values, factor), pair.sizes, factor, len(values), told
    )


def _error(numbers: NDArray[np.float64], values: tuple[Value, ...], factor: float) -> float | None:
    """Of the mean: by the spread of the pairs, and not less than what they tell themselves."""
    found = [np.std(numbers, ddof=1)] if len(numbers) > 1 else []
    own = [factor * value.error for value in values if value.error is not None]
    if len(own) == len(values):
        found.append(np.sqrt(np.mean(np.square(own))))
    return float(max(found) / np.sqrt(len(numbers))) if found else None


def _exchanged(pair: Pair, rng: np.random.Generator) -> Pair:
    """The pair with half of the showers on the other side; those with like particles change places."""
    count, size = pair.sizes
    both = Observed(pair.reference.followed_by(pair.generated))
    common = min(count, size)
    turned = np.flatnonzero(rng.random(common) < 0.5)
    first, second = np.arange(count), count + np.arange(size)
    first[turned], second[turned] = second[turned], first[turned]
    return replace(pair, first=both.select(first), second=both.select(second))


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


def _half(pair: Pair) -> Pair:
    first, second = (s.select(slice(0, max(len(s) // 2, 1))) for s in (pair.first, pair.second))
    return replace(pair, first=first, second=second, resamples=0)
