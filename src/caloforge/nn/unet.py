"""A U-Net of images, which may close around their first axis."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import torch
from pydantic import Field
from torch import nn
from torch.nn import functional

from caloforge.nn.batch_norm import BatchNorm2d
from caloforge.nn.initial import shrink_convolution
from caloforge.records import Record, Width

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["Convolution", "UNet", "UNetConfig"]

_Size = Annotated[int, Field(ge=1, le=1024)]


class UNetConfig(Record):
    """Sizes of a U-Net; the defaults are those of arXiv:2405.20407 for 18 x 50 cells."""

    channels: Width = 32
    """Channels at the full size; twice as many at every smaller one."""
    down: Annotated[tuple[tuple[_Size, _Size], ...], Field(min_length=1, max_length=8)] = ((5, 3), (5, 3))
    """How many pixels along both axes are joined from one size to the next."""


class Convolution(nn.Module):
    """3 x 3 pixels at full size; beyond the edges there are zeros, or the other end of the first axis.

    Args:
        inputs: Channels in.
        outputs: Channels out.
        circular: Whether the first axis closes.
    """

    def __init__(self, inputs: int, outputs: int, *, circular: bool) -> None:
        super().__init__()
        self.circular = circular
        self.kernel = nn.Conv2d(inputs, outputs, 3, padding=(0, 1) if circular else 1)

    def forward(self, x: Tensor) -> Tensor:
        """Images ``(B, C, H, W)``."""
        padded = functional.pad(x, (0, 0, 1, 1), mode="circular") if self.circular else x
        made: Tensor = self.kernel(padded)
        return made


class UNet(nn.Module):
    """Two convolutions a size on the way down, two on the way up, with skip connections.

    Args:
        inputs: Channels in.
        outputs: Channels out.
        config: Sizes.
        circular: Whether the first axis closes.
    """

    def __init__(self, inputs: int, outputs: int, config: UNetConfig, *, circular: bool) -> None:
        super().__init__()
        widths = [config.channels * 2**level for level in range(len(config.down) + 1)]
        self.down, self.up = nn.ModuleList(), nn.ModuleList()
        self.before, self.behind = nn.ModuleList(), nn.ModuleList()
        for level, (kernel, width, wider) in enumerate(zip(config.down, widths, widths[1:], strict=False)):
            first = inputs if level == 0 else width
            self.before.append(_block(first, width, width, circular=circular))
            self.down.append(nn.Conv2d(width, wider, kernel, stride=kernel))
            self.up.append(nn.ConvTranspose2d(wider, width, kernel, stride=kernel))
            last = outputs if level == 0 else width
            self.behind.append(_block(2 * width, width, last, circular=circular, ends=level == 0))
        shrink_convolution(self)

    def forward(self, x: Tensor) -> Tensor:
        """Images ``(B, inputs, H, W)`` to ``(B, outputs, H, W)``."""
        skipped = []
        for block, down in zip(self.before, self.down, strict=True):
            x = block(x)
            skipped.append(x)
            x = down(x)
        x = functional.leaky_relu(x)
        for block, up in zip(reversed(self.behind), reversed(self.up), strict=True):
            x = block(torch.cat([up(x), skipped.pop()], dim=1))
        return x


def _block(inputs: int, inner: int, outputs: int, *, circular: bool, ends: bool = False) -> nn.Sequential:
    first = Convolution(inputs, inner, circular=circular)
    layers = [first, BatchNorm2d(inner), nn.LeakyReLU(), Convolution(inner, outputs, circular=circular)]
    return nn.Sequential(*layers) if ends else nn.Sequential(*layers, BatchNorm2d(outputs), nn.LeakyReLU())
