"""Incident particles to the conditions of a network."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from caloforge.preprocessing.base import Fitted

if TYPE_CHECKING:
    from caloforge.preprocessing.particles import Particles

__all__ = ["Conditions"]

_NARROWEST = 1.01  # highest over lowest energy: one energy alone would make its neighbours infinite


class Conditions(Fitted):
    """Energy (and, with ``angles``, the direction) to numbers of order one.

    The energy (or its logarithm) maps linearly from the trained range to [-1, 1]; the direction
    enters as sin(theta) (cos phi, sin phi).

    Args:
        angles: Whether the two incidence angles are conditions.
        log: Whether the energy's logarithm is taken: for ranges over several powers of ten.
    """

    energy_range: Tensor
    largest_theta: Tensor

    def __init__(self, *, angles: bool, log: bool = False) -> None:
        super().__init__()
        self.angles = angles
        self.log = log
        self.register_buffer("energy_range", torch.tensor([0.0, 1.0], dtype=torch.float64))
        self.register_buffer("largest_theta", torch.zeros((), dtype=torch.float64))

    @property
    def features(self) -> int:
        """Size of the output."""
        return 3 if self.angles else 1

    def fit(self, particles: Particles) -> None:
        """Take the trained range from the particles of a sample."""
        low, high = float(particles.energy.min()), float(particles.energy.max())
        sine = particles.direction.norm(dim=-1)
        self.energy_range.copy_(torch.tensor([low, max(high, low * _NARROWEST)], dtype=torch.float64))
        self.largest_theta.copy_(sine.max().clamp(max=1.0).asin())
        self._done()

    def forward(self, particles: Particles) -> Tensor:
        """Conditions ``(B, features)`` of particles."""
        self._require_fitted()
        energy, low, high = particles.energy, self.energy_range[0], self.energy_range[1]
        if self.log:
            energy, low, high = energy.log(), low.log(), high.log()
        scaled = (2 * (energy - low) / (high - low) - 1).to(torch.float32)[:, None]
        return torch.cat([scaled, particles.direction.to(torch.float32)], dim=-1) if self.angles else scaled
