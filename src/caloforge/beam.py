"""The particles that are shot: ranges of energy and angle, drawn for every shower by itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from caloforge.errors import ConfigError
from caloforge.particles import particle_name
from caloforge.showers import Incident
from caloforge.streams import Streams
from caloforge.units import GEV

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

__all__ = ["Beam"]


@dataclass(frozen=True, repr=False)
class Beam:
    """Particles of one kind with energies and angles drawn from ranges.

    Shower i depends on (seed, i) alone. Simulation and generation with the same seed and beam
    start from the same particles.

    >>> from caloforge import Beam
    >>> photons = Beam(energy=(10e3, 100e3), theta=(0.0, 0.5))
    >>> photons
    Beam(gamma, 10 to 100 GeV, 0 to 28.6 degrees)
    >>> photons.sample(seed=1, start=0, stop=3)
    Incident(3 of gamma, 20.4 to 59 GeV)

    Attributes:
        energy: Lowest and highest kinetic energy [MeV]; one value when they are equal.
        log: Whether energies are uniform in the logarithm, not in the energy.
        theta: Range of the angle from the inward normal [rad], drawn uniformly. With ``phi`` given it may
            start below 0: a negative angle leans to the other side, phi + pi.
        phi: Range of the azimuth [rad]; None is the full turn when theta has a range, else 0.
        pdg: Particle code.

    Raises:
        ConfigError: A range is reversed, or energies or angles are out of bounds.
    """

    energy: tuple[float, float]
    log: bool = False
    theta: tuple[float, float] = (0.0, 0.0)
    phi: tuple[float, float] | None = None
    pdg: int = 22

    def __post_init__(self) -> None:
        """Check the ranges."""
        _check("energy [MeV]", self.energy, self.energy[0] > 0, "a rising range above 0")
        half = 0.5 * np.pi
        low, told = (0.0, "in [0, pi/2)") if self.phi is None else (-half, "in (-pi/2, pi/2)")
        good = low <= self.theta[0] and -half < self.theta[0] and self.theta[1] < half
        _check("theta [rad]", self.theta, good, told)
        _check("phi [rad]", self.azimuths, good=True, expected="a rising range")

    def __repr__(self) -> str:
        low, high = np.degrees(self.theta)
        angles = f", {low:.3g} to {high:.3g} degrees" if high > low else f", {low:.3g} degrees" if low else ""
        energies = dict.fromkeys(f"{end / GEV:.3g}" for end in self.energy)
        return f"Beam({particle_name(self.pdg)}, {' to '.join(energies)} GeV{angles})"

    @property
    def azimuths(self) -> tuple[float, float]:
        """The range of phi [rad] that is drawn from."""
        if self.phi is not None:
            return self.phi
        return (0.0, 2 * np.pi) if self.theta[0] != self.theta[1] else (0.0, 0.0)

    @property
    def mean_energy(self) -> float:
        """Mean energy [MeV]."""
        low, high = self.energy
        return (high - low) / np.log(high / low) if self.log and high > low else 0.5 * (low + high)

    @property
    def largest_theta(self) -> float:
        """Largest angle from the normal, to either side [rad]."""
        return max(map(abs, self.theta))

    def sample(self, seed: int, start: int, stop: int) -> Incident:
        """The particles of showers ``start`` to ``stop`` (exclusive)."""
        streams = Streams(seed, np.arange(start, stop))
        energy, theta, phi = (
            streams.uniform(f"incident {name}", 1)[:, 0] for name in ("energy", "theta", "phi")
        )
        signed = _between(self.theta, theta)
        return Incident.of(
            np.exp(_between(np.log(self.energy), energy)) if self.log else _between(self.energy, energy),
            theta=np.abs(signed),
            phi=_between(self.azimuths, phi) + np.pi * (signed < 0),
            pdg=self.pdg,
        )


def _between(
    ends: Sequence[float] | NDArray[np.float64], uniform: NDArray[np.float64]
) -> NDArray[np.float64]:
    return ends[0] + (ends[1] - ends[0]) * uniform


def _check(what: str, ends: tuple[float, float], good: bool, expected: str) -> None:
    if not (good and np.all(np.isfinite(ends)) and ends[0] <= ends[1]):
        msg = f"{what} of the beam: got {ends[0]:g} to {ends[1]:g}, expected {expected}."
        raise ConfigError(msg)
