"""A model whose time is measured in tests."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from caloforge.models.base import Cloud, GenerativeModel, ModelConfig

if TYPE_CHECKING:
    from caloforge.geometry import Geometry
    from caloforge.models.base import Noise, Particles

__all__ = ["Toy"]

LAYERS = 3


class ToyPoints(nn.Module):
    """Four evaluations of one layer, for every layer of the calorimeter that is hit."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 4)

    def sample(self, noise: Tensor) -> Tensor:
        for _ in range(4):
            noise = self.layer(noise)
        return noise


class Toy(GenerativeModel):
    """Points in the first layers, as many as the energy has GeV."""

    def __init__(self, geometry: Geometry) -> None:
        super().__init__(ModelConfig(), geometry)
        self.flow, self.points = nn.Linear(1, 2), ToyPoints()
        self.batches: list[int] = []

    def timed_parts(self) -> dict[str, str]:
        return {"flow": "flow", "points": "points"}

    def sample(self, particles: Particles, noise: Noise) -> Cloud:
        energy = particles.energy
        self.batches.append(len(energy))
        self.flow(energy[:, None].float())
        counts = (energy / 1000).round().to(torch.int64)
        points = self.points.sample(noise.normal("points", counts, 4))
        layer = torch.arange(len(points)) % LAYERS
        return Cloud(counts, torch.stack([points[:, 0], points[:, 1], layer, points[:, 3].exp()], dim=1))

    def stages(self) -> Any:
        raise NotImplementedError

    prepare = parameters_of = loss = stages
