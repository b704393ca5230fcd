"""Choosing k of n without replacement: the Gumbel top-k trick (arXiv:1903.06059) and its inverse."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["gumbel", "gumbel_targets", "top_k_mask"]


def gumbel(uniform: Tensor) -> Tensor:
    """Gumbel(0, 1) numbers, finite, out of uniform ones in [0, 1]."""
    limits = torch.finfo(uniform.dtype)
    # single precision rounds to 1 what is just below
    return -(-uniform.clamp(limits.tiny, 1 - limits.eps / 2).log()).log()


def top_k_mask(scores: Tensor, k: Tensor) -> Tensor:
    """Mark the ``k`` ``(M,)`` largest scores of every row ``(M, n)``.

    With scores ln p + Gumbel(0, 1) this draws k of n without replacement by the weights p.
    """
    rank = scores.argsort(dim=1, descending=True, stable=True).argsort(dim=1)
    return rank < k[:, None]


def gumbel_targets(hit: Tensor, uniform: Tensor, *, miss: float = -7.0) -> Tensor:
    """Continuous numbers whose k largest mark the ``k`` hits of every row.

    Gumbel(0, 1) for what is hit, Gumbel(``miss``, 1) for what is not, as in the Calorimeter
    Pyramid. About one pair in a thousand would come out in the wrong order there, and the pattern
    with it: here the k largest numbers of a row go to its hits, in the order of their own numbers,
    and the rest to the others.

    Args:
        hit: Pattern, ``(M, n)`` bool.
        uniform: Numbers in [0, 1], ``(M, n)``.
        miss: Location of the Gumbel numbers of what is not hit.
    """
    raw = gumbel(uniform) + torch.where(hit, 0.0, miss)
    # wanted order: all hits before all others, by their own numbers among themselves
    place = torch.where(hit, raw, raw - 1e3).argsort(dim=1, descending=True).argsort(dim=1)
    return raw.sort(dim=1, descending=True).values.gather(1, place)
