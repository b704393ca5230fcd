"""3DGAN's generator: noise and conditions to an image."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from caloforge.models.gan.layers import Convolution, batch_norm, padding_of
from caloforge.models.gan.places import Places

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from caloforge.geometry import Geometry
    from caloforge.models.gan.config import Block, GeneratorConfig
    from caloforge.models.gan.layers import Shape

__all__ = ["Draw", "Generator"]

_CONDITIONS = 2


class Draw(Protocol):
    """A source of normal numbers."""

    def __call__(self, name: str, width: int) -> Tensor:
        """``width`` numbers a shower, ``(B, width)``, of the sub-stream ``name``."""
        ...


class Generator(nn.Module):
    """A linear layer makes a small image of several channels; convolutions make the shower of it.

    Sizes follow from that of the shower, from the last block to the first: a block up-samples to just
    what its convolution needs.

    Args:
        config: Sizes.
        geometry: The read-out.
    """

    def __init__(self, config: GeneratorConfig, geometry: Geometry) -> None:
        super().__init__()
        layers, nx, ny = geometry.dense_shape
        self.config = config
        shapes = _input_shapes(config.blocks, (nx, ny, layers))
        self._start = (config.channels, *_over(shapes[0], config.blocks[0].upsampling))
        self.start = nn.Linear(config.noise + _CONDITIONS, int(np.prod(self._start)))
        channels = config.channels
        self.blocks = nn.ModuleList()
        for number, (block, shape) in enumerate(zip(config.blocks, shapes, strict=True)):
            local = None
            if block.local:
                local = _Local(config, Places(geometry, shape, _factor(config.blocks[number + 1 :])), shape)
            self.blocks.append(_UpBlock(block, channels, shape, local))
            channels = block.channels
        _initialise(self)

    def forward(self, conditions: Tensor, draw: Draw) -> Tensor:
        """Images ``(B, channels of the last block, x, y, layers)``, float32.

        Args:
            conditions: Energies and polar angles, ``(B, 2)``.
            draw: Normal numbers.
        """
        latent = draw("latent", self.config.noise)
        image: Tensor = self.start(torch.cat([conditions, latent], dim=1)).reshape(-1, *self._start)
        polar = conditions[:, 1]
        for number, block in enumerate(self.blocks[:-1]):
            image = block.norm(functional.relu(block(image, polar, draw, f"cells {number}")))
        with torch.autocast(image.device.type, enabled=False):  # the shower's sum is a part of the loss
            image = self.blocks[-1](image.float(), polar, draw, f"cells {len(self.blocks) - 1}")
        return image if self.config.readout else functional.relu(image)


class _UpBlock(nn.Module):
    """Up-sampling and a convolution; the activation stands between it and ``norm``."""

    def __init__(self, block: Block, channels: int, shape: Shape, local: _Local | None) -> None:
        super().__init__()
        self._shape = shape
        self.local = local
        self.convolution = Convolution(block, channels + (local.channels if local is not None else 0))
        self.norm = batch_norm(block)

    def forward(self, image: Tensor, polar: Tensor, draw: Draw, name: str) -> Tensor:
        if image.shape[2:] != self._shape:
            image = functional.interpolate(image, size=self._shape, mode="nearest")
        if self.local is not None:
            image = torch.cat(
                [image, *(part.to(image.dtype) for part in self.local(polar, draw, name))], dim=1
            )
        convolved: Tensor = self.convolution(image)
        return convolved


class _Local(nn.Module):
    """Noise and places of single cells."""

    def __init__(self, config: GeneratorConfig, places: Places, shape: Shape) -> None:
        super().__init__()
        self.places = places if config.axis else None
        self._noise = (config.cell_noise, *shape)
        self.channels = config.cell_noise + (Places.channels if config.axis else 0)

    def forward(self, polar: Tensor, draw: Draw, name: str) -> list[Tensor]:
        parts = [] if self.places is None else [self.places(polar)]
        if self._noise[0]:
            parts.append(draw(name, int(np.prod(self._noise))).reshape(-1, *self._noise))
        return parts


def _input_shapes(blocks: Sequence[Block], image: Shape) -> list[Shape]:
    """What the convolution of every block must be given for the last one to make the image."""
    shapes = []
    for block in reversed(blocks):
        before, behind = padding_of(block)
        x, y, z = (n + k - 1 - a - b for n, k, a, b in zip(image, block.kernel, before, behind, strict=True))
        shapes.append((x, y, z))
        image = _over((x, y, z), block.upsampling)
    return shapes[::-1]


def _over(shape: Shape, factor: Shape) -> Shape:
    """The smallest image that is up-sampled to ``shape`` or more."""
    x, y, z = (-(-n // f) for n, f in zip(shape, factor, strict=True))
    return x, y, z


def _factor(later: Sequence[Block]) -> Shape:
    """How many cells of the read-out one cell in front of ``later`` blocks is."""
    x, y, z = np.prod([(1, 1, 1), *(block.upsampling for block in later)], axis=0).tolist()
    return x, y, z


def _initialise(generator: Generator) -> None:
    """Uniform numbers after He; the last convolution normal ones after Glorot."""
    layers = [generator.start, *(block.convolution.layer for block in generator.blocks)]
    for layer in layers[:-1]:
        nn.init.kaiming_uniform_(layer.weight, nonlinearity="relu")
        nn.init.zeros_(layer.bias)
    nn.init.xavier_normal_(layers[-1].weight)
    nn.init.zeros_(layers[-1].bias)
