"""The voxel classifiers of the convolutional L2LFlows (reference section 6.6)."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import nn

from caloforge.evaluation.classify.networks import DenseNetwork

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["CircularPad", "ConvolutionalNetwork"]

_CHANNELS = 16
_HEAD = (128, 64, 32)
_RINGS = (
    # kernel, pooling along layers, angle, radius after it
    (5, None),
    (3, (5, 5, 3)),
    (5, (3, 5, 3)),
    (3, None),
)
_BOX = ((5, (2, 2, 2)), (3, (2, 2, 2)), (3, (2, 2, 2)), (3, (2, 2, 2)))


class ConvolutionalNetwork(nn.Module):
    """Four convolutions of 16 channels with pooling, then three dense layers, LeakyReLU everywhere.

    For rings the angle is the second axis, and circular. The published code has a LeakyReLU behind the last
    layer too, which keeps logits from becoming negative freely; it is left out here. Pools shrink
    where an axis is shorter than they are.

    Args:
        shape: Cells of the image: layers, angles, rings or layers, x, y.
        circular: Whether the second axis is an angle.
        conditions: Numbers beside the image.
        outputs: Logits.
    """

    def __init__(
        self, shape: Sequence[int], *, circular: bool, conditions: int = 1, outputs: int = 1
    ) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        channels, sizes = 1, list(shape)
        for number, (kernel, pool) in enumerate(_RINGS if circular else _BOX):
            wide = number == 0 and not circular  # the published first layer of box grids pads one more
            pad = kernel // 2 + wide
            if circular:
                layers.append(CircularPad(pad))
            padding = (pad, 0, pad) if circular else pad
            layers += [nn.Conv3d(channels, _CHANNELS, kernel, padding=padding), nn.LeakyReLU()]
            channels, sizes = _CHANNELS, [size + 2 * wide for size in sizes]
            if pool is not None:
                window = tuple(min(p, size) for p, size in zip(pool, sizes, strict=True))
                sizes = [size // w for size, w in zip(sizes, window, strict=True)]
                layers.append(nn.MaxPool3d(window))
        self.layers = nn.Sequential(*layers, nn.Flatten())
        self.head = DenseNetwork(_CHANNELS * math.prod(sizes) + conditions, _HEAD, outputs)

    def forward(self, conditions: torch.Tensor, images: torch.Tensor) -> torch.Tensor:
        """Logits ``(b, outputs)`` of conditions ``(b, C)`` and images ``(b, 1, L, I, J)``."""
        seen = self.layers(images.contiguous(memory_format=torch.channels_last_3d))
        logits: torch.Tensor = self.head(torch.cat([seen, conditions], dim=1))
        return logits


class CircularPad(nn.Module):
    """Continue the second axis of images by its other end; several times round where it is short.

    Args:
        size: Cells on both sides.
    """

    def __init__(self, size: int) -> None:
        super().__init__()
        self._size = size

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Images ``(b, C, L, I + 2 size, J)`` of images ``(b, C, L, I, J)``."""
        angles = images.shape[3]
        index = torch.arange(-self._size, angles + self._size, device=images.device) % angles
        return images[:, :, :, index]
