"""Which particles to generate showers for: a beam, or those of a file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from caloforge.formats import open_showers
from caloforge.showers import Incident

if TYPE_CHECKING:
    from pathlib import Path

    from caloforge.beam import Beam

__all__ = ["LikeFile", "extremes"]


@dataclass(frozen=True)
class LikeFile:
    """The particles of a shower file, again from its start when it is used up.

    Attributes:
        path: The file.
    """

    path: Path

    def sample(self, seed: int, start: int, stop: int) -> Incident:  # noqa: ARG002 (nothing is random)
        """The particles of showers ``start`` to ``stop`` (exclusive)."""
        with open_showers(self.path) as reader:
            incident = reader.incident()
        return incident[np.arange(start, stop) % len(incident)]


def extremes(particles: Beam | LikeFile) -> Incident:
    """Particles that span the range, for a look at the trained range before any is generated."""
    if isinstance(particles, LikeFile):
        with open_showers(particles.path) as reader:
            return reader.incident()
    return Incident.of(np.array(particles.energy), theta=particles.largest_theta, pdg=particles.pdg)
