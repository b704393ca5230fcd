"""The BIB-AE's decoder: a latent vector to an image, or to features of the cells."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from caloforge.models.bibae.blocks import Convolutions, dense

if TYPE_CHECKING:
    from torch import Tensor

    from caloforge.models.bibae.blocks import Shape
    from caloforge.models.bibae.config import DecoderConfig

__all__ = ["Decoder"]


class Decoder(nn.Module):
    """Linear layers that are told the conditions, then convolutions.

    Args:
        config: Sizes.
        latent: Encoded components.
        conditions: Numbers that it is told of the particle.
        shape: Layers, and cells along x and y, of an image.

    Raises:
        ValueError: The last convolution does not make an image of this shape.
    """

    def __init__(self, config: DecoderConfig, latent: int, conditions: int, shape: Shape) -> None:
        super().__init__()
        self._start = (config.channels, *config.start)
        self._image = config.cells is None
        widths = (latent + config.free + conditions, *config.hidden, int(np.prod(self._start)))
        self.dense = dense(widths)
        self.convolutions = Convolutions(
            config.blocks, config.channels, config.start, last=not self._image, whole=shape
        )
        self.channels, self.shape = self.convolutions.channels, self.convolutions.shape
        if self._image and (self.channels, *self.shape) != (1, *shape):
            got = f"{self.channels} of {self.shape} cells"
            msg = f"model.decoder.blocks make images {got}, the read-out has one of {shape}"
            raise ValueError(msg)

    def forward(self, latent: Tensor, conditions: Tensor) -> Tensor:
        """Cell energies ``(B, 1, layers, x, y)`` [MeV], or features of a smaller image.

        Args:
            latent: Encoded and free components, ``(B, latent + free)``.
            conditions: ``(B, C)``.
        """
        image = self.dense(torch.cat([latent, conditions], dim=1)).reshape(-1, *self._start)
        made: Tensor = self.convolutions(image)
        return functional.relu(made) if self._image else made
