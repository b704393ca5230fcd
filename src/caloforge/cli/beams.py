"""The beam options that simulate and generate share: GeV and degrees as typed, MeV and rad inside."""

from __future__ import annotations

from typing import TYPE_CHECKING

from caloforge.cli.common import angle_range, energy_range, parse_range
from caloforge.units import DEGREE

if TYPE_CHECKING:
    from caloforge.beam import Beam

__all__ = ["beam_of"]


def beam_of(*, energy: str, log: bool, theta: str, phi: str | None, particle: str) -> Beam:
    """The beam that the options describe.

    Args:
        energy: Kinetic energy or range of it [GeV].
        log: Whether energies are log-uniform.
        theta: Angle from the inward normal or range of it [degrees]; negative ones lean to the other side
            of a given azimuth.
        phi: Azimuth or range of it [degrees]; None is the full turn when theta has a range, else 0.
        particle: A name of ``PARTICLES``.

    Raises:
        ConfigError: An option cannot be read or is out of bounds.
    """
    from caloforge.beam import Beam
    from caloforge.particles import pdg_code

    energies, angles = energy_range(energy, log=log), angle_range(theta, signed=phi is not None)
    azimuths = parse_range(phi, signed=True, what="--phi").scaled(DEGREE) if phi is not None else None
    return Beam(
        energy=(energies.low, energies.high),
        log=log,
        theta=(angles.low, angles.high),
        phi=None if azimuths is None else (azimuths.low, azimuths.high),
        pdg=pdg_code(particle),
    )
