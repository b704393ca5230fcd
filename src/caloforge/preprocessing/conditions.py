"""Incident particles to the conditions of a network."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from caloforge.errors import DataError, bad
from caloforge.particles import particle_name
from caloforge.preprocessing.base import Fitted
from caloforge.preprocessing.told import ConditionsConfig

if TYPE_CHECKING:
    from caloforge.preprocessing.particles import Particles

__all__ = ["Conditions"]

_NARROWEST = 1.01  # highest over lowest energy: one energy alone would make its neighbours infinite


class Conditions(Fitted):
    """Energy, and where asked for the direction and the kind, to numbers of order one.

    The energy (or its logarithm) maps linearly from the trained range to [-1, 1]; the direction
    enters as sin(theta) (cos phi, sin phi), the kind as a 1 among zeros.

    Args:
        config: What is a condition beside the energy.
        log: Whether the energy's logarithm is taken: for ranges over several powers of ten.
    """

    energy_range: Tensor
    largest_theta: Tensor
    codes: Tensor

    def __init__(self, config: ConditionsConfig | None = None, *, log: bool = False) -> None:
        super().__init__()
        self.config = config or ConditionsConfig()
        self.log = log
        self.register_buffer("energy_range", torch.tensor([0.0, 1.0], dtype=torch.float64))
        self.register_buffer("largest_theta", torch.zeros((), dtype=torch.float64))
        codes = torch.tensor(self.config.codes, dtype=torch.int64)
        self.register_buffer("codes", codes, persistent=False)  # the configuration says them

    @property
    def features(self) -> int:
        """Size of the output."""
        return 1 + 2 * self.config.angles + len(self.config.particles)

    def fit(self, particles: Particles) -> None:
        """Take the trained range from the particles of a sample."""
        low, high = float(particles.energy.min()), float(particles.energy.max())
        sine = particles.direction.norm(dim=-1)
        self.energy_range.copy_(torch.tensor([low, max(high, low * _NARROWEST)], dtype=torch.float64))
        self.largest_theta.copy_(sine.max().clamp(max=1.0).asin())
        self._done()

    def forward(self, particles: Particles) -> Tensor:
        """Conditions ``(B, features)`` of particles: energy, direction, kind.

        Raises:
            DataError: A particle is none of those that are told apart.
        """
        self._require_fitted()
        columns = [self._scaled(particles.energy)[:, None]]
        if self.config.angles:
            columns.append(particles.direction)
        if self.config.particles:
            columns.append(self._kinds(particles.pdg))
        return torch.cat([column.to(torch.float32) for column in columns], dim=1)

    def _scaled(self, energy: Tensor) -> Tensor:
        low, high = self.energy_range[0], self.energy_range[1]
        if self.log:
            energy, low, high = energy.log(), low.log(), high.log()
        return 2 * (energy - low) / (high - low) - 1

    def _kinds(self, pdg: Tensor) -> Tensor:
        is_kind = pdg[:, None] == self.codes
        if not torch.compiler.is_compiling():
            self._refuse(pdg[~is_kind.any(dim=1)])
        return is_kind

    def _refuse(self, unknown: Tensor) -> None:
        if len(unknown):
            got = ", ".join(particle_name(code) for code in sorted(set(unknown.tolist()))[:5])
            raise DataError(bad("particles", got=got, expected=f"one of {', '.join(self.config.particles)}"))
