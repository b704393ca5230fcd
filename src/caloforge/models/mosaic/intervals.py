"""The layers, halved again and again."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from caloforge.geometry.absorber import absorber_weights

if TYPE_CHECKING:
    from caloforge.geometry import Geometry

__all__ = ["ROOT_LAYERS", "Interval", "Intervals"]

_MOST_ROOTS = 4  # thicknesses of absorber

ROOT_LAYERS = 64
"""Most layers of a root, unless it is said."""


@dataclass(frozen=True)
class Interval:
    """Layers from ``start`` to before ``stop``; ``number`` counts the intervals."""

    number: int
    start: int
    stop: int


@dataclass
class Intervals:
    """A forest of intervals: what has one thickness of absorber is a tree of its own.

    So the sum of energies weighted by the absorber, which no other number is as narrow as, is drawn first.

    Attributes:
        all: Every interval, parents before children.
        roots: The largest ones, in order.
        halves: Of every interval of more than one layer.
        levels: The intervals side by side from front to back, before every round of halving.
        layer: The interval of every single layer.
    """

    all: list[Interval] = field(default_factory=list)
    roots: list[Interval] = field(default_factory=list)
    halves: dict[Interval, tuple[Interval, Interval]] = field(default_factory=dict)
    levels: list[list[Interval]] = field(default_factory=list)
    layer: list[Interval] = field(default_factory=list)

    @classmethod
    def of(cls, geometry: Geometry, *, longest: int = ROOT_LAYERS) -> Intervals:
        """The intervals of a read-out.

        Args:
            geometry: The read-out.
            longest: Most layers of a root; more of one thickness are parted evenly.
        """
        weights = absorber_weights(geometry)
        ends = [0, *(np.flatnonzero(np.diff(weights)) + 1).tolist(), geometry.n_layers]
        if len(ends) > _MOST_ROOTS + 1:
            ends = [0, geometry.n_layers]
        made = cls()
        parts = [part for a, b in pairwise(ends) for part in pairwise(_evenly(a, b, longest))]
        made.roots = [made._add(a, b) for a, b in parts]
        current = made.roots
        while any(map(_is_long, current)):
            made.levels.append(current)
            current = [part for interval in current for part in made._halved(interval)]
        made.layer = current
        return made

    def _add(self, start: int, stop: int) -> Interval:
        self.all.append(Interval(len(self.all), start, stop))
        return self.all[-1]

    def _halved(self, interval: Interval) -> tuple[Interval, ...]:
        if not _is_long(interval):
            return (interval,)
        middle = (interval.start + interval.stop) // 2
        self.halves[interval] = self._add(interval.start, middle), self._add(middle, interval.stop)
        return self.halves[interval]


def _evenly(start: int, stop: int, longest: int) -> list[int]:
    count = -(-(stop - start) // longest)
    return [start + (stop - start) * part // count for part in range(count + 1)]


def _is_long(interval: Interval) -> bool:
    return interval.stop - interval.start > 1
