"""How widely an observable spreads, as far as it is more than rounding."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["spreads"]

_ROUNDING = 1e-9
_NOTHING = 1e-12


def spreads(values: NDArray[np.floating]) -> NDArray[np.float64]:
    """Standard deviations of the columns of ``(n, F)``; 0 for those that are one number up to rounding."""
    sigma = values.std(axis=0, dtype=np.float64)
    largest = np.abs(values).max(axis=0, initial=0.0)
    return np.where(sigma > np.maximum(_ROUNDING * largest, _NOTHING), sigma, 0.0)
