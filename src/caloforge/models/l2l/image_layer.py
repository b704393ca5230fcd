"""The flow of a layer's cells as an image, and the convolutions that reduce what it is told."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from pydantic import Field
from torch import nn

from caloforge.nn import ImageFlow, ImageFlowConfig
from caloforge.nn.unet import Convolution
from caloforge.records import Record, Width

if TYPE_CHECKING:
    from torch import Tensor

    from caloforge.models.l2l.layer_flow import Seen

__all__ = ["ImageLayer", "ImageLayerConfig"]


class ImageLayerConfig(Record):
    """Sizes of a flow of a layer's image; the defaults are the published ones for 18 x 50 cells."""

    embedding: Width = 8
    """Channels that the layers in front, and all else that the flow is told, are reduced to."""
    place: Width = 8
    """Numbers that tell layers apart where they share a network."""
    position: int = Field(default=0, ge=0, le=1024)
    """Learnt images that tell pixels apart, alike at all angles of rings: without, only the edges tell a
    convolution how far it is from the axis; 0 as published."""
    flow: ImageFlowConfig = Field(default=ImageFlowConfig())
    """The flow."""


class ImageLayer(nn.Module):
    """A flow of the image of a layer, or of all layers in turns.

    Args:
        config: Sizes.
        shape: Cells along both axes.
        before: Layers in front that it sees.
        own: Numbers of the particle and the layer.
        layers: Layers that share it; 0 for one of its own.
        circular: Whether the first axis closes.
    """

    def __init__(
        self,
        config: ImageLayerConfig,
        shape: tuple[int, int],
        *,
        before: int,
        own: int,
        layers: int,
        circular: bool,
    ) -> None:
        super().__init__()
        self.shape, self.before, self.own = shape, before, own
        self.squeeze = config.flow.squeeze
        _check(shape, config.flow)
        self.place = nn.Embedding(layers, config.place) if layers else None
        self.position = _positions(shape, config.position, circular=circular)
        inputs = before + own + config.position + (config.place if layers else 0)
        reduced = bool(before)
        self.embedding = _embedding(inputs, config, circular=circular) if reduced else None
        self.flow = ImageFlow(config.flow, config.embedding if reduced else inputs, circular=circular)

    def start(self, x: Tensor, seen: Seen) -> None:
        """Let the scales start from numbers of cells ``(R, n)``."""
        self.flow.start(self._image(x), self._context(seen))

    def log_prob(self, x: Tensor, seen: Seen) -> Tensor:
        """Log-densities ``(R,)`` of numbers of cells ``(R, n)``."""
        return self.flow.log_prob(self._image(x), self._context(seen))

    def sample(self, noise: Tensor, seen: Seen) -> Tensor:
        """Numbers of cells ``(R, n)`` out of standard normal noise ``(R, n)``."""
        return self.flow.sample(self._image(noise), self._context(seen)).flatten(1)

    def _image(self, x: Tensor) -> Tensor:
        return x.reshape(-1, *self.shape)

    def _context(self, seen: Seen) -> Tensor:
        """What the flow is told, an image of the squeezed size."""
        told = [seen.scalars[:, : self.own]]
        if self.place is not None:
            told.append(self.place(seen.place))
        numbers = torch.cat(told, dim=1)[:, :, None, None].expand(-1, -1, *self.shape)
        if self.position is not None:
            where = self.position.expand(len(numbers), -1, *self.shape)
            numbers = torch.cat([numbers, where], dim=1)
        if self.embedding is None:
            return nn.functional.avg_pool2d(numbers, self.squeeze)
        images = seen.cells.view(-1, self.before, *self.shape)
        made: Tensor = self.embedding(torch.cat([images, numbers], dim=1))
        return made


def _positions(shape: tuple[int, int], count: int, *, circular: bool) -> nn.Parameter | None:
    """Learnt images ``(count, H, W)``; H is 1 where all angles are alike."""
    if not count:
        return None
    height, width = shape
    return nn.Parameter(torch.randn(count, 1 if circular else height, width))


def _embedding(inputs: int, config: ImageLayerConfig, *, circular: bool) -> nn.Sequential:
    width, squeeze = config.embedding, config.flow.squeeze
    return nn.Sequential(
        nn.Conv2d(inputs, width, 1),
        nn.LeakyReLU(),
        Convolution(width, width, circular=circular),
        nn.LeakyReLU(),
        nn.Conv2d(width, width, squeeze, stride=squeeze),
        nn.LeakyReLU(),
        Convolution(width, width, circular=circular),
    )


def _check(shape: tuple[int, int], config: ImageFlowConfig) -> None:
    """Make sure that every factor divides what is left of the image.

    Raises:
        ValueError: One does not.
    """
    for axis, size in enumerate(shape):
        left = size
        for factor in (config.squeeze[axis], *(down[axis] for down in config.unet.down)):
            if left % factor:
                msg = f"{size} cells along axis {axis} are not divided by squeeze and unet.down in turn"
                raise ValueError(msg)
            left //= factor
