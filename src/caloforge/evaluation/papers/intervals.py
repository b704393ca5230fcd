"""mu90 and sigma90: mean and RMS of the shortest interval that holds 90 % of a sample."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["SHARE", "core", "core_draws"]

SHARE = 0.9
"""Of the sample inside of the interval (Getting High, 2005.05334; sigma90 of a Gaussian is 0.789 sigma)."""


def core(values: NDArray[np.floating], share: float = SHARE) -> NDArray[np.float64]:
    """Mean and RMS about it of the shortest interval with a ``share`` of the values.

    Args:
        values: Samples, ``(..., n)``.
        share: Of the values in the interval, rounded up to whole values.

    Returns:
        Mean and RMS, ``(..., 2)``.
    """
    ordered = np.sort(np.asarray(values, dtype=np.float64), axis=-1)
    count = ordered.shape[-1]
    inside = min(max(int(np.ceil(share * count - 1e-9)), 1), count)
    widths = ordered[..., inside - 1 :] - ordered[..., : count - inside + 1]
    first = np.argmin(widths, axis=-1)[..., None]
    chosen = np.take_along_axis(ordered, first + np.arange(inside), axis=-1)
    return np.stack([chosen.mean(axis=-1), chosen.std(axis=-1)], axis=-1)


def core_draws(values: NDArray[np.floating], resamples: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """``core`` of the values ``(n,)`` and of ``resamples`` bootstrap samples of them, ``(1 + R, 2)``."""
    count = len(values)
    index = np.concatenate([np.arange(count)[None], rng.integers(0, count, (resamples, count))])
    return core(values[index])
