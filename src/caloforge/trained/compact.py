"""How tensors are made small for a file: numbers of 16 bits, eight flags a byte."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import torch

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["compact", "flags", "is_packed"]

_FEW = 64  # numbers that are not worth it


def compact(tensor: Tensor) -> Tensor:
    """A tensor as it is stored: 32-bit numbers by 16 bits, flags by one.

    Numbers beyond the range of 16 bits stay as they are: they would become infinite. Flags become
    bytes ``(ceil(n / 8),)``, the first flag the highest bit; what is short stays as it is.
    """
    if tensor.numel() <= _FEW:
        return tensor.contiguous()
    if tensor.dtype == torch.bool:
        return torch.from_numpy(np.packbits(tensor.cpu().numpy()))
    halved = tensor.half() if tensor.dtype == torch.float32 else tensor
    return (halved if torch.isfinite(halved).all() else tensor).contiguous()


def is_packed(tensor: Tensor, like: Tensor) -> bool:
    """Whether bytes hold as many flags as another tensor has."""
    return (
        like.dtype == torch.bool
        and tensor.dtype == torch.uint8
        and tensor.shape == (math.ceil(like.numel() / 8),)
    )


def flags(tensor: Tensor, like: Tensor) -> Tensor:
    """Packed flags in the shape of another tensor."""
    bits = np.unpackbits(tensor.numpy(), count=like.numel())
    return torch.from_numpy(bits.astype(bool)).view(like.shape)
