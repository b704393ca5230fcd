"""What a step of training sees."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from caloforge.models.showers import CellSet
    from caloforge.preprocessing import Particles, Summary

__all__ = ["Batch"]


@dataclass(frozen=True)
class Batch:
    """Training showers as tensors; what the model does not train on is None.

    Attributes:
        particles: The incident particles.
        summary: Counts and energies per layer and centre of gravity.
        points: x, y [mm], depth [layers, continuous], energy [MeV], ``(B, K, 4)``.
        cells: The cells above threshold.
    """

    particles: Particles
    summary: Summary | None = None
    points: Tensor | None = None
    cells: CellSet | None = None

    @property
    def energy(self) -> Tensor:
        """Incident energies [MeV], ``(B,)``."""
        return self.particles.energy

    @property
    def direction(self) -> Tensor:
        """sin(theta) (cos phi, sin phi), ``(B, 2)``."""
        return self.particles.direction

    @property
    def pdg(self) -> Tensor:
        """Particle codes, ``(B,)`` int64."""
        return self.particles.pdg

    @property
    def slope(self) -> Tensor:
        """tan(theta) (cos phi, sin phi), ``(B, 2)``."""
        return self.particles.slope

    def to(self, device: torch.device | str) -> Batch:
        """Move all tensors."""
        return Batch(
            self.particles.to(device),
            None if self.summary is None else self.summary.to(device),
            None if self.points is None else self.points.to(device),
            None if self.cells is None else self.cells.to(device),
        )
