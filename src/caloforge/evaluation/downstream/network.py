"""The reconstruction: incident energy and kind of particle from the cells of a shower.

After the GoogLeNet of Triforce (Belayneh et al., arXiv:1912.06794), which 3DGAN trains on its showers
(arXiv:2109.07388, section 8). Alike: convolutions in three dimensions on the cells; the sum of the
cells goes beside their image into the dense layer and again into the output; one network gives the
energy and the kind of the particle; Adam. Not alike: three convolutions with stride 2 in place of
nine Inception modules with batch normalisation, since a thousand showers train it and not a hundred
thousand; neighbouring cells are joined first; energies enter by their logarithm, and the network
corrects the straight line through (log sum, log energy) instead of replacing it.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

if TYPE_CHECKING:
    from caloforge.evaluation.downstream.voxels import Voxels

__all__ = ["RECIPE", "Recipe", "ReconstructionNetwork"]


@dataclass(frozen=True)
class Recipe:
    """Size and training of the network.

    Attributes:
        channels: Of the convolutions.
        hidden: Width of the dense layer.
        epochs: Passes over the showers, fewer when ``most_steps`` are reached.
        least_steps: Of few showers.
        most_steps: Of many showers.
        batch: Showers a step.
        learning_rate: Highest one, after a tenth of the steps; it falls to zero as a cosine.
    """

    channels: tuple[int, int, int] = (8, 16, 32)
    hidden: int = 32
    epochs: int = 20
    least_steps: int = 75
    most_steps: int = 4000
    batch: int = 32
    learning_rate: float = 5e-3

    def steps(self, showers: int, *, capped: bool = True) -> int:
        """Steps for a number of showers."""
        steps = max(self.epochs * showers // self.batch, self.least_steps)
        return min(steps, self.most_steps) if capped else steps

    @property
    def settings(self) -> dict[str, Any]:
        """JSON-ready settings."""
        return {**asdict(self), "channels": list(self.channels), "precision": "float32", "device": "cpu"}


RECIPE = Recipe()


class ReconstructionNetwork(nn.Module):
    """Three convolutions, one dense layer; the energy and a logit for every kind of particle.

    Args:
        voxels: The images.
        kinds: Kinds of particles.
        recipe: Sizes.
    """

    def __init__(self, voxels: Voxels, kinds: int, recipe: Recipe) -> None:
        super().__init__()
        channels = (1, *recipe.channels)
        self.wraps = voxels.wraps
        self.convolutions = nn.ModuleList(
            nn.Conv3d(before, after, 3, stride=2, padding=(1, 0 if voxels.wraps else 1, 1))
            for before, after in pairwise(channels)
        )
        size = channels[-1] * int(np.prod([_halved(n, len(recipe.channels)) for n in voxels.shape]))
        self.dense = nn.Linear(size + 1, recipe.hidden)
        self.energy = nn.Linear(recipe.hidden + 1, 1)
        self.kind = nn.Linear(recipe.hidden + 1, kinds)

    def forward(self, images: torch.Tensor, sums: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Corrections of the energy ``(b,)`` and logits ``(b, kinds)``.

        Args:
            images: ``(b, 1, depth, first, second)``.
            sums: Logarithm of the visible energy, standardised, ``(b, 1)``.
        """
        for convolution in self.convolutions:
            images = nn.functional.relu(convolution(self._closed(images)))
        hidden = nn.functional.relu(self.dense(torch.cat([images.flatten(1), sums], dim=1)))
        last = torch.cat([hidden, sums], dim=1)
        return self.energy(last)[:, 0], self.kind(last)

    def _closed(self, images: torch.Tensor) -> torch.Tensor:
        """Angles go on where they began."""
        return nn.functional.pad(images, (0, 0, 1, 1, 0, 0), mode="circular") if self.wraps else images


def _halved(size: int, times: int) -> int:
    for _ in range(times):
        size = (size + 1) // 2
    return size
