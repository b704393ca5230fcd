"""What 3DGAN's two networks are built from."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.nn import functional

from caloforge.nn.batch_norm import BatchNorm3d

if TYPE_CHECKING:
    from torch import Tensor

    from caloforge.models.gan.config import Block

__all__ = ["Convolution", "Shape", "batch_norm", "padding_of"]

Shape = tuple[int, int, int]

_MOMENTUM = 0.01  # of running statistics: 0.99 in Keras' words
_EPSILON = 1e-6


def padding_of(block: Block) -> tuple[Shape, Shape]:
    """Zeros in front of and behind the image along every axis."""
    if block.padding != "same":
        return block.padding, block.padding
    x, y, z = block.kernel
    before = ((x - 1) // 2, (y - 1) // 2, (z - 1) // 2)
    return before, (x - 1 - before[0], y - 1 - before[1], z - 1 - before[2])


def batch_norm(block: Block) -> nn.Module:
    """Behind the activation, or nothing."""
    if not block.norm:
        return nn.Identity()
    return BatchNorm3d(block.channels, eps=_EPSILON, momentum=_MOMENTUM)


class Convolution(nn.Module):
    """A convolution with its block's zeros around the image: a kernel of even size has one more behind.

    Args:
        block: What it is.
        channels: Of its input.
    """

    def __init__(self, block: Block, channels: int) -> None:
        super().__init__()
        before, behind = padding_of(block)
        equal = before == behind
        self._pad = (
            () if equal else tuple(n for pair in zip(before[::-1], behind[::-1], strict=True) for n in pair)
        )
        self.layer = nn.Conv3d(
            channels, block.channels, block.kernel, stride=block.stride, padding=before if equal else 0
        )

    def forward(self, image: Tensor) -> Tensor:
        """Convolve ``(B, channels, x, y, z)``."""
        if self._pad:
            image = functional.pad(image, self._pad)
        # channels last: half the time on CPUs
        convolved: Tensor = self.layer(image.contiguous(memory_format=torch.channels_last_3d))
        return convolved
