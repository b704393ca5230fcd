"""The CaloChallenge's residual network for voxels (reference section 13.4)."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import nn

__all__ = ["ResidualBlock", "ResidualNetwork"]

_CHANNELS = (32, 64, 64, 128)
_PAD = 3


class ResidualBlock(nn.Module):
    """Two 3 x 3 x 3 convolutions beside a shortcut, which is a convolution where the size changes.

    Args:
        before: Channels of the input.
        after: Channels of the output.
        stride: Of the first convolution.
    """

    def __init__(self, before: int, after: int, stride: int = 1) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv3d(before, after, 3, stride, padding=1, bias=False),
            nn.BatchNorm3d(after),
            nn.ReLU(inplace=True),
            nn.Conv3d(after, after, 3, padding=1, bias=False),
            nn.BatchNorm3d(after),
        )
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or before != after:
            self.shortcut = nn.Sequential(
                nn.Conv3d(before, after, 1, stride, bias=False), nn.BatchNorm3d(after)
            )

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Images ``(b, after, ...)`` of images ``(b, before, ...)``."""
        summed: torch.Tensor = self.body(images) + self.shortcut(images)
        return torch.relu_(summed)


class ResidualNetwork(nn.Module):
    """A three-dimensional ResNet-18 with 32, 64, 64 and 128 channels.

    A 7 x 7 x 7 convolution and a pooling, both of stride 2, four pairs of residual blocks, the mean
    over all positions; a linear layer joins it with the normalised conditions. Nothing is circular.

    Args:
        conditions: Numbers beside the image, 1 (log10 of the incident energy) in the CaloChallenge.
        outputs: Logits.
    """

    def __init__(self, conditions: int = 1, outputs: int = 1) -> None:
        super().__init__()
        first = _CHANNELS[0]
        layers: list[nn.Module] = [
            nn.Conv3d(1, first, 7, 2, padding=(0, _PAD, _PAD), bias=False),
            nn.BatchNorm3d(first),
            nn.ReLU(inplace=True),
            nn.MaxPool3d(3, 2, padding=1),
            ResidualBlock(first, first),
            ResidualBlock(first, first),
        ]
        for before, after in pairwise(_CHANNELS):
            layers += [ResidualBlock(before, after, 2), ResidualBlock(after, after)]
        self.layers = nn.Sequential(*layers, nn.AdaptiveAvgPool3d(1), nn.Flatten())
        self.normalise = nn.BatchNorm1d(conditions)
        self.head = nn.Linear(_CHANNELS[-1] + conditions, outputs)

    def forward(self, conditions: torch.Tensor, images: torch.Tensor) -> torch.Tensor:
        """Logits ``(b, outputs)`` of conditions ``(b, C)`` and images ``(b, 1, L, I, J)``."""
        seen = self.layers(_padded(images).contiguous(memory_format=torch.channels_last_3d))
        logits: torch.Tensor = self.head(torch.cat([seen, self.normalise(conditions)], dim=1))
        return logits


def _padded(images: torch.Tensor) -> torch.Tensor:
    """Zeros before the first and behind the last layer, which the first convolution would pad itself.

    That of torch 2.13 gives wrong gradients, or writes outside of its memory, for five to seven layers.
    """
    return nn.functional.pad(images, (0, 0, 0, 0, _PAD, _PAD))
