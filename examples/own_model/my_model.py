"""The smallest model that trains: every cell of the read-out is hit, or not, independently of the others."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

import torch
from pydantic import Field
from torch import nn

from caloforge.models import CellSet, GenerativeModel, ModelConfig, Stage, Turn
from caloforge.preprocessing import Conditions

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from caloforge.geometry import Geometry
    from caloforge.models import Batch, Particles
    from caloforge.models.base import Noise


class MyConfig(ModelConfig):
    """What the file of a preset may say under ``model``."""

    width: int = Field(default=8, gt=0, le=1000)
    """Of the hidden layer."""


class MyModel(GenerativeModel):
    """Of every cell the chance of a hit, and mean and spread of its logarithmic energy."""

    name: ClassVar[str] = "my-model"
    config_class: ClassVar[type[ModelConfig]] = MyConfig
    config: MyConfig
    trains_on: ClassVar[Literal["points", "cells"]] = "cells"
    typical: Tensor

    def __init__(self, config: MyConfig, geometry: Geometry) -> None:
        super().__init__(config, geometry)
        self.conditions = Conditions(config.conditions)
        self.network = nn.Sequential(
            nn.Linear(self.conditions.features, config.width),
            nn.SiLU(),
            nn.Linear(config.width, 3 * geometry.n_cells),
        )
        self.register_buffer("typical", torch.zeros(3, geometry.n_cells))  # saved with the weights

    def stages(self) -> Sequence[Stage]:
        """One stage, one turn: every step is one of one optimiser."""
        return (Stage("cells", turns=(Turn("cells"),), modules=("network",)),)

    def prepare(self, sample: Batch, rng: torch.Generator) -> None:  # noqa: ARG002
        """What a cell does on average; the network learns how that changes with the energy."""
        self.conditions.fit(sample.particles)
        image = self._cells_of(sample).dense(self.geometry.n_cells)
        hit = image > 0
        self.typical[0] = torch.logit((hit.sum(0) + 0.01) / (len(image) + 0.02))
        self.typical[1] = image.where(hit, 1.0).log().sum(0) / hit.sum(0).clamp(min=1)

    def loss(self, batch: Batch, *, turn: str, rng: torch.Generator) -> dict[str, Tensor]:  # noqa: ARG002
        """Negative log-likelihood per hit: which cells are hit, and their energies."""
        image = self._cells_of(batch).dense(self.geometry.n_cells)
        logits, mean, spread = self._cells(batch.particles)
        hit = image > 0
        pattern = nn.functional.binary_cross_entropy_with_logits(logits, hit.float(), reduction="sum")
        deviation = (image.where(hit, 1.0).log() - mean) / spread.exp()
        energies = (0.5 * deviation.square() + spread).where(hit, 0.0).sum()
        return {
            "loss": (pattern + energies) / hit.sum(),
            "pattern": pattern / hit.sum(),
            "energies": energies / hit.sum(),
        }

    def sample(self, particles: Particles, noise: Noise) -> CellSet:
        """A shower per particle; all random numbers come from ``noise``, so that seeds are kept."""
        logits, mean, spread = self._cells(particles)
        hit = noise.uniform("hits", 1, self.geometry.n_cells) < logits.sigmoid()
        energy = (mean + spread.exp() * noise.normal("energies", 1, self.geometry.n_cells)).exp()
        image = energy.clamp(min=self.geometry.threshold).where(hit, 0.0)
        return CellSet.from_dense(image, self.geometry.threshold)

    def _cells(self, particles: Particles) -> tuple[Tensor, ...]:
        learnt = self.network(self.conditions(particles)).view(-1, 3, self.geometry.n_cells)
        return (self.typical + learnt).unbind(1)
