"""Embeddings of scalars."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import nn

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["FourierFeatures"]


class FourierFeatures(nn.Module):
    """Random Fourier features of a scalar, ``[cos(2 pi f x), sin(2 pi f x)]``.

    The frequencies are a buffer: they are saved with the weights.

    Args:
        features: Size of the output, even.
        std: Standard deviation of the frequencies.
    """

    frequencies: Tensor

    def __init__(self, features: int, *, std: float = 16.0) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(features)
        self.register_buffer("frequencies", std * torch.randn(features // 2, generator=generator))

    def forward(self, x: Tensor) -> Tensor:
        """Embed ``x`` of any shape into ``(*x.shape, features)``."""
        angles = 2 * math.pi * x[..., None] * self.frequencies
        return torch.cat([angles.cos(), angles.sin()], dim=-1)
