"""Histograms that merge over parts of a sample, and resampling of their showers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from caloforge.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import ArrayLike, NDArray

__all__ = ["Histogram", "ShowerBins", "bootstrap"]


@dataclass(frozen=True)
class Histogram:
    """Weighted counts of ``G`` groups (layers, energies) in the same number of bins.

    Attributes:
        edges: Bin edges, ``(B + 1,)``.
        counts: In-range entries, ``(B,)`` or ``(G, B)``.
    """

    edges: NDArray[np.float64]
    counts: NDArray[np.float64]

    @classmethod
    def of(cls, values: ArrayLike, edges: ArrayLike, weights: ArrayLike | None = None) -> Histogram:
        """Fill one group; the last bin is closed at its upper edge, entries outside are left out."""
        bins = np.asarray(edges, dtype=np.float64)
        counts = np.histogram(np.asarray(values), bins=bins, weights=_as_array(weights))[0]
        return cls(bins, counts.astype(np.float64))

    def __add__(self, other: Histogram) -> Histogram:
        """Merge two parts.

        Raises:
            DataError: The edges differ.
        """
        if not np.array_equal(self.edges, other.edges):
            raise DataError("Histograms with different edges cannot be merged.")
        return Histogram(self.edges, self.counts + other.counts)

    @property
    def shares(self) -> NDArray[np.float64]:
        """Counts divided by their sum, which is over the last axis; 0 where there are no entries."""
        total = self.counts.sum(axis=-1, keepdims=True)
        shares = np.zeros_like(self.counts)
        np.divide(self.counts, total, out=shares, where=total > 0)
        return shares


@dataclass(frozen=True)
class ShowerBins:
    """An observable of ``n`` showers put into bins, to be summed with any weights of the showers.

    Attributes:
        edges: Bin edges of every group, ``(G, B + 1)``.
        index: Bin of every shower in every group, ``(n, G)``, -1 outside; or None.
        counts: Entries of every shower in the bins of a single group, ``(n, B)``, instead of ``index``.
    """

    edges: NDArray[np.float64]
    index: NDArray[np.int64] | None = None
    counts: NDArray[np.integer] | None = None

    @classmethod
    def of(cls, values: NDArray[np.floating], edges: NDArray[np.float64]) -> ShowerBins:
        """Find the bins of ``values``, ``(n, G)``, in ``edges``, ``(G, B + 1)``."""
        return cls(edges, index=np.column_stack([_find(v, e) for v, e in zip(values.T, edges, strict=True)]))

    def fill(self, weights: NDArray[np.floating] | None = None) -> NDArray[np.float64]:
        """Sum the showers, each counted ``weights`` times, ``(n,)``: counts ``(G, B)``."""
        if self.counts is not None:
            one = np.ones(len(self.counts)) if weights is None else weights
            return (one @ self.counts)[None, :].astype(np.float64)
        index = self.index if self.index is not None else np.empty((0, len(self.edges)), np.int64)
        groups, bins = index.shape[1], self.edges.shape[1] - 1
        rows, columns = np.nonzero(index >= 0)
        keys = columns * bins + index[rows, columns]
        summed = np.bincount(
            keys, weights=None if weights is None else weights[rows], minlength=groups * bins
        )
        return summed.reshape(groups, bins).astype(np.float64)


def bootstrap(
    statistic: Callable[[NDArray[np.float64], NDArray[np.float64]], float],
    sizes: tuple[int, int],
    *,
    resamples: int,
    rng: np.random.Generator,
) -> float | None:
    """Standard deviation of ``statistic`` under resampling of the showers of both samples.

    Args:
        statistic: Function of how often each shower of the reference ``(n,)`` and of the
            generated sample ``(m,)`` counts.
        sizes: Showers ``n`` and ``m``.
        resamples: Repetitions; None is returned for fewer than two.
        rng: Draws the showers.
    """
    if resamples < 2:
        return None
    draws = [
        [rng.multinomial(n, np.full(n, 1.0 / n)).astype(np.float64) for n in sizes] for _ in range(resamples)
    ]
    return float(np.std([statistic(first, second) for first, second in draws], ddof=1))


def _find(values: NDArray[np.floating], edges: NDArray[np.float64]) -> NDArray[np.int64]:
    index = np.searchsorted(edges, values, side="right") - 1
    index = np.where(values == edges[-1], len(edges) - 2, index)
    return np.where((index >= 0) & (index < len(edges) - 1), index, -1)


def _as_array(values: ArrayLike | None) -> NDArray[np.generic] | None:
    return None if values is None else np.asarray(values)
