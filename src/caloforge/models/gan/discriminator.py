"""3DGAN's discriminator: whether an image is a real shower, and of which energy."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn
from torch.nn import functional
from torch.nn.utils.parametrizations import spectral_norm

from caloforge import shares
from caloforge.errors import ConfigError, bad
from caloforge.models.gan.layers import Convolution, batch_norm, padding_of
from caloforge.models.gan.places import Places

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from caloforge.geometry import Geometry
    from caloforge.models.gan.config import Block, DiscriminatorConfig
    from caloforge.models.gan.layers import Shape

__all__ = ["Discriminator"]

_CONDITIONS = 2


class Discriminator(nn.Module):
    """Convolutions, an average over neighbours, and one linear layer a head.

    The image's sum and the measured angle are outputs of the paper's discriminator, too; they have no
    weights and stand in the loss (``MeasuredAngle``).

    Args:
        config: Sizes.
        geometry: The read-out.
    """

    def __init__(self, config: DiscriminatorConfig, geometry: Geometry) -> None:
        super().__init__()
        layers, nx, ny = geometry.dense_shape
        shape, channels = (nx, ny, layers), 2 if config.soft else 1
        self.config = config
        self.places = Places(geometry, shape) if config.conditional else None
        if config.conditional:
            channels += Places.channels + _CONDITIONS
        self.blocks = nn.ModuleList()
        for block in config.blocks:
            self.blocks.append(_Block(block, channels, config))
            shape, channels = _output_shape(block, shape), block.channels
        features = channels * int(np.prod([max(n, 0) // config.pool for n in shape]))
        if not features:
            fix = "take smaller kernels, strides or pool"
            got, expected = f"nothing left of {nx} x {ny} x {layers} cells", "one feature or more"
            raise ConfigError(bad("the discriminator of 3dgan", got=got, expected=expected, fix=fix))
        self.real = nn.Linear(features, 1)
        self.energy = None if config.conditional else nn.Linear(features, 1)
        if config.spectral:
            _normalise(self)

    def forward(
        self, images: Tensor, conditions: Tensor, rng: torch.Generator | None = None
    ) -> tuple[Tensor, Tensor | None]:
        """Logits of real images and E / 100 GeV, ``(B,)`` each, float32; no energy when conditional.

        Args:
            images: ``(B, 1, x, y, layers)``; with ``soft``, two channels.
            conditions: Energies and polar angles, ``(B, 2)``; a conditional discriminator sees them.
            rng: What is dropped in training; without it nothing is.
        """
        if self.places is not None:
            places = self.places(conditions[:, 1])
            told = conditions[:, :, None, None, None].expand(-1, -1, *images.shape[2:])
            images = torch.cat([images, places, told], dim=1)
        for block in self.blocks:
            images = block(images, rng)
        features = functional.avg_pool3d(images, self.config.pool).flatten(1)
        energy = None if self.energy is None else self.energy(features)[:, 0].float()
        return self.real(features)[:, 0].float(), energy


class _Block(nn.Module):
    """Convolution, leaky ReLU, normalisation, dropout."""

    def __init__(self, block: Block, channels: int, config: DiscriminatorConfig) -> None:
        super().__init__()
        self.convolution = Convolution(block, channels)
        self.norm = batch_norm(block)
        self._slope, self._dropout = config.slope, config.dropout

    def forward(self, image: Tensor, rng: torch.Generator | None) -> Tensor:
        active: Tensor = self.norm(functional.leaky_relu(self.convolution(image), self._slope))
        if not (self.training and self._dropout and rng is not None):
            return active
        kept = shares.bernoulli_like(active, 1 - self._dropout, rng)
        return active * kept / (1 - self._dropout)


def _output_shape(block: Block, shape: Shape) -> Shape:
    before, behind = padding_of(block)
    parts = zip(shape, block.kernel, before, behind, block.stride, strict=True)
    x, y, z = ((n + a + b - k) // s + 1 for n, k, a, b, s in parts)
    return x, y, z


def _normalise(network: Discriminator) -> None:
    """Divide all weights by their largest singular value."""
    layers: Sequence[nn.Module] = [m for m in network.modules() if isinstance(m, nn.Conv3d | nn.Linear)]
    for layer in layers:
        spectral_norm(layer)
