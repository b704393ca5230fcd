"""What is left to groups of hits while these get their energies."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import torch

from caloforge.models.pyramid.tree import sums_by_layer
from caloforge.nn.sets import segment_sum

if TYPE_CHECKING:
    from torch import Tensor

    from caloforge.models.pyramid.tree import Parents

__all__ = ["LeftOver", "left_before"]

_LEAST = 1e-3  # MeV a hit above threshold: one in a thousand has less


@dataclass(frozen=True)
class LeftOver:
    """Hits and energies that are left to groups, or to the groups of some hits.

    Attributes:
        number: Hits that have no energy yet, ``(N,)``.
        excess: What all of these have above threshold [MeV], ``(N,)``.
    """

    FEATURES: ClassVar[int] = 2

    number: Tensor
    excess: Tensor

    @property
    def mean(self) -> Tensor:
        """What a hit has on average [MeV], ``(N,)``; not less than some."""
        return (self.excess / self.number.clamp_min(1.0)).clamp_min(_LEAST)

    @property
    def features(self) -> Tensor:
        """Logarithms of the number and of the mean, ``(N, 2)``."""
        return torch.stack([self.number.clamp_min(1.0).log() - 2.0, self.mean.log()], dim=1)

    @property
    def last(self) -> Tensor:
        """Where one hit gets all that is left, ``(N,)`` bool."""
        return self.number < 1.5

    @property
    def too_little(self) -> Tensor:
        """Where there are more hits than energy, ``(N,)`` bool."""
        return (self.number > 0.5) & (self.excess < _LEAST * self.number)

    def of(self, key: Tensor) -> LeftOver:
        """That of some groups, or of some hits."""
        return LeftOver(self.number[key], self.excess[key])

    def less(self, excess: Tensor, key: Tensor) -> LeftOver:
        """After hits of the groups ``key``, ``(H,)``, got ``excess`` [MeV] above threshold each."""
        taken = segment_sum(torch.stack([torch.ones_like(excess), excess], dim=1), key, len(self.number))
        return LeftOver(self.number - taken[:, 0], self.excess - taken[:, 1])


def left_before(
    hits: Parents, group: Tensor, step: Tensor, excess: Tensor, shape: tuple[int, int]
) -> LeftOver:
    """What every hit's group has left when it is the hit's turn.

    Args:
        hits: Hit cells.
        group: Their groups, ``(H,)``.
        step: When it is the turn of each, ``(H,)``.
        excess: What they have above threshold [MeV], ``(H,)``.
        shape: Numbers of groups and of steps.
    """
    groups, steps = shape
    columns = torch.stack([torch.ones_like(excess), excess], dim=1)
    own = sums_by_layer(hits, group * steps + step, columns, groups * steps)
    own = own.reshape(len(hits.per_shower), groups, steps, 2)
    left = own.flip(2).cumsum(2).flip(2)[hits.shower, group, step]
    return LeftOver(*left.unbind(1))
