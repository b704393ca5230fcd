"""Finding rows by key without tables as large as all keys."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["find_rows", "padded_rows"]


def find_rows(keys: Tensor, wanted: Tensor) -> Tensor:
    """Rows of the ``wanted`` keys (any shape) among rising ``keys`` ``(M,)``; ``M`` where absent."""
    if not len(keys):
        return torch.zeros_like(wanted)
    place = torch.searchsorted(keys, wanted).clamp(max=len(keys) - 1)
    return torch.where(keys[place] == wanted, place, len(keys))


def padded_rows(values: Tensor, rows: Tensor) -> Tensor:
    """``values`` ``(M,)`` at ``rows`` of any shape; zero for row ``M``."""
    return torch.cat([values, values.new_zeros(1)])[rows]
