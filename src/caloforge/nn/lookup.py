"""Finding rows by key without tables as large as all keys."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["find_neighbours", "find_rows", "padded_rows"]


def find_rows(keys: Tensor, wanted: Tensor) -> Tensor:
    """Rows of the ``wanted`` keys (any shape) among rising ``keys`` ``(M,)``; ``M`` where absent."""
    if not len(keys):
        return torch.zeros_like(wanted)
    place = torch.searchsorted(keys, wanted).clamp(max=len(keys) - 1)
    return torch.where(keys[place] == wanted, place, len(keys))


def find_neighbours(owner: Tensor, number: Tensor, around: Tensor, *, size: int) -> Tensor:
    """Rows of every element's neighbours in its own set, ``(M, N)``; ``M`` where there is none.

    Args:
        owner: Set of every element, ``(M,)``.
        number: Its number in the set, ``(M,)``; elements rise by set and number.
        around: Numbers of its neighbours, ``(M, N)``, -1 for none.
        size: Numbers in a set.
    """
    return find_rows(owner * size + number, torch.where(around >= 0, owner[:, None] * size + around, -1))


def padded_rows(values: Tensor, rows: Tensor) -> Tensor:
    """``values`` ``(M,)`` at ``rows`` of any shape; zero for row ``M``."""
    return torch.cat([values, values.new_zeros(1)])[rows]
