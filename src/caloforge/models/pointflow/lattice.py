"""Even normal numbers: a lattice with a random shift."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from caloforge.models.assembly import rows_of

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["lattice_normal"]

_EDGE = 1e-9


def lattice_normal(shift: Tensor, counts: Tensor) -> Tensor:
    """Normal numbers ``(sum of counts, D)`` that are spread more evenly than independent ones.

    The additive recurrence by powers of 1/g, where g^(D+1) = g + 1, turned over the unit cube by a
    random shift: every number by itself is uniform there, but they keep away from each other.

    Args:
        shift: Uniform numbers in (0, 1) of every shower, ``(B, D)``.
        counts: Points of every shower, ``(B,)``.
    """
    size = shift.shape[1]
    root = 1.5
    for _ in range(60):
        root = (1 + root) ** (1 / (size + 1))
    step = shift.new_tensor([root ** -(k + 1) for k in range(size)])
    first = counts.cumsum(0) - counts
    shower = rows_of(counts)
    place = torch.arange(shower.shape[0], device=shift.device) - first[shower]
    share = (shift[shower] + place[:, None] * step) % 1.0
    normal: Tensor = torch.special.ndtri(share.clamp(_EDGE, 1 - _EDGE))
    return normal.float()
