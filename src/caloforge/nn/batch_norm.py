"""Batch normalisation over whole batches, also where they are divided into shares."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

from caloforge import shares

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["BatchNorm2d", "BatchNorm3d"]


class _Shared(nn.modules.batchnorm._BatchNorm):
    """In training, means and variances are those of all shares; without any, torch's own."""

    def forward(self, x: Tensor) -> Tensor:
        """Normalise ``(B, channels, ...)``."""
        if not self.training or shares.ways() == 1:
            return super().forward(x)
        dims = [0, *range(2, x.dim())]
        number = shares.ways() * x.numel() / x.shape[1]
        wide = x if x.dtype == torch.float64 else x.float()
        mean = shares.all_sum(_sum(wide, dims)) / number
        centred = wide - _per_channel(mean.to(wide.dtype), x)
        variance = (shares.all_sum(_sum(centred.square(), dims)) / number).to(wide.dtype)
        self._follow(mean, variance * (number / max(number - 1, 1)))
        normalised = centred * _per_channel((variance + self.eps).rsqrt(), x)
        return (normalised * _per_channel(self.weight, x) + _per_channel(self.bias, x)).to(x.dtype)

    @torch.no_grad()
    def _follow(self, mean: Tensor, variance: Tensor) -> None:
        if self.num_batches_tracked is not None:
            self.num_batches_tracked.add_(1)
        momentum = 0.0 if self.momentum is None else self.momentum
        for kept, new in ((self.running_mean, mean), (self.running_var, variance)):
            if kept is not None:
                kept.lerp_(new.to(kept.dtype), momentum)


class BatchNorm2d(_Shared, nn.BatchNorm2d):
    """Of images ``(B, channels, H, W)``."""


class BatchNorm3d(_Shared, nn.BatchNorm3d):
    """Of images ``(B, channels, x, y, z)``."""


def _sum(values: Tensor, dims: list[int]) -> Tensor:
    """Sums as exact as torch's own normalisation has them: in double precision on a CPU."""
    return values.sum(dims, dtype=torch.float64 if values.device.type == "cpu" else values.dtype)


def _per_channel(values: Tensor, like: Tensor) -> Tensor:
    return values.reshape(1, -1, *[1] * (like.dim() - 2))
