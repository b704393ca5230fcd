"""Flows of images: squeeze, then scales, couplings of splines and mixtures of channels (arXiv:2405.20407)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import torch
from pydantic import Field
from torch import nn

from caloforge.nn.channels import ActNorm, Mixing
from caloforge.nn.rational_quadratic import rational_quadratic, spline_parameters
from caloforge.nn.squeezing import squeezed, unsqueezed
from caloforge.nn.unet import UNet, UNetConfig
from caloforge.records import Count, Record

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["ImageFlow", "ImageFlowConfig"]

_HALF_LOG_TWO_PI = 0.9189385332046727
_Factor = Annotated[int, Field(ge=1, le=64)]


class ImageFlowConfig(Record):
    """Sizes of a flow of images; the defaults are those of arXiv:2405.20407 for 18 x 50 cells."""

    squeeze: tuple[_Factor, _Factor] = (2, 2)
    """Pixels along both axes that become channels."""
    blocks: Count = 8
    """Blocks of scale, coupling and mixture."""
    bins: int = Field(default=10, gt=1, le=1024)
    """Bins of the splines."""
    bound: float = Field(default=15.0, ge=0.1, le=1000)
    """The splines act on [-bound, bound]."""
    unet: UNetConfig = UNetConfig()
    """The networks of the couplings."""


class ImageFlow(nn.Module):
    """A flow of images with one channel.

    Args:
        config: Sizes.
        context: Channels of the condition, an image of the squeezed size.
        circular: Whether the first axis closes.
    """

    def __init__(self, config: ImageFlowConfig, context: int, *, circular: bool) -> None:
        super().__init__()
        self.squeeze = config.squeeze
        channels = config.squeeze[0] * config.squeeze[1]
        if channels < 2:
            msg = "a flow of images squeezes two pixels or more into channels"
            raise ValueError(msg)
        self.blocks = nn.ModuleList(
            _Block(channels, context, config, circular=circular) for _ in range(config.blocks)
        )

    def log_prob(self, image: Tensor, context: Tensor) -> Tensor:
        """Log-densities ``(B,)`` of images ``(B, H, W)`` given conditions ``(B, C, h, w)``."""
        z, total = self._forward(image, context)
        flat = z.flatten(1)
        return total - 0.5 * flat.square().sum(1) - _HALF_LOG_TWO_PI * flat.shape[1]

    def sample(self, noise: Tensor, context: Tensor) -> Tensor:
        """Images ``(B, H, W)`` out of standard normal noise of this shape."""
        x = squeezed(noise[:, None], self.squeeze)
        for block in reversed(self.blocks):
            assert isinstance(block, _Block)  # for the type checker: a ModuleList forgets
            x = block.inverse(x, context)
        return unsqueezed(x, self.squeeze)[:, 0]

    @torch.no_grad()
    def start(self, image: Tensor, context: Tensor) -> None:
        """Let the scales start from images, one block after the other."""
        x = squeezed(image[:, None], self.squeeze)
        for block in self.blocks:
            assert isinstance(block, _Block)  # for the type checker: a ModuleList forgets
            block.scale.start(x)
            x, _ = block(x, context)

    def _forward(self, image: Tensor, context: Tensor) -> tuple[Tensor, Tensor]:
        x, total = squeezed(image[:, None], self.squeeze), image.new_zeros(len(image))
        for block in self.blocks:
            x, ladj = block(x, context)
            total = total + ladj
        return x, total


class _Block(nn.Module):
    """Scale, coupling (the first half of the channels given the second), mixture."""

    def __init__(self, channels: int, context: int, config: ImageFlowConfig, *, circular: bool) -> None:
        super().__init__()
        self.changed, self.bound = channels // 2, config.bound
        self.parameters_each = spline_parameters(config.bins)
        self.scale, self.mixing = ActNorm(channels), Mixing(channels)
        kept, made = channels - self.changed, self.changed * self.parameters_each
        self.net = UNet(kept + context, made, config.unet, circular=circular)

    def forward(self, x: Tensor, context: Tensor) -> tuple[Tensor, Tensor]:
        x, scaled = self.scale(x)
        x, bent = self._couple(x, context)
        x, mixed = self.mixing(x)
        return x, scaled + bent + mixed

    def inverse(self, x: Tensor, context: Tensor) -> Tensor:
        x, _ = self._couple(self.mixing.inverse(x), context, inverse=True)
        return self.scale.inverse(x)

    def _couple(self, x: Tensor, context: Tensor, *, inverse: bool = False) -> tuple[Tensor, Tensor]:
        changed, kept = x[:, : self.changed], x[:, self.changed :]
        made = self.net(torch.cat([kept, context], dim=1))
        parameters = made.view(len(x), self.changed, self.parameters_each, *x.shape[2:])
        changed, ladj = rational_quadratic(changed, parameters, bound=self.bound, inverse=inverse, dim=2)
        return torch.cat([changed, kept], dim=1), ladj.sum((1, 2, 3))
