"""Mean times per shower and their ratios, with errors."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

__all__ = ["Estimate", "mean_time", "speed_up"]


@dataclass(frozen=True)
class Estimate:
    """A number with one standard deviation."""

    value: float
    error: float


def mean_time(energies: NDArray[np.float64], seconds: NDArray[np.float64]) -> Estimate:
    """Mean time of showers at energies that are spread evenly.

    The mean time over the range is wanted, and the energies cover it evenly: what a straight line in
    the energy explains is therefore no error.

    Args:
        energies: Incident energies, ``(n,)``.
        seconds: Time of every shower, ``(n,)``.
    """
    degree = 1 if np.ptp(energies) > 0 else 0
    scaled = energies / energies.max()
    rest = seconds - np.polyval(np.polyfit(scaled, seconds, degree), scaled)
    return Estimate(float(seconds.mean()), float(rest.std(ddof=degree + 1) / math.sqrt(len(seconds))))


def speed_up(geant4: Estimate, seconds: Sequence[float]) -> Estimate:
    """Geant4's time over a model's; the error is that of both means.

    Args:
        geant4: Geant4's seconds per shower.
        seconds: The model's seconds per shower, of every repetition.
    """
    mean = float(np.mean(seconds))
    relative = float(np.std(seconds, ddof=1)) / math.sqrt(len(seconds)) / mean
    ratio = geant4.value / mean
    return Estimate(ratio, ratio * math.hypot(geant4.error / geant4.value, relative))
