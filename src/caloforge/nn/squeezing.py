"""Squeezing images: blocks of pixels become channels (arXiv:1605.08803)."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["squeezed", "unsqueezed"]


def squeezed(image: Tensor, factors: tuple[int, int]) -> Tensor:
    """Images ``(B, C, a H, b W)`` as ``(B, C a b, H, W)``."""
    rows, channels, height, width = image.shape
    a, b = factors
    blocks = image.reshape(rows, channels, height // a, a, width // b, b)
    return blocks.permute(0, 1, 3, 5, 2, 4).reshape(rows, channels * a * b, height // a, width // b)


def unsqueezed(image: Tensor, factors: tuple[int, int]) -> Tensor:
    """The inverse of ``squeezed``."""
    rows, channels, height, width = image.shape
    a, b = factors
    blocks = image.reshape(rows, channels // (a * b), a, b, height, width)
    return blocks.permute(0, 1, 4, 2, 5, 3).reshape(rows, channels // (a * b), height * a, width * b)
