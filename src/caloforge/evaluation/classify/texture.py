"""A small network that sees which cells are hit together: the texture of showers."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import torch
from torch import nn

from caloforge.evaluation.classify.convolutional import CircularPad

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["TextureNetwork"]

_CHANNELS = (8, 16, 32, 64)


class TextureNetwork(nn.Module):
    """Four 3 x 3 x 3 convolutions with batch normalisation, all but the first of stride 2.

    The first one looks at every cell with all its neighbours: no pooling and no stride comes before
    it, which would average away whether neighbours are hit together. Then the mean over all
    positions and a linear layer, beside the normalised conditions. For rings the angle is the
    second axis, and circular.

    Args:
        circular: Whether the second axis is an angle.
        conditions: Numbers beside the image.
        outputs: Logits.
        channels: Of the convolutions.
    """

    def __init__(
        self,
        *,
        circular: bool,
        conditions: int = 1,
        outputs: int = 1,
        channels: Sequence[int] = _CHANNELS,
    ) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        padding = (1, 0, 1) if circular else 1
        for number, (before, after) in enumerate(pairwise((1, *channels))):
            if circular:
                layers.append(CircularPad(1))
            convolution = nn.Conv3d(before, after, 3, 1 if number == 0 else 2, padding, bias=False)
            # half the time of a step on a CPU
            weight = convolution.weight.contiguous(memory_format=torch.channels_last_3d)
            convolution.weight = nn.Parameter(weight)
            layers += [convolution, nn.BatchNorm3d(after), nn.ReLU(inplace=True)]
        self.layers = nn.Sequential(*layers, nn.AdaptiveAvgPool3d(1), nn.Flatten())
        self.head = nn.Linear(channels[-1] + conditions, outputs)

    def forward(self, conditions: torch.Tensor, images: torch.Tensor) -> torch.Tensor:
        """Logits ``(b, outputs)`` of conditions ``(b, C)`` and images ``(b, 1, L, I, J)``."""
        seen = self.layers(images.contiguous(memory_format=torch.channels_last_3d))
        logits: torch.Tensor = self.head(torch.cat([seen, conditions], dim=1))
        return logits
