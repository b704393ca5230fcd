"""Showers scaled to a given sum."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["rescaled"]

_TINY = 1e-9


def rescaled(image: Tensor, total: Tensor, *, floor: float = 0.0) -> Tensor:
    """Images whose cells sum to ``total``, as far as that is possible; empty ones stay empty.

    Args:
        image: Cell energies ``(B, ...)`` [MeV], 0 or above ``floor``.
        total: Sums that are wanted [MeV], ``(B,)``.
        floor: What hit cells keep: only what they have above it is scaled [MeV].
    """
    flat = image.flatten(1)
    hit = flat > 0
    kept = floor * hit
    excess = (flat - kept).double().sum(1)
    wanted = (total.double() - kept.double().sum(1)).clamp_min(0.0)
    factor = torch.where(excess > _TINY, wanted / excess.clamp_min(_TINY), 1.0)
    made = kept + (flat - kept) * factor[:, None].to(flat.dtype)
    return made.view_as(image)
