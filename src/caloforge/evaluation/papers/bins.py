"""Bins of the incident energy and angle, filled equally by the reference."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from caloforge.features import FeatureTable

__all__ = ["Bins", "angle_bins", "bins_of", "energy_bins", "has_angles", "places_of"]

_DISCRETE = 20
_SAME = 1e-4
_STRAIGHT = 1e-3


@dataclass(frozen=True)
class Bins:
    """Intervals of one incident quantity.

    Attributes:
        edges: Rising, ``(B + 1,)``; the outer ones hold all of the reference.
        discrete: Whether every bin is one value.
    """

    edges: NDArray[np.float64]
    discrete: bool = False

    def __len__(self) -> int:
        return len(self.edges) - 1

    def find(self, values: NDArray[np.floating]) -> NDArray[np.int64]:
        """Bin of every value, ``(n,)``; -1 outside."""
        index = np.searchsorted(self.edges, values, side="right") - 1
        return np.where((index >= 0) & (index < len(self)), index, -1)

    @property
    def intervals(self) -> list[list[float]]:
        """Lower and upper edges, for people and for JSON."""
        return [[float(low), float(high)] for low, high in zip(self.edges[:-1], self.edges[1:], strict=True)]


def energy_bins(table: FeatureTable, count: int) -> Bins:
    """``count`` bins of the incident energy [MeV] with equally many showers; discrete energies one each."""
    return bins_of(table["energy"], count)


def angle_bins(table: FeatureTable, count: int) -> Bins:
    """``count`` bins of theta [rad] with equally many showers; one for samples without angles."""
    return bins_of(table["theta"], count) if has_angles(table) else Bins(np.array([-_SAME, np.pi]))


def places_of(first: NDArray[np.int64], second: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """Numbers of the bins of two quantities, ``first * count + second``; -1 outside of either: ``(n,)``."""
    return np.where((first < 0) | (second < 0), -1, first * count + second)


def has_angles(table: FeatureTable) -> bool:
    """Whether any particle comes at an angle."""
    return bool(np.max(table["theta"], initial=0.0) > _STRAIGHT)


def bins_of(values: NDArray[np.float64], count: int) -> Bins:
    """``count`` bins with equally many values; where there are few different ones, one for each."""
    levels = _levels(values)
    if len(levels) <= _DISCRETE and len(levels) * 4 <= max(len(values), 4):
        inner = 0.5 * (levels[1:] + levels[:-1])
        return Bins(np.concatenate([[_below(levels[0])], inner, [_above(levels[-1])]]), discrete=True)
    edges = np.unique(np.quantile(values, np.linspace(0.0, 1.0, count + 1)))
    edges[0], edges[-1] = _below(edges[0]), _above(edges[-1])
    return Bins(edges)


def _levels(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """The different values; those that differ by rounding only are one."""
    levels = np.unique(values)
    apart = np.diff(levels, prepend=-np.inf) > _SAME * np.maximum(np.abs(levels), _SAME)
    return np.asarray(levels[apart])


def _below(value: float) -> float:
    return value - _SAME * max(abs(value), _SAME)


def _above(value: float) -> float:
    return value + _SAME * max(abs(value), _SAME)
