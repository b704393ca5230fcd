"""Which parts of a parent are hit: their number by CDF dequantisation, their choice by Gumbel top-k."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

from caloforge.nn import SplineFlow, gumbel_targets, top_k_mask
from caloforge.preprocessing import CDFDequantiser

if TYPE_CHECKING:
    from torch import Tensor

    from caloforge.nn import SetContext, SplineFlowConfig

__all__ = ["ChoiceFlow"]

_MISS = -7.0
_MIDDLE, _SCALE = -3.0, 3.0  # both kinds of Gumbel numbers then lie well inside of the splines' domain


class ChoiceFlow(nn.Module):
    """A flow over the number of hit parts and the perturbed score of every part.

    One stage of the Calorimeter Pyramid: the target of a parent is (k, X_1 ... X_n), where k is the
    dequantised number of its hit parts and the k largest X mark them.

    Args:
        config: Sizes of the flow.
        parts: Parts ``n`` of a parent.
        kinds: Kinds of parents, each with its own distribution of k.
        shared: Size of the condition of a shower.
        own: Size of the condition of a parent.
        neighbours: Neighbours of a parent.
    """

    def __init__(
        self,
        config: SplineFlowConfig,
        parts: int,
        kinds: int,
        *,
        shared: int,
        own: int = 0,
        neighbours: int = 0,
    ) -> None:
        super().__init__()
        self.parts = parts
        self.number = CDFDequantiser([parts + 1], tables=kinds)
        self.flow = SplineFlow(parts + 1, config, shared=shared, own=own, neighbours=neighbours)

    def fit(self, hit: Tensor, kind: Tensor | None) -> None:
        """Count hit parts of parents: ``hit`` ``(M, n)`` bool; ``kind`` ``(M,)``, None for a single kind."""
        self.number.fit(hit.sum(1, keepdim=True), kind)

    def log_prob(self, hit: Tensor, kind: Tensor | None, context: SetContext, rng: torch.Generator) -> Tensor:
        """Log-densities ``(M,)`` of dequantised patterns ``(M, n)``."""
        shape = (len(hit), self.parts + 1)
        uniform = torch.rand(shape, generator=rng, dtype=torch.float64, device=hit.device).clamp_min(1e-12)
        number = self.number(hit.sum(1, keepdim=True), uniform[:, :1], kind)
        scores = (gumbel_targets(hit, uniform[:, 1:], miss=_MISS) - _MIDDLE) / _SCALE
        return self.flow.log_prob(torch.cat([number, scores.to(number.dtype)], dim=1), context)

    def sample(self, noise: Tensor, kind: Tensor | None, context: SetContext) -> Tensor:
        """Patterns ``(M, n)`` bool out of standard normal noise ``(M, n + 1)``."""
        target = self.flow.sample(noise, context)
        number = self.number.inverse(target[:, :1], kind)[:, 0]
        return top_k_mask(target[:, 1:], number)
