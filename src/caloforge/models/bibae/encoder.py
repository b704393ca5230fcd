"""The BIB-AE's encoder: an image to independent Gaussians of the latent vector."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

from caloforge.models.bibae.blocks import Convolutions, dense
from caloforge.nn.posterior import Posterior

if TYPE_CHECKING:
    from torch import Tensor

    from caloforge.models.bibae.blocks import Shape
    from caloforge.models.bibae.config import EncoderConfig

__all__ = ["Encoder"]

_UNIT = 5.0  # of logarithms of layers' hits and energies
_WIDEST = 10.0  # of a logarithm of a variance


class Encoder(nn.Module):
    """Convolutions, then linear layers that are told the conditions.

    Args:
        config: Sizes.
        shape: Layers, and cells along x and y, of an image.
        conditions: Numbers that it is told of the particle.
    """

    def __init__(self, config: EncoderConfig, shape: Shape, conditions: int) -> None:
        super().__init__()
        self._soft, self._layers = config.soft, config.layers
        self.convolutions = Convolutions(config.blocks, 1, shape)
        told = conditions + 2 * shape[0] * config.layers
        widths = (self.convolutions.size + told, *config.hidden)
        self.dense = dense(widths)
        self.mean = nn.Linear(widths[-1], config.latent)
        self.log_variance = nn.Linear(widths[-1], config.latent)

    def forward(self, image: Tensor, conditions: Tensor) -> Posterior:
        """Encode cell energies ``(B, layers, x, y)`` [MeV], given conditions ``(B, C)``."""
        seen = (image / self._soft).log1p() if self._soft else image
        told = [self.convolutions(seen[:, None]).flatten(1), conditions]
        if self._layers:
            hits, energy = (image > 0).sum((2, 3)), image.sum((2, 3))
            told += [part.log1p() / _UNIT for part in (hits.float(), energy)]
        features = self.dense(torch.cat(told, dim=1))
        return Posterior(self.mean(features), self.log_variance(features).clamp(-_WIDEST, _WIDEST))
