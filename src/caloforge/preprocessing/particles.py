"""The incident particles of a batch, as tensors."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

import numpy as np
import torch

if TYPE_CHECKING:
    from typing import Self

    from torch import Tensor

    from caloforge.showers import Incident

__all__ = ["Particles"]


@dataclass(frozen=True)
class Particles:
    """What a model is asked to make showers of: all that can be a condition.

    Attributes:
        energy: Incident energies [MeV], ``(B,)`` float64.
        direction: sin(theta) (cos phi, sin phi), ``(B, 2)``.
        pdg: Particle codes, ``(B,)`` int64.
        position: Where they meet the front face: x, y [mm], ``(B, 2)``. Showers are kept, and made, around
            the particle's axis: zeros.
    """

    energy: Tensor
    direction: Tensor
    pdg: Tensor
    position: Tensor

    @classmethod
    def of(cls, incident: Incident) -> Self:
        """The tensors of incident particles."""
        direction = torch.from_numpy(incident.direction[:, :2].astype(np.float32))
        pdg = torch.from_numpy(incident.pdg.astype(np.int64))
        return cls(torch.from_numpy(incident.energy), direction, pdg, torch.zeros_like(direction))

    def __len__(self) -> int:
        return len(self.energy)

    def __getitem__(self, rows: slice | Tensor) -> Self:
        return type(self)(*(getattr(self, field.name)[rows] for field in fields(self)))

    @property
    def slope(self) -> Tensor:
        """tan(theta) (cos phi, sin phi), ``(B, 2)``."""
        cosine = (1 - self.direction.square().sum(-1, keepdim=True)).clamp_min(1e-6).sqrt()
        return self.direction / cosine

    def to(self, device: torch.device | str) -> Self:
        """Move all tensors."""
        return type(self)(*(getattr(self, field.name).to(device) for field in fields(self)))
