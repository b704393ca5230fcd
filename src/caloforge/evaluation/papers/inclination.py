"""Angles with a sign, where all particles lean in one plane to either side."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from caloforge.evaluation.papers.bins import angle_bins, bins_of, has_angles

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from caloforge.evaluation.papers.bins import Bins
    from caloforge.features import FeatureTable

__all__ = ["Inclination", "inclination_bins"]

_ONE_PLANE = 1e-3
_SAME = 1e-6


@dataclass(frozen=True)
class Inclination:
    """How angles of incidence are counted.

    Attributes:
        plane: Azimuth of the side that counts as positive [rad], in [0, pi); None: angles have no sign.
    """

    plane: float | None = None

    @classmethod
    def of(cls, table: FeatureTable) -> Inclination:
        """With a sign where all particles lie in one plane and lean to both of its sides.

        Data of 3DGAN (2109.07388) have 60 to 120 degrees to the axis of the barrel.
        """
        if not has_angles(table):
            return cls()
        weight = np.sin(table["theta"])
        mean = np.sum(weight * np.exp(2j * table["phi"])) / np.sum(weight)
        if abs(mean) < 1 - _ONE_PLANE:
            return cls()
        plane = float(np.mod(0.5 * np.angle(mean), np.pi))
        plane = 0.0 if np.pi - plane < _SAME else plane
        sides = cls(plane).sign(table["phi"][weight > 0])
        return cls(plane if sides.min() < sides.max() else None)

    def sign(self, phi: NDArray[np.floating]) -> NDArray[np.float64]:
        """1 or -1, the side to which particles lean; 1 without a plane: ``(n,)``."""
        if self.plane is None:
            return np.ones(len(phi))
        return np.where(np.cos(phi - self.plane) < 0, -1.0, 1.0)

    def of_particles(self, table: FeatureTable) -> NDArray[np.float64]:
        """Angle of the incident particles [rad], ``(n,)``."""
        return np.asarray(self.sign(table["phi"]) * table["theta"])

    def measured(self, table: FeatureTable) -> NDArray[np.float64]:
        """3DGAN's measured angle with the same sign [rad], ``(n,)``."""
        return np.asarray(self.sign(table["phi"]) * table["measured_angle"])


def inclination_bins(table: FeatureTable, count: int) -> tuple[Inclination, Bins]:
    """How the angles of a sample are counted, and ``count`` bins of them with equally many showers."""
    inclination = Inclination.of(table)
    if inclination.plane is None:
        return inclination, angle_bins(table, count)
    return inclination, bins_of(inclination.of_particles(table), count)
