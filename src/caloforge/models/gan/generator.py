"""3DGAN's generator: noise and conditions to an image."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from caloforge.models.gan.groups import by_layer, chosen, image_of, scaled, shares
from caloforge.models.gan.layers import Convolution, batch_norm, padding_of
from caloforge.models.gan.places import Places

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from caloforge.geometry import Geometry
    from caloforge.models.gan.config import Block, GeneratorConfig
    from caloforge.models.gan.groups import Groups
    from caloforge.models.gan.layers import Shape

__all__ = ["Draw", "Generator"]

_CONDITIONS = 2
_GROUP_CHANNELS = 5
_SOFT_HIT = 0.2  # of an image's units
_FIRST = 0.01  # the last block's weights start small by this where images begin as the mean ones
_QUIET = 0.1  # weights of the cells' noise start small by this: at first all cells would jump


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
        threshold: The least that a hit cell has in an image.
        power: Of the preprocessing.
        capacity: Cells of the rings when hits and energies of these are given; none are without.
    """

    capacity: Tensor

    def __init__(
        self,
        config: GeneratorConfig,
        geometry: Geometry,
        *,
        threshold: float = 0.0,
        power: float = 1.0,
        capacity: Sequence[int] = (),
    ) -> None:
        super().__init__()
        layers, nx, ny = geometry.dense_shape
        self.config = config
        self._threshold, self._power = threshold, power
        self.register_buffer("capacity", torch.tensor(capacity), persistent=False)
        told = 2 * layers * len(capacity)
        blocks = config.blocks
        if config.hits:
            # energies, chances, and how much energies scatter
            channels = 3 if capacity else 2
            blocks = (*blocks[:-1], blocks[-1].model_copy(update={"channels": channels}))
        shapes = _input_shapes(blocks, (nx, ny, layers))
        self._width = nx
        self._start = (config.channels, *_over(shapes[0], blocks[0].upsampling))
        self.start = nn.Linear(config.noise + _CONDITIONS + told, int(np.prod(self._start)))
        channels = config.channels
        self.blocks = nn.ModuleList()
        for number, (block, shape) in enumerate(zip(blocks, shapes, strict=True)):
            local = None
            if block.local:
                whole = _GROUP_CHANNELS if capacity and shape == (nx, ny, layers) else 0
                local = _Local(config, Places(geometry, shape, _factor(blocks[number + 1 :])), shape, whole)
            gain = 0.0 if number < len(shapes) - 1 else _FIRST if capacity else 1.0
            self.blocks.append(_UpBlock(block, channels, shape, local, last=gain))
            channels = block.channels
        nn.init.kaiming_uniform_(self.start.weight, nonlinearity="relu")
        nn.init.zeros_(self.start.bias)

    def forward(
        self,
        conditions: Tensor,
        draw: Draw,
        unit: Tensor | float = 1.0,
        groups: Groups | None = None,
    ) -> Tensor:
        """Images ``(B, 1, x, y, layers)``, float32.

        Args:
            conditions: Energies and polar angles, ``(B, 2)``.
            draw: Normal numbers.
            unit: What the last block's images are multiplied by.
            groups: Hits and energies of rings, with ``capacity``.
        """
        told = [conditions, draw("latent", self.config.noise)]
        whole: Tensor | None = None
        if groups is not None:
            told.append(groups.told())
            parts = groups.of_cells(self.capacity).unbind(1)
            whole = torch.stack([image_of(part, self._width) for part in parts], dim=1)
        image: Tensor = self.start(torch.cat(told, dim=1)).reshape(-1, *self._start)
        polar = conditions[:, 1]
        for number, block in enumerate(self.blocks[:-1]):
            image = block(image, polar, draw, f"cells {number}", whole)
        with torch.autocast(image.device.type, enabled=False):  # the shower's sum is a part of the loss
            image = self.blocks[-1](image.float(), polar, draw, f"cells {len(self.blocks) - 1}", whole)
            if groups is not None:
                return self._in_groups(image, draw, groups)
            return self._with_hits(image, draw, unit) if self.config.hits else functional.relu(image) * unit

    def _with_hits(self, image: Tensor, draw: Draw, unit: Tensor | float) -> Tensor:
        """Draw which cells are hit; the gradient is that of the probability's slope at what was drawn.

        A hit without energy would have no gradient and stay: there it counts as a soft one.
        """
        chance = image[:, 1:] + draw("hits", image[0, 1:].numel()).view_as(image[:, 1:])
        energy = functional.softplus(image[:, :1]) * unit + self._threshold
        slope = chance.sigmoid()
        return energy * (chance > 0) + (energy.detach() + _SOFT_HIT) * (slope - slope.detach())

    def _in_groups(self, image: Tensor, draw: Draw, groups: Groups) -> Tensor:
        """Which cells are hit as in ``_with_hits``, but every group has its hits and its energy.

        For the gradient, another choice of hits changes the soft ones.
        """
        mean, width, often = groups.mean.unbind(1)
        drawn, spread = (draw(name, mean[0].numel()).view_as(mean) for name in ("hits", "energies"))
        energy, chance, scatter = map(by_layer, image.unbind(1))
        hit, chance = chosen(chance + drawn + often, groups)
        logits = energy + mean + width * spread * (2 * scatter.sigmoid())
        energy = scaled(shares(logits, hit, groups), hit, groups) + self._threshold ** (1 / self._power)
        cells = energy.pow(self._power) * hit
        slope = chance.sigmoid() * self._softness(cells.detach(), groups)
        return image_of(cells + slope - slope.detach(), self._width)[:, None]

    def _softness(self, cells: Tensor, groups: Groups) -> Tensor:
        """What the choice of a cell changes: a soft hit; less where it is hot, nothing where all are hit."""
        least = self._threshold + _SOFT_HIT
        some = (groups.counts < self.capacity).to(cells.dtype).gather(2, groups.ring)
        return some * least * least / (least + cells)


class _UpBlock(nn.Module):
    """Up-sampling, a convolution and, but for the last block, the activation and the normalisation.

    Weights start as uniform numbers after He; those of the last block as normal ones after Glorot.
    """

    def __init__(
        self, block: Block, channels: int, shape: Shape, local: _Local | None, *, last: float
    ) -> None:
        super().__init__()
        self._shape, self._last = shape, last > 0
        self.local = local
        self.convolution = Convolution(block, channels + (local.channels if local is not None else 0))
        self.norm = batch_norm(block)
        layer = self.convolution.layer
        if last:
            nn.init.xavier_normal_(layer.weight, gain=last)
        else:
            nn.init.kaiming_uniform_(layer.weight, nonlinearity="relu")
        if layer.bias is not None:
            nn.init.zeros_(layer.bias)
        if local is not None:
            with torch.no_grad():
                layer.weight[:, channels + local.channels - local.noise :] *= _QUIET

    def forward(self, image: Tensor, polar: Tensor, draw: Draw, name: str, whole: Tensor | None) -> Tensor:
        if image.shape[2:] != self._shape:
            image = functional.interpolate(image, size=self._shape, mode="nearest")
        if self.local is not None:
            image = torch.cat(
                [image, *(part.to(image.dtype) for part in self.local(polar, draw, name, whole))], dim=1
            )
        image = self.convolution(image)
        if self._last:
            return image
        normalised: Tensor = self.norm(functional.relu(image))
        return normalised


class _Local(nn.Module):
    """Noise and places of single cells, and what is given of the whole image."""

    def __init__(self, config: GeneratorConfig, places: Places, shape: Shape, whole: int) -> None:
        super().__init__()
        self._whole = whole
        self.places = places if config.axis else None
        self._noise = (config.cell_noise, *shape)
        self.noise = config.cell_noise
        self.channels = config.cell_noise + (Places.channels if config.axis else 0) + whole

    def forward(self, polar: Tensor, draw: Draw, name: str, whole: Tensor | None) -> list[Tensor]:
        parts = [] if self.places is None else [self.places(polar)]
        if self._whole and whole is not None:
            parts.append(whole)
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
