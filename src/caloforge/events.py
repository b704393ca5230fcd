"""Events of several particles, each with the point where it meets the calorimeter's front face."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from caloforge.errors import DataError, bad
from caloforge.particles import MIXED
from caloforge.showers import Incident

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

__all__ = ["Events"]


@dataclass(frozen=True)
class Events:
    """Events; the particles of event ``i`` are rows ``offsets[i]:offsets[i + 1]``.

    Attributes:
        particles: All particles, ``P`` of them.
        impact: x and y where their straight lines cross the front face [mm], ``(P, 2)`` float64.
        offsets: ``(N + 1,)`` int64, starts at 0 and rises: no event is empty.

    Raises:
        DataError: Shapes do not fit, a position is NaN or infinite, or an event is empty.
    """

    particles: Incident
    impact: NDArray[np.float64]
    offsets: NDArray[np.int64]

    def __post_init__(self) -> None:
        """Convert and check the arrays."""
        object.__setattr__(self, "impact", np.asarray(self.impact, dtype=np.float64))
        object.__setattr__(self, "offsets", np.asarray(self.offsets, dtype=np.int64))
        count, starts = len(self.particles), self.offsets
        if self.impact.shape != (count, 2) or not np.isfinite(self.impact).all():
            got = f"an array of shape {self.impact.shape}"
            raise DataError(bad("impact points [mm]", got=got, expected=f"finite numbers, ({count}, 2)"))
        if len(starts) == 0 or starts[0] != 0 or starts[-1] != count or np.any(np.diff(starts) < 1):
            expected = f"rising numbers from 0 to {count}, one particle or more an event"
            raise DataError(bad("offsets of events", got=f"{len(starts)} numbers", expected=expected))

    @classmethod
    def of(
        cls, particles: Incident, impact: ArrayLike = (0.0, 0.0), event: ArrayLike | None = None
    ) -> Events:
        """Build from particles, their impact points and the rising numbers of their events.

        Args:
            particles: All of them.
            impact: x and y [mm]; broadcasts to ``(P, 2)``.
            event: Of every particle, ``(P,)``; by default each is an event of its own.

        Raises:
            DataError: The numbers do not rise, or as of the class.
        """
        count = len(particles)
        numbers = np.arange(count) if event is None else np.asarray(event)
        if numbers.shape != (count,) or np.any(np.diff(numbers) < 0):
            expected = f"{count} numbers that do not fall"
            raise DataError(bad("events of particles", got=f"shape {numbers.shape}", expected=expected))
        first = np.flatnonzero(np.diff(numbers, prepend=numbers[0] - 1 if count else 0))
        points = np.broadcast_to(np.asarray(impact, dtype=np.float64), (count, 2))
        return cls(particles, points, np.append(first, count))

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, index: slice) -> Events:
        """Events of a slice of step 1."""
        start, stop, _ = index.indices(len(self))
        stop = max(start, stop)
        rows = slice(int(self.offsets[start]), int(self.offsets[stop]))
        offsets = self.offsets[start : stop + 1] - self.offsets[start]
        return Events(self.particles[rows], self.impact[rows], offsets)

    @property
    def multiplicity(self) -> NDArray[np.int64]:
        """Particles of every event, ``(N,)``."""
        return np.diff(self.offsets)

    def summary(self) -> Incident:
        """Every event as one particle.

        Kinetic energies are summed; the direction is that of the sum of directions weighted with them; the
        code is that of its particles, or ``MIXED``.
        """
        if not len(self):
            return self.particles
        starts, energy = self.offsets[:-1], self.particles.energy
        x, y, z = np.add.reduceat(energy[:, None] * self.particles.direction, starts, axis=0).T
        alike = self.multiplicity == 1  # one particle keeps every bit of its angles
        lowest, highest = (f.reduceat(self.particles.pdg, starts) for f in (np.minimum, np.maximum))
        return Incident(
            np.add.reduceat(energy, starts),
            np.where(alike, self.particles.theta[starts], np.arctan2(np.hypot(x, y), z)),
            np.where(alike, self.particles.phi[starts], np.arctan2(y, x)),
            np.where(lowest == highest, lowest, MIXED),
        )
