"""Linear trends of split variables in a context, in whole numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from caloforge.models.mosaic.tables import TREND_SHIFT

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Trend", "fit_trend", "no_trend"]

_OCTAVE = 128.0  # codes of a factor of two
_RIDGE = 1e-3  # of the rows
_LEAST = 3.0
_FEWEST = 3  # rows a weight


class Trend(NamedTuple):
    """``(sum of weight * code + bias) >> TREND_SHIFT`` in the units of a split variable.

    Attributes:
        weight: ``(L,)`` int32.
        bias: With as many bits behind the point.
    """

    weight: NDArray[np.int32]
    bias: int

    def at(self, codes: NDArray[np.integer]) -> NDArray[np.int64]:
        """Its values at contexts, ``(n, L)`` to ``(n,)``."""
        return (codes.astype(np.int64) @ self.weight.astype(np.int64) + self.bias) >> TREND_SHIFT


def no_trend(places: int, value: float = 0.0, *, unit: int = 1) -> Trend:
    """The same everywhere."""
    return Trend(np.zeros(places, np.int32), round(value * unit * (1 << TREND_SHIFT)))


def fit_trend(codes: NDArray[np.integer], value: NDArray[np.float64], *, unit: int) -> Trend:
    """Ridge regression; the mean where there are too few rows.

    Args:
        codes: Contexts, ``(n, L)``.
        value: Split variables, ``(n,)``.
        unit: A value of 1 in whole numbers.
    """
    rows, places = codes.shape
    if rows < _FEWEST * places:
        return no_trend(places, float(value.mean()) if rows else 0.0, unit=unit)
    context = codes / _OCTAVE
    mean, middle = context.mean(axis=0), value.mean()
    centred = context - mean
    square = centred.T @ centred + np.eye(places) * (_RIDGE * rows + _LEAST)
    slope = np.linalg.solve(square, centred.T @ (value - middle))
    scale = unit * (1 << TREND_SHIFT)
    weight = np.round(slope / _OCTAVE * scale).astype(np.int32)
    return Trend(weight, round(float(middle - mean @ slope) * scale))
