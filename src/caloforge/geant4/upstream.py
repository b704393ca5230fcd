"""A plate in front of the calorimeter: showers may begin in it and arrive as several particles."""

from __future__ import annotations

import math
from dataclasses import dataclass

from caloforge.errors import ConfigError, bad
from caloforge.units import DEGREE

__all__ = ["Upstream"]

_MOST = 5.0  # radiation lengths
_RADIATION_LENGTH = 93.7  # mm of silicon (Particle Data Group)
_TANGENT = 12.0  # of the most inclined particle, a little more than 85 degrees


@dataclass(frozen=True)
class Upstream:
    """One plate of silicon as a tracker's material in one place, and a gap of vacuum behind it.

    The particle starts in front of the plate and flies towards the middle of the calorimeter's front
    face. What it radiates in the plate arrives as other particles, the farther away the softer they
    are. There is no magnetic field, which would take them apart more.

    Attributes:
        thickness: In radiation lengths of 93.7 mm; 0 is no plate.
        gap: From the plate to the front face [mm].
    """

    thickness: float = 0.0
    gap: float = 1000.0
    material: str = "Si"

    def __post_init__(self) -> None:
        """Check the thickness and the gap."""
        if not 0 <= self.thickness <= _MOST:
            expected = f"radiation lengths from 0 to {_MOST:g}"
            raise ConfigError(
                bad("material in front (--upstream)", got=f"{self.thickness:g}", expected=expected)
            )
        if not 0 < self.gap <= 1e5:
            raise ConfigError(bad("gap to the plate in front [mm]", got=f"{self.gap:g}", expected="0 to 1e5"))

    def check_angle(self, theta: float) -> None:
        """Make sure that particles inclined by ``theta`` [rad] start in front of the plate.

        Raises:
            ConfigError: They would miss it.
        """
        if self and math.tan(theta) > _TANGENT:
            got, expected = f"{theta / DEGREE:.4g} degrees", "85 degrees or less with --upstream"
            raise ConfigError(bad("angle from the perpendicular", got=got, expected=expected))

    def __bool__(self) -> bool:
        return self.thickness > 0

    @property
    def length(self) -> float:
        """Thickness [mm]."""
        return self.thickness * _RADIATION_LENGTH

    @property
    def reach(self) -> float:
        """From the front of the plate to the front face [mm]; 0 when there is none."""
        return self.gap + self.length if self else 0.0

    @property
    def width(self) -> float:
        """How much wider than the calorimeter it is on every side, for inclined particles [mm]."""
        return _TANGENT * self.reach
