"""What flows of images do to channels: scales that start from data, learned mixtures (arXiv:1807.03039)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["ActNorm", "Mixing"]

_NARROWEST = 1e-6


class ActNorm(nn.Module):
    """A factor and a shift of every channel, started so that a first batch has mean 0 and deviation 1.

    Args:
        channels: Channels ``C``.
    """

    started: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.log_scale = nn.Parameter(torch.zeros(channels))
        self.shift = nn.Parameter(torch.zeros(channels))
        self.register_buffer("started", torch.zeros((), dtype=torch.bool))

    @torch.no_grad()
    def start(self, x: Tensor) -> None:
        """Fit to images ``(B, C, H, W)``, unless it is started."""
        if bool(self.started):
            return
        mean, std = x.mean((0, 2, 3)), x.std((0, 2, 3), correction=0).clamp_min(_NARROWEST)
        self.log_scale.copy_(-std.log())
        self.shift.copy_(-mean / std)
        self.started.fill_(value=True)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Images ``(B, C, H, W)``, and the logarithm of the Jacobian's determinant."""
        y = x * self.log_scale.exp()[:, None, None] + self.shift[:, None, None]
        return y, self.log_scale.sum() * (x.shape[2] * x.shape[3])

    def inverse(self, y: Tensor) -> Tensor:
        """The images that ``forward`` was given."""
        return (y - self.shift[:, None, None]) * (-self.log_scale).exp()[:, None, None]


class Mixing(nn.Module):
    """A 1 x 1 convolution that can be undone: W = P L U with a fixed permutation P.

    L has ones on its diagonal, U positive numbers. It starts as the permutation.

    Args:
        channels: Channels ``C``.
    """

    order: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        below = channels * (channels - 1) // 2
        self.lower = nn.Parameter(torch.zeros(below))
        self.upper = nn.Parameter(torch.zeros(below))
        self.log_diagonal = nn.Parameter(torch.zeros(channels))
        self.bias = nn.Parameter(torch.zeros(channels))
        self.register_buffer("order", torch.randperm(channels))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Images ``(B, C, H, W)``, and the logarithm of the Jacobian's determinant."""
        lower, upper = self._factors()
        mixed = nn.functional.conv2d(x, (lower @ upper)[self.order, :, None, None], self.bias)
        return mixed, self.log_diagonal.sum() * (x.shape[2] * x.shape[3])

    def inverse(self, y: Tensor) -> Tensor:
        """The images that ``forward`` was given."""
        lower, upper = (factor.double() for factor in self._factors())
        one = torch.eye(len(lower), dtype=lower.dtype, device=lower.device)
        half = torch.linalg.solve_triangular(lower, one, upper=False, unitriangular=True)
        undone = torch.linalg.solve_triangular(upper, half, upper=True)[:, self.order].to(y.dtype)
        return nn.functional.conv2d(y - self.bias[:, None, None], undone[:, :, None, None])

    def _factors(self) -> tuple[Tensor, Tensor]:
        channels = len(self.bias)
        row, column = torch.tril_indices(channels, channels, -1, device=self.lower.device)
        lower = torch.diag(torch.ones_like(self.bias)).index_put((row, column), self.lower)
        upper = torch.diag(self.log_diagonal.exp()).index_put((column, row), self.upper)
        return lower, upper
