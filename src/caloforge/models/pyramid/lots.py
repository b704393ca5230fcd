"""How many hits of a group are among the cells of a step, and which cells these are."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["binomial", "chosen", "hits_of_step"]

_FEW = 8  # terms of a sum over numbers of hits
_MANY = 2.5  # hits on average, from which on a normal distribution is as good
_TINY = 1e-9


def hits_of_step(logit: Tensor, key: Tensor, left: Tensor, after: Tensor, uniform: Tensor) -> Tensor:
    """Draw the hits of groups among the cells of a step, ``(G,)`` int64.

    With independent cells too few would come out where few hits are left: draws of more than there are
    would be cut. Given how many are left, cells compete: the variance of the number is that of
    independent cells times the share of the cells that come later.

    Args:
        logit: Of the probability that a cell is hit, ``(M,)``.
        key: Group of every cell.
        left: Hits that are left to the groups, ``(G,)``.
        after: Cells of the groups that come later, ``(G,)``.
        uniform: Numbers in (0, 1), ``(G,)``.
    """
    probability = logit.double().sigmoid()
    number = torch.bincount(key, minlength=len(left))
    mean = probability.new_zeros(len(left)).index_add_(0, key, probability)
    variance = probability.new_zeros(len(left)).index_add_(0, key, probability * (1 - probability))
    drawn = binomial(mean, variance * after / (number + after).clamp_min(1), uniform)
    return torch.minimum(torch.maximum(drawn, left - after), torch.minimum(left, number)).clamp_min(0)


def binomial(mean: Tensor, variance: Tensor, uniform: Tensor) -> Tensor:
    """Whole numbers with the distribution of the binomial of this mean and about this variance.

    Args:
        mean: Not negative, ``(G,)`` float64.
        variance: Smaller than the mean.
        uniform: Numbers in (0, 1).
    """
    spread = (mean + variance.sqrt() * torch.special.ndtri(uniform) + 0.5).floor()
    trials = (mean.square() / (mean - variance).clamp_min(_TINY)).round()
    trials = torch.maximum(trials, mean.ceil()).clamp_min(1.0)
    chance = (mean / trials).clamp(max=1 - _TINY)
    odds, term = chance / (1 - chance), (1 - chance) ** trials
    few, total = torch.zeros_like(mean), term
    for k in range(_FEW):
        few += uniform > total
        term = term * odds * (trials - k).clamp_min(0.0) / (k + 1)
        total = total + term
    return torch.where(mean < _MANY, few, spread).clamp_min(0.0).long()


def chosen(logit: Tensor, race: Tensor, key: Tensor, number: Tensor) -> Tensor:
    """Mark cells by Gumbel top-k in every group, or the cells that are not hit where these are fewer.

    One hit of a group, and one miss, fall on cells exactly as independent cells would if they were drawn
    again until their number is right.

    Args:
        logit: Of the probability that a cell is hit, ``(M,)``.
        race: Gumbel numbers, ``(M,)``.
        key: Their groups.
        number: Cells to mark in every group, ``(G,)``.
    """
    cells = torch.bincount(key, minlength=len(number))
    crowded = 2 * number > cells
    score = logit + torch.where(crowded[key], -race, race)
    order = score.argsort(descending=True, stable=True)
    order = order[key[order].argsort(stable=True)]
    rank = torch.arange(len(key), device=key.device) - (cells.cumsum(0) - cells)[key[order]]
    hit = torch.zeros_like(key, dtype=torch.bool)
    hit[order] = rank < number[key[order]]
    return hit
