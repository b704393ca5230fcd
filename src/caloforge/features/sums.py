"""Sums over the hits of every shower, by products of sparse matrices: several sums in one pass."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.sparse import csr_array

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from caloforge.features.hits import Hits

__all__ = ["sums_by_index", "sums_of_cells"]


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


def _matrix(hits: Hits, weights: NDArray[np.generic], index: NDArray[np.int32], size: int) -> csr_array:
    count = len(hits.incident)
    first = np.searchsorted(hits.shower, np.arange(count + 1)).astype(index.dtype)
    return csr_array((weights, index, first), shape=(count, size))
