"""Images whose rings and layers have given numbers of hits and energies."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["Groups", "by_layer", "chosen", "image_of", "measured", "scaled", "shares"]

_TINY = 1e-9
_UNIT = 5.0  # of logarithms that a network is told


@dataclass(frozen=True)
class Groups:
    """What the rings of the layers are to have.

    Attributes:
        ring: Which ring a cell lies in, ``(B, L, x y)``.
        counts: Hits, ``(B, L, R)``.
        excess: Energies above the least of every hit, in any unit, ``(B, L, R)``.
        mean: What a cell has at its distance to the axis, ``(B, 3, L, x y)``: mean and width of the
            logarithm of a hit's energy, and how often it is hit, as a normal number's quantile.
    """

    ring: Tensor
    counts: Tensor
    excess: Tensor
    mean: Tensor

    def told(self) -> Tensor:
        """What a network is told of all of them, ``(B, 2 L R)``: logarithms of hits and energies."""
        return torch.cat([self.counts.log1p(), self.excess.log1p()], dim=1).flatten(1) / _UNIT

    def of_cells(self, capacity: Tensor) -> Tensor:
        """What a cell is told, ``(B, 5, L, x y)``: share of hits and their mean in its group; ``mean``."""
        hit = (self.excess / self.counts.clamp_min(1)).log1p() / _UNIT
        both = torch.stack([self.counts / capacity, hit], dim=1)
        return torch.cat([both.gather(3, self.ring[:, None].expand(-1, 2, -1, -1)), self.mean / _UNIT], dim=1)


def by_layer(image: Tensor) -> Tensor:
    """Images ``(B, x, y, layers)`` layer by layer, ``(B, layers, x y)``."""
    return image.permute(0, 3, 1, 2).flatten(2)


def image_of(layers: Tensor, width: int) -> Tensor:
    """The inverse of ``by_layer``, for ``width`` cells in x."""
    return layers.reshape(*layers.shape[:2], width, -1).permute(0, 2, 3, 1)


def measured(energy: Tensor, ring: Tensor, number: int, least: float) -> tuple[Tensor, Tensor]:
    """Hits, and energies above the least, of the groups of cells, ``(B, L, R)`` each.

    Args:
        energy: Of the cells, ``(B, L, x y)``, 0 or above ``least``.
        ring: Of the cells.
        number: Of rings, R.
        least: Energy of the softest hit.
    """
    hit = (energy > 0).to(energy.dtype)
    return _sums(hit, ring, number), _sums((energy - least).clamp_min(0) * hit, ring, number)


def chosen(chance: Tensor, groups: Groups) -> tuple[Tensor, Tensor]:
    """The cells with the best chances in every group, and by how much ``(B, L, x y)``.

    Args:
        chance: Of the cells, drawn.
        groups: How many are hit.

    Returns:
        Which cells are hit, and their chance above that of the worst one of the group.
    """
    order = chance.argsort(dim=2, descending=True)
    ring = groups.ring.gather(2, order)
    number = groups.counts.shape[2]
    place = torch.nn.functional.one_hot(ring, number).cumsum(2).gather(3, ring[..., None])[..., 0]
    best = place <= groups.counts.gather(2, ring)
    hit = torch.zeros_like(best).scatter(2, order, best)
    worst = chance.new_full(groups.counts.shape, torch.inf)
    worst = worst.scatter_reduce(2, groups.ring, chance.detach().where(hit, torch.inf), "amin")
    return hit, chance - worst.clamp_max(torch.finfo(chance.dtype).max).gather(2, groups.ring)


def shares(logits: Tensor, hit: Tensor, groups: Groups) -> Tensor:
    """Energies ``(B, L, x y)`` relative to that of the hottest cell of the group; 0 of cells without a hit.

    What all cells of a group have in common does not count, and cannot run away.
    """
    lowest = torch.finfo(logits.dtype).min
    best = logits.new_full(groups.counts.shape, lowest)
    best = best.scatter_reduce(2, groups.ring, logits.detach().where(hit, lowest), "amax")
    return (logits - best.gather(2, groups.ring)).where(hit, -torch.inf).exp()


def scaled(excess: Tensor, hit: Tensor, groups: Groups) -> Tensor:
    """Energies ``(B, L, x y)`` above the least, scaled so that the hits of every group sum to its own."""
    found = _sums(excess * hit, groups.ring, groups.counts.shape[2])
    factor = groups.excess / found.clamp_min(_TINY)
    return excess * factor.gather(2, groups.ring)


def _sums(values: Tensor, ring: Tensor, number: int) -> Tensor:
    """Sums over the rings of every layer, ``(B, L, R)``."""
    zero = values.new_zeros(*values.shape[:2], number)
    return zero.scatter_add(2, ring, values)
