"""Energies of hits brought to the sums that are given, at the cost of those that vary most."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from caloforge.nn.sets import segment_sum

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["with_sums"]

_STEPS = 6  # Newton's, after which one factor for all hits of a group does the rest
_LARGEST = 3.0  # change of an exponent in a step
_TINY = 1e-12


def with_sums(excess: Tensor, wanted: Tensor, key: Tensor) -> Tensor:
    """Energies ``(H,)`` whose sums over groups are the wanted ones.

    A factor for all hits of a group would move soft ones as far as hard ones, and the spectrum near the
    threshold would be washed out: there are many. It is a hard hit's energy that tells most of the sum. So
    what a hit has is multiplied by exp(lambda w), with w = x / (x + m), x what it has and m what is wanted
    of a hit on average: the conditional mean of many numbers given their sum moves each by its variance.

    Args:
        excess: What hits have above threshold [MeV], positive.
        wanted: Sums of these, ``(G,)``, not negative; of groups without hits whatever.
        key: The hits' groups.
    """
    groups = len(wanted)
    one = torch.ones_like(excess)
    count = segment_sum(one[:, None], key, groups)[:, 0].clamp_min(1.0)
    mean = (wanted / count).clamp_min(_TINY)
    weight = excess / (excess + mean[key])
    power = torch.zeros_like(wanted)
    for _ in range(_STEPS):
        moved = excess * (power[key] * weight).exp()
        both = segment_sum(torch.stack([moved, moved * weight], dim=1), key, groups)
        total, slope = both.clamp_min(_TINY).unbind(1)
        # the logarithm of the sum is convex in the power and grows with it
        power += ((wanted.clamp_min(_TINY) / total).log() * total / slope).clamp(-_LARGEST, _LARGEST)
    moved = excess * (power[key] * weight).exp()
    rest = wanted / segment_sum(moved[:, None], key, groups)[:, 0].clamp_min(_TINY)
    return moved * rest[key]
