"""The floor of a metric: what it gives for Geant4 against Geant4 at the same numbers of showers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from caloforge.evaluation.pair import Pair

if TYPE_CHECKING:
    from collections.abc import Iterator

    from caloforge.evaluation.pair import Frame
    from caloforge.evaluation.registry import Metric
    from caloforge.features import FeatureTable

__all__ = ["Floor", "FloorMaker"]


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
    assumption. Without them, it is one part of the reference against the rest, and the value is
    scaled to the numbers of the comparison by the law that statistical noise follows: proportional
    to 1/n + 1/m for separations, to its square root for distances, constant for classifiers.
    """

    def __init__(self, frame: Frame, reference: FeatureTable, spare: FeatureTable | None) -> None:
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
        rows = [metric.compute(pair) for pair in pairs]
        wanted = 1 / len(self._reference) + 1 / count
        found = 1 / pairs[0].sizes[0] + 1 / pairs[0].sizes[1]
        factor = (wanted / found) ** metric.noise
        floors = {}
        for values in zip(*rows, strict=True):
            numbers = np.array([np.nan if v.value is None else v.value for v in values]) * factor
            error = float(np.std(numbers, ddof=1)) if len(values) > 1 else values[0].error
            floors[values[0].name] = Floor(float(numbers.mean()), error, pairs[0].sizes, factor, len(values))
        return floors

    def _pairs(self, metric: Metric, count: int) -> Iterator[Pair]:
        resamples = 0 if metric.floor_pairs > 1 else Pair.resamples
        if self._spare is not None and len(self._spare) >= count:
            for k in range(min(metric.floor_pairs, len(self._spare) // count)):
                part = self._spare.select(slice(k * count, (k + 1) * count))
                yield Pair(self._reference, part, self._frame, resamples)
            return
        size = min(count, len(self._reference) // 2)
        rng = self._frame.rng("floor")
        for _ in range(metric.floor_pairs):
            order = rng.permutation(len(self._reference))
            first, second = self._reference.select(order[size:]), self._reference.select(order[:size])
            yield Pair(first, second, self._frame, resamples)
