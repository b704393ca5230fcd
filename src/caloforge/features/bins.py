"""Which bin a value falls into, fast for the evenly spaced edges that most histograms have."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from caloforge.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

__all__ = ["check_edges", "clipped_bins", "find_bins"]

_CHUNK = 1 << 15
_EVEN = 1e-3


def check_edges(what: str, edges: NDArray[np.floating] | NDArray[np.integer]) -> None:
    """Make sure that there are bins to count in: nothing is ever compared in none.

    Args:
        what: Of which quantity, for the error.
        edges: Of one or several groups, ``(..., B + 1)``.

    Raises:
        DataError: There is no bin, or an edge is not finite, or the edges do not rise.
    """
    if edges.shape[-1] < 2 or not np.isfinite(edges).all() or not np.all(np.diff(edges, axis=-1) > 0):
        msg = f"There are no bins to compare the {what} in: their edges must be finite and rise."
        raise DataError(msg)


def find_bins(values: NDArray[np.floating], edges: NDArray[np.float64]) -> NDArray[np.intp]:
    """The bin of every value: the last edge that is not above it, -1 below the first one.

    Exactly ``np.searchsorted(edges, values, side="right") - 1``. For edges that are evenly spaced, or
    evenly in their logarithm, it is a guess by arithmetic which is then compared with the edges.

    Args:
        values: Finite numbers, ``(n,)``.
        edges: Rising, ``(B + 1,)``.
    """
    guess = _guess(edges)
    if guess is None or len(values) < len(edges):
        return np.searchsorted(edges, values, side="right") - 1
    found = np.empty(len(values), dtype=np.intp)
    bounds = np.concatenate([[-np.inf], edges, [np.inf]])
    for start in range(0, len(values), _CHUNK):
        part = values[start : start + _CHUNK]
        near = np.clip(guess(part), 0, len(edges)).astype(np.intp)
        near -= part < bounds[near]
        near += part >= bounds[near + 1]
        found[start : start + _CHUNK] = near - 1
    return found


def clipped_bins(values: NDArray[np.floating], edges: NDArray[np.float64]) -> NDArray[np.intp]:
    """Like ``find_bins``; what lies outside counts in the first or last bin."""
    return np.clip(find_bins(values, edges), 0, len(edges) - 2)


def _guess(edges: NDArray[np.float64]) -> Callable[[NDArray[np.floating]], NDArray[np.floating]] | None:
    """A function to the number of edges up to a value, right to one; None when nothing is even."""
    if _even(edges):
        low, scale = edges[0], 1.0 / (edges[1] - edges[0])
        return lambda values: (values - low) * scale + 1.0
    if edges[0] > 0 and _even(np.log2(edges)):
        first, per_octave = np.log2(edges[0]), 1.0 / np.log2(edges[1] / edges[0])
        tiny = np.finfo(np.float32).tiny
        return lambda values: (np.log2(np.maximum(values, tiny)) - first) * per_octave + 1.0
    return None


def _even(edges: NDArray[np.float64]) -> bool:
    """Whether guesses by arithmetic are right to one bin everywhere."""
    expected = edges[0] + (edges[1] - edges[0]) * np.arange(len(edges))
    return bool(np.abs(edges - expected).max() < _EVEN * (edges[1] - edges[0]) * len(edges))
