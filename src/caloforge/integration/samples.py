"""Events to try a fast simulation on: photons anywhere, neutral pions, something like a jet."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from caloforge.events import Events
from caloforge.showers import Incident
from caloforge.streams import Streams

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

__all__ = ["PION_MASS", "jets", "neutral_pions", "single_photons"]

PION_MASS = 134.9768
"""Of the neutral pion [MeV] (Particle Data Group)."""

_JET = (22, 22, 22, 11, -11, 211, -211, 211, -211)
_VERTEX = 2400.0  # mm in front of the front face, as far as the end cap of a large detector is


def single_photons(
    count: int,
    *,
    energy: tuple[float, float],
    angles: Sequence[float],
    spread: float,
    seed: int,
) -> Events:
    """Photons of uniform energies at random places, the angles one after the other.

    Args:
        count: Events.
        energy: Lowest and highest [MeV].
        angles: From the normal [rad]; azimuths are random.
        spread: Largest distance of the impact points from the axis in x and y [mm].
        seed: An event depends on it and its number.
    """
    draw = Streams(seed, np.arange(count)).uniform("single photons", 1, width=4)
    theta = np.resize(np.asarray(angles, dtype=np.float64), count)
    particles = Incident.of(_between(energy, draw[:, 0]), theta=theta, phi=2 * np.pi * draw[:, 1])
    return Events.of(particles, spread * (2 * draw[:, 2:4] - 1))


def neutral_pions(
    count: int,
    *,
    energy: tuple[float, float],
    spread: float,
    seed: int,
    asymmetry: float = 1.0,
    distance: float = _VERTEX,
) -> Events:
    """Pairs of photons of neutral pions that fly along the normal and decay at once, isotropically at rest.

    Args:
        count: Events.
        energy: Lowest and highest total energy of the pions [MeV].
        spread: As of ``single_photons``, of the pions' lines of flight.
        seed: An event depends on it and its number.
        asymmetry: Largest difference of the photons' energies over their sum; 1 is all decays, of which
            some send a soft photon far to the side.
        distance: From the decay to the front face [mm].
    """
    draw = Streams(seed, np.arange(count)).uniform("neutral pions", 1, width=5)
    total = _between(energy, draw[:, 0])
    cosine, azimuth = asymmetry * (2 * draw[:, 1] - 1), 2 * np.pi * draw[:, 2]
    photons, theta = _decay(total, cosine)
    phi = np.stack([azimuth, azimuth + np.pi], axis=1)
    away = distance * np.tan(theta)[..., None] * np.stack([np.cos(phi), np.sin(phi)], axis=-1)
    impact = away + (spread * (2 * draw[:, 3:5] - 1))[:, None]
    particles = Incident.of(photons.ravel(), theta=theta.ravel(), phi=phi.ravel())
    return Events.of(particles, impact.reshape(-1, 2), np.repeat(np.arange(count), 2))


def _decay(
    total: NDArray[np.float64], cosine: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Energies and angles of both photons, ``(N, 2)``, from the first one's cosine in the rest frame."""
    gamma = total / PION_MASS
    beta = np.sqrt(1 - gamma**-2)
    both = np.stack([cosine, -cosine], axis=1)
    energy = 0.5 * total[:, None] * (1 + beta[:, None] * both)
    sideways, forward = np.sqrt(1 - both**2), gamma[:, None] * (beta[:, None] + both)
    theta = np.arctan2(sideways, forward)
    return energy, np.minimum(theta, 0.49 * np.pi)


def jets(
    count: int,
    *,
    energy: float,
    spread: float,
    seed: int,
    kinds: Sequence[int] = _JET,
    distance: float = _VERTEX,
) -> Events:
    """Something like jets: particles of one vertex with exponential shares of the energy.

    Args:
        count: Events.
        energy: Sum of the kinetic energies [MeV].
        spread: Standard deviation of the impact points in x and y [mm].
        seed: An event depends on it and its number.
        kinds: Codes of the particles of every event.
        distance: From the vertex to the front face [mm].
    """
    streams, size = Streams(seed, np.arange(count)), len(kinds)
    share = -np.log(streams.uniform("jet energies", size)).reshape(count, size)
    impact = spread * streams.normal("jet places", size, width=2).astype(np.float64)
    radius = np.hypot(*impact.T)
    particles = Incident.of(
        energy * (share / share.sum(axis=1, keepdims=True)).ravel(),
        theta=np.arctan2(radius, distance),
        phi=np.arctan2(impact[:, 1], impact[:, 0]),
        pdg=np.tile(np.asarray(kinds), count),
    )
    return Events.of(particles, impact, np.repeat(np.arange(count), size))


def _between(ends: tuple[float, float], uniform: NDArray[np.float64]) -> NDArray[np.float64]:
    return ends[0] + (ends[1] - ends[0]) * uniform
