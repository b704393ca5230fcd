"""What mosaic is told of the incident particles, as whole numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from caloforge.errors import DataError, bad
from caloforge.models.mosaic.codes import constant_codes, energy_code
from caloforge.particles import particle_name

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from caloforge.preprocessing.told import ConditionsConfig
    from caloforge.showers import Incident

__all__ = ["Asked", "condition_codes", "condition_scale", "conditions_of"]

_ANGLE_UNIT = 1024
"""Codes of a radian: 128 for seven degrees."""

_ENERGY_SCALE, _ANGLE_SCALE, _KIND_SCALE = 16, 16, 4000
"""How far apart a code makes particles: sums are scaled with the energy, but not with the angle, and kinds
are mixed only where there are too few of one."""


@dataclass(frozen=True, eq=False)
class Asked:
    """Incident particles.

    Attributes:
        energy: [MeV], ``(B,)`` float32.
        direction: sin(theta) (cos phi, sin phi), ``(B, 2)`` float32.
        pdg: Codes of the particles, ``(B,)``.
    """

    energy: NDArray[np.float32]
    direction: NDArray[np.float32]
    pdg: NDArray[np.integer]

    @classmethod
    def of(cls, incident: Incident) -> Asked:
        """The particles of showers."""
        direction = incident.direction[:, :2].astype(np.float32)
        return cls(incident.energy.astype(np.float32), direction, incident.pdg)


def conditions_of(config: ConditionsConfig) -> int:
    """How many numbers tell a particle."""
    return 1 + config.angles + bool(config.particles)


def condition_scale(config: ConditionsConfig) -> NDArray[np.int32]:
    """What a code of each condition counts in distances of particles, ``(conditions,)``."""
    if not (config.angles or config.particles):
        return np.ones(1, np.int32)
    scale = [_ENERGY_SCALE, *[_ANGLE_SCALE] * config.angles, *[_KIND_SCALE] * bool(config.particles)]
    return np.array(scale, np.int32)


def condition_codes(asked: Asked, config: ConditionsConfig) -> NDArray[np.int16]:
    """The energy, then the angle from the normal and the kind as far as they are told, ``(B, conditions)``.

    Raises:
        DataError: A particle is of a kind that the model does not know.
    """
    columns = [energy_code(asked.energy)]
    if config.angles:
        columns.append(_angle_code(asked.direction))
    if config.particles:
        columns.append(_kind_code(asked.pdg, config))
    return np.column_stack(columns)


def _angle_code(direction: NDArray[np.float32]) -> NDArray[np.int16]:
    flat = direction.astype(np.float64)
    sine = np.sqrt(flat[:, 0] * flat[:, 0] + flat[:, 1] * flat[:, 1])
    return np.round(_ANGLE_UNIT * np.arcsin(np.minimum(sine, 1.0))).astype(np.int16)


def _kind_code(pdg: NDArray[np.integer], config: ConditionsConfig) -> NDArray[np.int16]:
    known = np.array(config.codes)
    kind = (pdg[:, None] == known).argmax(axis=1)
    strange = known[kind] != pdg
    if strange.any():
        got = particle_name(int(pdg[strange][0]))
        raise DataError(bad("particles", got=got, expected=f"one of {', '.join(config.particles)}"))
    codes: NDArray[np.int16] = constant_codes(len(known))[kind]
    return codes
