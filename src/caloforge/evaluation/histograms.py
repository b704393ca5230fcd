"""Histograms that merge over parts of a sample, and resampling of their showers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.sparse import csr_array

from caloforge.errors import DataError
from caloforge.features.bins import check_edges, find_bins

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import ArrayLike, NDArray

    from caloforge.features import FeatureTable

__all__ = ["Histogram", "ShowerBins", "find_index", "resample", "weighted_sums"]

_ROWS = 4096


@dataclass(frozen=True)
class Histogram:
    """Weighted counts of ``G`` groups (layers, energies) in the same number of bins.

    Attributes:
        edges: Bin edges, ``(B + 1,)``.
        counts: In-range entries, ``(B,)`` or ``(G, B)``.

    Raises:
        DataError: The edges are not finite or do not rise.
    """

    edges: NDArray[np.float64]
    counts: NDArray[np.float64]

    def __post_init__(self) -> None:
        """Check the edges."""
        check_edges("entries of a histogram", self.edges)

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

    Raises:
        DataError: The edges are not finite or do not rise.
    """

    edges: NDArray[np.float64]
    index: NDArray[np.int16] | None = None
    counts: NDArray[np.integer] | None = None

    def __post_init__(self) -> None:
        """Check the edges."""
        check_edges("entries of a histogram", self.edges)

    @classmethod
    def of(cls, values: NDArray[np.floating], edges: NDArray[np.float64]) -> ShowerBins:
        """Find the bins of ``values``, ``(n, G)``, in ``edges``, ``(G, B + 1)``; the last ones are closed."""
        return cls(edges, index=find_index(values, edges))

    def fill(self, weights: NDArray[np.floating] | None = None) -> NDArray[np.float64]:
        """Sum the showers: counts ``(G, B)``.

        With ``weights``, ``(n,)``, each counts so many times; with weights ``(n, R)``, there are R such
        sums, ``(R, G, B)``.
        """
        columns = None if weights is None else weights.reshape(len(weights), -1)
        sums = self._fill_counts(columns) if self.counts is not None else self._fill_index(columns)
        return sums if weights is not None and weights.ndim == 2 else sums[0]

    def _fill_counts(self, weights: NDArray[np.floating] | None) -> NDArray[np.float64]:
        counts = self.counts if self.counts is not None else np.empty((0, 0), np.int64)
        if weights is None:
            return np.asarray(counts.sum(axis=0, dtype=np.float64)[None, None, :])
        sums = np.zeros((weights.shape[1], counts.shape[1]))
        for rows in _slices(len(counts)):
            sums += weights[rows].T.astype(np.float64) @ counts[rows].astype(np.float64)
        return sums[:, None, :]

    def _fill_index(self, weights: NDArray[np.floating] | None) -> NDArray[np.float64]:
        index = self.index if self.index is not None else np.empty((0, len(self.edges)), np.int16)
        groups, bins = len(self.edges), self.edges.shape[1]  # one more for what lies outside
        sums = np.zeros((groups * bins, 1 if weights is None else weights.shape[1]))
        shift = np.arange(groups, dtype=np.int32) * bins + 1
        for rows in _slices(len(index)):
            keys = (index[rows] + shift).ravel()
            if weights is None:
                sums[:, 0] += np.bincount(keys, minlength=len(sums))
            else:
                # few rows: their sums are exact in float32
                sums += _one_hot(keys, groups, len(sums)).T @ weights[rows].astype(np.float32)
        return np.asarray(sums.T.reshape(-1, groups, bins)[:, :, 1:])


def find_index(values: NDArray[np.floating], edges: NDArray[np.float64]) -> NDArray[np.int16]:
    """Bins of ``values``, ``(n, G)``, in ``edges``, ``(G, B + 1)``; -1 outside, the last ones are closed.

    Raises:
        DataError: The edges are not finite or do not rise.
    """
    check_edges("values", edges)
    index = np.empty(values.shape, dtype=np.int16)
    for group, own in enumerate(edges):
        index[:, group] = _find(values[:, group], own)
    return index


def resample(count: int, resamples: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """How often each of ``count`` showers is drawn, with replacement, ``(count, resamples)``."""
    draws = np.empty((count, resamples), dtype=np.float32)
    for column in draws.T:
        column[:] = np.bincount(rng.integers(0, max(count, 1), count), minlength=count)
    return draws


def weighted_sums(table: FeatureTable, column: str, weights: NDArray[np.floating]) -> NDArray[np.float64]:
    """Sums of a column over the showers for several weights of them, part by part: exact ones of counts.

    Args:
        table: Of ``n`` showers.
        column: Its name; ``(n, k)``.
        weights: How often each shower counts, ``(R, n)``.

    Returns:
        ``(R, k)``.
    """
    sums = [weights[:, rows] @ some[column].astype(np.float64) for rows, some in table.parts()]
    return np.asarray(np.sum(sums, axis=0))


def _find(values: NDArray[np.floating], edges: NDArray[np.float64]) -> NDArray[np.intp]:
    index = find_bins(values, edges)
    index[values == edges[-1]] = len(edges) - 2
    index[index == len(edges) - 1] = -1
    return index


def _one_hot(keys: NDArray[np.int32], groups: int, size: int) -> csr_array:
    starts = np.arange(0, len(keys) + 1, groups)
    ones = np.ones(len(keys), np.float32)
    return csr_array((ones, keys, starts), shape=(len(starts) - 1, size))


def _slices(count: int) -> Iterator[slice]:
    for start in range(0, count, _ROWS):
        yield slice(start, start + _ROWS)


def _as_array(values: ArrayLike | None) -> NDArray[np.generic] | None:
    return None if values is None else np.asarray(values)
