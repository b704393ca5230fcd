"""Cells of showers out of many points: which are hit, and with which of their points' energy.

A flow draws points independently, a read-out cell is hit once. CaloPointFlow therefore takes the
points as an estimate of the cells' probabilities, and draws different cells by them. All showers of
a block are worked on together, in flat arrays.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import torch

from caloforge.models.assembly import rows_of
from caloforge.nn import count_rows, gumbel, same_size, segment_sum

if TYPE_CHECKING:
    from torch import Tensor

    from caloforge.models.base import Noise

__all__ = [
    "Candidates",
    "DrawnCells",
    "Placement",
    "Weights",
    "choose",
    "draw_cells",
    "find_candidates",
    "inclusion",
    "pick",
]

Weights = Literal["density", "frequency"]
Placement = Literal["gumbel", "pareto"]

_SURE = 1e-6  # a cell is left out with this probability at least: its logit is finite
_ROUNDS = 12
_CELLS = 1 << 31  # more than a read-out has: showers and cells in one number


@dataclass(frozen=True)
class Candidates:
    """Cells that hold points, shower by shower.

    Attributes:
        shower: The shower of every candidate, rising, ``(K,)``.
        cell: Its cell, rising in every shower, ``(K,)``.
        share: Its probability among those of its shower, ``(K,)``.
        first: Where its points start in ``order``, ``(K,)``.
        number: Its points, ``(K,)``.
        order: All points, candidate by candidate, ``(P,)``.
        weight: Weights of the points in that order, 1 in sum in every candidate, ``(P,)``.
    """

    shower: Tensor
    cell: Tensor
    share: Tensor
    first: Tensor
    number: Tensor
    order: Tensor
    weight: Tensor


@dataclass(frozen=True)
class DrawnCells:
    """Different cells of every shower.

    Attributes:
        shower: Their showers, rising, ``(C,)``.
        cell: The cells, rising in every shower, ``(C,)``.
        point: A point in each, ``(C,)``.
        counts: How many every shower has, ``(B,)``.
    """

    shower: Tensor
    cell: Tensor
    point: Tensor
    counts: Tensor


def draw_cells(
    shower: Tensor,
    cell: Tensor,
    wanted: Tensor,
    noise: Noise,
    *,
    placement: Placement,
    log_density: Tensor | None = None,
) -> DrawnCells:
    """Draw ``wanted`` cells ``(B,)`` of every shower by their points, or all when there are fewer.

    Args:
        shower: The shower of every point, ``(P,)``.
        cell: Its cell, ``(P,)``.
        wanted: Cells of every shower, ``(B,)``.
        noise: Random numbers (sub-stream ``cells``).
        placement: See ``choose``.
        log_density: See ``find_candidates``.
    """
    found = find_candidates(shower, cell, wanted.shape[0], log_density=log_density)
    number = count_rows(found.shower, wanted.shape[0])
    uniform = noise.uniform("cells", number, 2)
    same_size(uniform.shape[0], found.shower.shape[0])
    chosen = choose(found, wanted, uniform[:, 0], placement=placement)
    point = pick(found, chosen, uniform[chosen, 1])
    return DrawnCells(found.shower[chosen], found.cell[chosen], point, torch.minimum(number, wanted))


def find_candidates(
    shower: Tensor, cell: Tensor, showers: int, *, log_density: Tensor | None = None
) -> Candidates:
    """Group points by shower and cell.

    The number of its points estimates a cell's probability without bias. Their mean density, as
    published, does not: points are dense where the density is high already, so that a cell is
    weighed by about the square of its probability, and the tails are lost.

    Args:
        shower: The shower of every point, ``(P,)``.
        cell: Its cell, ``(P,)``.
        showers: Showers of the block.
        log_density: Logarithm of the density at every point: cells get the mean density of their
            points, points the density as their weight. None: cells get the number of their points,
            points equal weights.
    """
    key, order = (shower * _CELLS + cell).sort(stable=True)
    key, number = torch.unique_consecutive(key, return_counts=True)
    index = torch.div(key, _CELLS, rounding_mode="floor")
    weight = _weights(order, shower, showers, log_density)
    first = number.cumsum(0) - number
    owner = rows_of(number, weight.shape[0])
    total = weight.new_zeros(key.shape[0]).index_add(0, owner, weight)
    raw = total if log_density is None else total / number
    share = raw / segment_sum(raw[:, None], index, showers)[:, 0].index_select(0, index)
    weight = weight / total.index_select(0, owner)
    return Candidates(index, key - index * _CELLS, share, first, number, order, weight)


def choose(candidates: Candidates, wanted: Tensor, uniform: Tensor, *, placement: Placement) -> Tensor:
    """Candidates that are hit, ``(C,)`` in rising order: ``wanted`` of every shower, or all there are.

    Args:
        candidates: The cells.
        wanted: Cells of every shower, ``(B,)``.
        uniform: A number in (0, 1) for every candidate, ``(K,)``.
        placement: ``gumbel``: one after the other by their probabilities among the rest (Gumbel
            top-k), as published: likely cells then come too rarely. ``pareto``: Pareto sampling
            (B. Rosen, J. Stat. Plan. Inference 62 (1997) 159), where a cell is hit with the
            probability n p that it was given.
    """
    if placement == "gumbel":
        score = candidates.share.log() + gumbel(uniform)
    else:
        score = inclusion(candidates, wanted).clamp(_SURE, 1 - _SURE).logit() - uniform.logit()
    order = score.argsort(descending=True, stable=True)
    order = order[candidates.shower[order].argsort(stable=True)]
    shower = candidates.shower  # as they are sorted, too
    number = count_rows(shower, wanted.shape[0])
    rank = torch.arange(order.shape[0], device=order.device) - (number.cumsum(0) - number)[shower]
    return order[rank < wanted[shower]].sort().values


def inclusion(candidates: Candidates, wanted: Tensor) -> Tensor:
    """Probabilities ``(K,)`` of being hit: proportional to the share, at most 1, ``wanted`` in sum."""
    share, shower = candidates.share, candidates.shower
    scale = wanted.to(share.dtype)
    for _ in range(_ROUNDS):  # cells that are sure leave more for the others
        probability = share * scale.index_select(0, shower)
        sure = probability >= 1
        rest = torch.stack([sure.to(share.dtype), share.masked_fill(sure, 0.0)], dim=1)
        taken, free = segment_sum(rest, shower, wanted.shape[0]).unbind(1)
        scale = torch.maximum(scale, (wanted - taken) / free.clamp_min(1e-30))
    return (share * scale.index_select(0, shower)).clamp(max=1.0)


def pick(candidates: Candidates, chosen: Tensor, uniform: Tensor) -> Tensor:
    """One point ``(C,)`` of every chosen candidate, by the points' weights.

    Args:
        candidates: The cells.
        chosen: Some of them, ``(C,)``.
        uniform: A number in (0, 1) for each, ``(C,)``.
    """
    end = candidates.weight.cumsum(0)
    first = candidates.first[chosen]
    below = end[first] - candidates.weight[first]
    place = torch.searchsorted(end, below + uniform, right=True)
    last = first + candidates.number[chosen] - 1
    return candidates.order[torch.minimum(torch.maximum(place, first), last)]


def _weights(order: Tensor, shower: Tensor, showers: int, log_density: Tensor | None) -> Tensor:
    if log_density is None:
        return torch.ones(order.shape[0], dtype=torch.float64, device=order.device)
    density = log_density.double()
    largest = density.new_full((showers,), -torch.inf).scatter_reduce(0, shower, density, "amax")
    # relative to the densest point; not zero, or a shower could have too few cells
    return (density - largest[shower]).clamp_min(-80.0).exp()[order]
