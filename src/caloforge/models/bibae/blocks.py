"""What the convolutional networks of the BIB-AE are built from."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.nn import functional

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from caloforge.models.bibae.config import Block

__all__ = ["SLOPE", "Convolutions", "Shape", "dense"]

Shape = tuple[int, int, int]
SLOPE = 0.2
"""Of the leaky ReLU."""


class Convolutions(nn.Module):
    """A stack of convolutions, each with its normalisation and a leaky ReLU behind it.

    Args:
        blocks: What they are.
        channels: Of the input.
        shape: Cells of the input along layers, x, y.
        last: Whether there is a leaky ReLU behind the last one, too.
        whole: Cells of the read-out; those of the input by default.

    Attributes:
        channels: Of the output.
        shape: Cells of the output.
    """

    def __init__(
        self,
        blocks: Sequence[Block],
        channels: int,
        shape: Shape,
        *,
        last: bool = True,
        whole: Shape | None = None,
    ) -> None:
        super().__init__()
        self._last = last
        self.blocks = nn.ModuleList()
        for block in blocks:
            if block.resize is not None:
                shape = _divided(whole or shape, block.resize)
            self.blocks.append(_Block(block, channels, shape))
            channels, shape = block.channels, _output_shape(block, shape)
        self.channels, self.shape = channels, shape

    @property
    def size(self) -> int:
        """Numbers of a shower behind the last block."""
        layers, x, y = self.shape
        return self.channels * layers * x * y

    def forward(self, image: Tensor) -> Tensor:
        """Convolve ``(B, channels, layers, x, y)``."""
        for block in self.blocks[:-1]:
            image = functional.leaky_relu(block(image), SLOPE)
        image = self.blocks[-1](image)
        return functional.leaky_relu(image, SLOPE) if self._last else image


class _Block(nn.Module):
    """One convolution and its normalisation."""

    def __init__(self, block: Block, channels: int, shape: Shape) -> None:
        super().__init__()
        self._input = shape if block.resize is not None else None
        self.convolution = _convolution(block, channels)
        self.norm = nn.LayerNorm(_output_shape(block, shape)) if block.norm else nn.Identity()

    def forward(self, image: Tensor) -> Tensor:
        if self._input is not None:
            image = functional.interpolate(image, size=self._input, mode="trilinear")
        # channels last: half the time on CPUs
        image = self.convolution(image.contiguous(memory_format=torch.channels_last_3d))
        normalised: Tensor = self.norm(image)
        return normalised


def _divided(shape: Shape, by: Shape) -> Shape:
    layers, x, y = (-(-n // parts) for n, parts in zip(shape, by, strict=True))
    return layers, x, y


def _convolution(block: Block, channels: int) -> nn.Module:
    sizes: dict[str, Any] = {"kernel_size": block.kernel, "stride": block.stride, "padding": block.padding}
    if block.transposed:
        return nn.ConvTranspose3d(channels, block.channels, output_padding=block.extra, bias=False, **sizes)
    return nn.Conv3d(channels, block.channels, bias=False, **sizes)


def dense(widths: Sequence[int], *, slope: float = SLOPE) -> nn.Sequential:
    """Linear layers with a leaky ReLU behind each."""
    parts = [(nn.Linear(*pair), nn.LeakyReLU(slope)) for pair in pairwise(widths)]
    return nn.Sequential(*(part for pair in parts for part in pair))


def _output_shape(block: Block, shape: Shape) -> Shape:
    sizes = zip(shape, block.kernel, block.stride, block.padding, block.extra, strict=True)
    if block.transposed:
        layers, x, y = ((n - 1) * s - 2 * p + k + more for n, k, s, p, more in sizes)
    else:
        layers, x, y = ((n + 2 * p - k) // s + 1 for n, k, s, p, _ in sizes)
    if min(layers, x, y) < 1:
        msg = f"a convolution of {block.kernel} leaves nothing of {shape} cells"
        raise ValueError(msg)
    return layers, x, y
