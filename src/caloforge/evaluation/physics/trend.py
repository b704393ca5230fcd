"""Taking out of an observable what the incident energy explains."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["without_trend"]

_SAME = 1e-6


def without_trend(
    values: NDArray[np.floating], energy: NDArray[np.float64], *, degree: int = 2
) -> NDArray[np.float64]:
    """What a polynomial in the logarithm of the incident energy leaves of observables, of the same shape.

    Of samples with one or two energies a constant or a line; with no showers, nothing.

    Args:
        values: Observables, ``(n,)`` or ``(n, F)``.
        energy: Incident energies [MeV], ``(n,)``.
        degree: Of the polynomial.
    """
    data = np.asarray(values, np.float64)
    if not len(data):
        return data
    log = np.log(energy)
    scaled = (log - log.mean()) / max(float(np.ptp(log)), _SAME)
    levels = len(np.unique(np.round(log / _SAME)))
    powers = np.vander(scaled, min(degree, levels - 1) + 1)
    found = np.linalg.lstsq(powers, data, rcond=None)[0]
    return np.asarray(data - powers @ found)
