"""With what power of the incident energy sums of showers go."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["fit_powers"]

_USUAL = 0.75  # where nothing tells
_ROUNDS = 25
_MOST = 4.0
_PRIOR = 0.5  # of one in units of the data's own weight: so many showers' worth of Poisson counts


def fit_powers(incident: NDArray[np.floating], values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Fit means proportional to a power of the incident energy, by Poisson likelihood.

    It needs no logarithm of 0. Columns without anything get 3/4, those with little are drawn to it.

    Args:
        incident: Energies of the particles [MeV], ``(n,)``.
        values: 0 or more, ``(n, R)``.

    Returns:
        Powers between 0 and 4, ``(R,)``.
    """
    octaves = np.log(incident.astype(np.float64))[:, None]
    octaves = octaves - octaves.mean()
    power = np.full(values.shape[1], _USUAL)
    total = values.sum(axis=0)
    wanted = (values * octaves).sum(axis=0)
    for _ in range(_ROUNDS):
        weight = np.exp(power * octaves)
        norm = weight.sum(axis=0)
        mean = (weight * octaves).sum(axis=0) / norm
        square = (weight * octaves**2).sum(axis=0) / norm - mean**2
        slope = wanted - total * mean - _PRIOR * (power - _USUAL)
        power = np.clip(power + slope / (total * square + _PRIOR), 0.0, _MOST)
    return power
