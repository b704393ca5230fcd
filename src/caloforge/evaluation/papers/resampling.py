"""Numbers with bootstrap errors, for statistics of weighted showers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from caloforge.evaluation.pair import Pair

__all__ = ["Weights", "distances", "draws", "listed", "relative", "spread", "value_and_error"]

Weights = tuple["NDArray[np.float64]", "NDArray[np.float64]"]
"""How often every shower of the reference, ``(1 + R, n)``, and of a model, ``(1 + R, m)``, counts."""


def draws(pair: Pair, name: str) -> Weights:
    """How often every shower counts: ones, then ``pair.resamples`` resamplings.

    Returns:
        Of the reference, ``(1 + R, n)``, and of the generated sample, ``(1 + R, m)``.
    """
    first, second = (
        np.concatenate([np.ones((1, len(drawn))), drawn.T.astype(np.float64)])
        for drawn in pair.draws(pair.frame.rng(name))
    )
    return first, second


def distances(
    values: tuple[NDArray[np.floating], NDArray[np.floating]], weights: Weights
) -> NDArray[np.float64]:
    """Wasserstein-1 distances of two samples ``(n,)`` and ``(m,)`` for all ``draws`` of them, ``(1 + R,)``.

    Areas between the distributions. The samples are sorted once, and sums of whole numbers, which are
    exact, give the distributions.
    """
    joined = np.concatenate(values)
    order = np.argsort(joined, kind="stable")
    steps = np.diff(joined[order])
    is_first = order < len(values[0])
    return np.array([_area(both, order, is_first, steps) for both in zip(*weights, strict=True)])


def _area(
    weights: tuple[NDArray[np.float64], NDArray[np.float64]],
    order: NDArray[np.int64],
    is_first: NDArray[np.bool_],
    steps: NDArray[np.floating],
) -> float:
    """Between two weighted distributions, for one draw; ``steps`` lie between the sorted numbers."""
    first, second = (float(own.sum()) for own in weights)
    apart = np.cumsum(np.concatenate(weights)[order] * np.where(is_first, second, -first))
    return float(np.abs(apart[:-1]) @ (steps / (first * second)))


def value_and_error(values: NDArray[np.floating] | Sequence[float]) -> tuple[float | None, float | None]:
    """The first entry, and the standard deviation of the others; None where they are not finite.

    Args:
        values: Of the sample itself and of its resamplings, ``(1 + R,)``.
    """
    numbers = np.asarray(values, dtype=np.float64)
    if not np.isfinite(numbers[0]):
        return None, None
    return float(numbers[0]), spread(numbers[1:])


def spread(values: NDArray[np.floating]) -> float | None:
    """Standard deviation of those that are finite; None for fewer than two."""
    finite = values[np.isfinite(values)]
    return float(np.std(finite, ddof=1)) if len(finite) > 1 else None


def relative(values: NDArray[np.floating], reference: NDArray[np.floating]) -> NDArray[np.float64]:
    """``values / reference - 1``; NaN where the reference is 0 or nothing is known."""
    known = np.isfinite(reference) & (reference != 0)
    return np.where(known, values, np.nan) / np.where(known, reference, 1.0) - 1.0


def listed(values: NDArray[np.floating]) -> list[object]:
    """Nested lists for JSON, with None for what is not finite."""
    content = np.asarray(values, dtype=np.float64).astype(object)
    content[~np.isfinite(np.asarray(values, dtype=np.float64))] = None
    return list(content.tolist())
