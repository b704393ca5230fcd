"""Sums over the hits of every shower, by products of sparse matrices: several sums in one pass."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.sparse import csr_array

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from caloforge.features.hits import Hits

__all__ = ["largest_hits", "ratio", "sums_between", "sums_by_index", "sums_of_cells", "sums_of_hits"]


def sums_of_cells(hits: Hits, values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Energy-weighted sums of what every cell has, ``(B, k)``.

    Args:
        hits: The cells above threshold.
        values: Of all cells of the read-out, ``(n_cells, k)``.
    """
    matrix = _matrix(hits, hits.energy, hits.cell, len(values))
    return np.asarray(matrix @ values)


def sums_by_index(
    hits: Hits, weights: NDArray[np.generic], index: NDArray[np.int32], size: int
) -> NDArray[np.generic]:
    """Sums of the hits' ``weights`` by shower and ``index``, which is below ``size``: ``(B, size)``."""
    return np.asarray(_matrix(hits, weights, index, size).toarray())


def sums_of_hits(hits: Hits, weights: NDArray[np.generic] | None = None) -> NDArray[np.float64]:
    """Sums of the hits' ``weights``, or their number, by shower: ``(B,)``."""
    first = _first(hits)
    return np.diff(first).astype(np.float64) if weights is None else sums_between(first, weights)


def sums_between(first: NDArray[np.integer], values: NDArray[np.generic]) -> NDArray[np.float64]:
    """Sums of ``values[first[i]:first[i + 1]]``, ``(B,)``; 0 where there are none."""
    return _reduced(np.add, first, values.astype(np.float64, copy=False))


def largest_hits(hits: Hits) -> NDArray[np.float64]:
    """Energy of the hottest cell of every shower [MeV], ``(B,)``; 0 for empty ones."""
    return _reduced(np.maximum, _first(hits), hits.energy)


def ratio(values: NDArray[np.generic], by: NDArray[np.generic]) -> NDArray[np.float64]:
    """``values / by``; 0 where ``by`` is 0."""
    return np.asarray(values / np.where(by == 0, 1.0, by) * (by != 0), dtype=np.float64)


def _reduced(how: np.ufunc, first: NDArray[np.integer], values: NDArray[np.float64]) -> NDArray[np.float64]:
    some = np.diff(first) > 0
    found = np.zeros(len(some))
    if some.any():  # parts without entries would give the next one
        found[some] = how.reduceat(values, first[:-1][some])
    return found


def _first(hits: Hits) -> NDArray[np.intp]:
    """First hit of every shower, and the number of hits, ``(B + 1,)``."""
    return np.searchsorted(hits.shower, np.arange(len(hits.incident) + 1))


def _matrix(hits: Hits, weights: NDArray[np.generic], index: NDArray[np.int32], size: int) -> csr_array:
    count = len(hits.incident)
    first = _first(hits).astype(index.dtype)
    return csr_array((weights, index, first), shape=(count, size))
