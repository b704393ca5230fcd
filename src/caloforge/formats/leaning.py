"""The polar angle of showers on a barrel, which is 90 degrees at normal incidence.

Below 90 degrees a shower leans along the beam axis, our +y; how it leans around the barrel is not told.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from caloforge.showers import Incident

__all__ = ["direction_of", "polar_angle"]


def direction_of(polar: NDArray[np.floating]) -> dict[str, NDArray[np.float64]]:
    """Angle from the perpendicular and azimuth [rad] of polar angles [rad], ``(B,)``.

    Returns:
        ``theta`` and ``phi``, ``(B,)`` each.
    """
    lean = np.pi / 2 - polar.astype(np.float64)
    return {"theta": np.abs(lean), "phi": np.sign(lean) * np.pi / 2}


def polar_angle(incident: Incident) -> NDArray[np.float64]:
    """Polar angles to the y axis [rad], ``(B,)``; the inverse of ``direction_of``."""
    return np.arccos(np.clip(incident.direction[:, 1], -1.0, 1.0))
