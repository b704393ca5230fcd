"""Which parts of a parent are hit: their number by CDF dequantisation, their choice by Gumbel top-k."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

from caloforge import shares
from caloforge.nn import SplineFlow, gumbel_targets, top_k_mask
from caloforge.preprocessing import CDFDequantiser

if TYPE_CHECKING:
    from torch import Tensor

    from caloforge.nn import SetContext, SplineFlowConfig

__all__ = ["ChoiceFlow"]

_MISS = -7.0
_RARE, _EVIDENCE = 0.005, 100  # a part that is missed more rarely, in this many patterns, is sure
_MIDDLE, _SCALE = -3.0, 3.0  # both kinds of Gumbel numbers then lie well inside of the splines' domain


class ChoiceFlow(nn.Module):
    """A flow over the number of hit parts and the perturbed score of every part.

    One stage of the Calorimeter Pyramid: the target of a parent is (k, X_1 ... X_n), where k is the
    dequantised number of its hit parts and the k largest X mark them.

    A flow leaves some probability to what never happens: the core of a shower would have holes. Parts
    that were hit in all patterns of a place from some k on are therefore hit without being asked.

    Args:
        config: Sizes of the flow.
        parts: Parts ``n`` of a parent.
        kinds: Kinds of parents, each with its own distribution of k.
        shared: Size of the condition of a shower.
        own: Size of the condition of a parent.
        neighbours: Neighbours of a parent.
        places: Places of parents, each with its own sure parts.
    """

    sure_from: Tensor

    def __init__(
        self,
        config: SplineFlowConfig,
        parts: int,
        kinds: int,
        *,
        shared: int,
        own: int = 0,
        neighbours: int = 0,
        places: int = 1,
    ) -> None:
        super().__init__()
        self.parts = parts
        self.register_buffer("sure_from", torch.full((places, parts), parts + 1, dtype=torch.int16))
        self.number = CDFDequantiser([parts + 1], tables=kinds)
        self.flow = SplineFlow(parts + 1, config, shared=shared, own=own, neighbours=neighbours)

    def fit(self, hit: Tensor, kind: Tensor | None, place: Tensor | None) -> None:
        """Count hit parts of parents.

        Args:
            hit: Patterns, ``(M, n)`` bool.
            kind: Kinds of the parents, ``(M,)``; None for a single one.
            place: Places of the parents, ``(M,)``; None for a single one.
        """
        number = hit.sum(1)
        self.number.fit(number[:, None], kind)
        place = torch.zeros_like(number) if place is None else place
        self.sure_from.copy_(_sure_from(hit, number, place, len(self.sure_from)))

    def log_prob(self, hit: Tensor, kind: Tensor | None, context: SetContext, rng: torch.Generator) -> Tensor:
        """Log-densities ``(M,)`` of dequantised patterns ``(M, n)``."""
        shape = (len(hit), self.parts + 1)
        uniform = shares.uniform(shape, rng, ragged=True, dtype=torch.float64, device=hit.device)
        uniform = uniform.clamp_min(1e-12)
        number = self.number(hit.sum(1, keepdim=True), uniform[:, :1], kind)
        scores = (gumbel_targets(hit, uniform[:, 1:], miss=_MISS) - _MIDDLE) / _SCALE
        return self.flow.log_prob(torch.cat([number, scores.to(number.dtype)], dim=1), context)

    def sample(self, noise: Tensor, kind: Tensor | None, place: Tensor | None, context: SetContext) -> Tensor:
        """Patterns ``(M, n)`` bool out of standard normal noise ``(M, n + 1)``."""
        target = self.flow.sample(noise, context)
        number = self.number.inverse(target[:, :1], kind)[:, 0]
        sure = self.sure_from[0 if place is None else place] <= number[:, None]
        return top_k_mask(target[:, 1:].masked_fill(sure, torch.inf), number)


def _sure_from(hit: Tensor, number: Tensor, place: Tensor, places: int) -> Tensor:
    """The smallest k from which on parts are always hit, ``(places, n)``; n + 1 for never."""
    parts = hit.shape[1]
    key = place * (parts + 1) + number
    cases = torch.bincount(key, minlength=places * (parts + 1))
    missed = torch.zeros(len(cases), parts, device=hit.device).index_add(0, key, (~hit).float())
    unsure = (missed > _RARE * cases[:, None]).reshape(places, parts + 1, parts)
    k = torch.arange(parts + 1, device=hit.device)
    first = (unsure * k[:, None]).amax(1) + 1
    enough = cases.reshape(places, -1).flip(1).cumsum(1).flip(1)  # patterns of k or more parts
    enough = torch.cat([enough, torch.zeros_like(enough[:, :1])], dim=1).gather(1, first)
    return first.masked_fill(enough < _EVIDENCE, parts + 1)
