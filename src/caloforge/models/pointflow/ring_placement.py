"""Hits of rings to cells: distinct cells of every ring, whole blocks of showers at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import torch
from torch import nn

from caloforge.nn.sets import count_rows, same_size

if TYPE_CHECKING:
    from torch import Tensor

    from caloforge.geometry.rings import Rings
    from caloforge.models.base import Noise

__all__ = ["RingPlacement", "Surplus", "merge_cells"]

Surplus = Literal["add", "move"]


@dataclass(frozen=True)
class _Groups:
    """Points of one shower and ring, next to each other.

    Attributes:
        order: Points sorted by group, ``(M,)``.
        point: Group of every sorted point, ``(M,)``.
        rank: Number of every sorted point inside of its group, ``(M,)``.
        key: shower * rings + ring of every group, rising, ``(G,)``.
        size: Points of every group, ``(G,)``.
    """

    order: Tensor
    point: Tensor
    rank: Tensor
    key: Tensor
    size: Tensor


class RingPlacement(nn.Module):
    """Gives the hits of a ring cells of the ring, each cell as likely, none twice.

    The original loops over showers and rings. Here every (shower, ring) draws a random permutation
    of its cells; the hit of number j gets cell j of it. Hits beyond the number of cells start
    again from the first cell, so that energies add up (``add``, published), or leave for the
    nearest ring of the same layer that has free cells (``move``): the softest of them, so that the
    core keeps its energy.

    Args:
        rings: The rings of the read-out.
        surplus: What happens to hits beyond a ring's number of cells.
    """

    size: Tensor
    cells: Tensor

    def __init__(self, rings: Rings, surplus: Surplus) -> None:
        super().__init__()
        self.surplus = surplus
        self.n_cells = len(rings.ring)
        self.per_layer = rings.per_layer
        for name in ("size", "cells"):
            self.register_buffer(name, torch.from_numpy(getattr(rings, name)), persistent=False)

    def forward(self, shower: Tensor, ring: Tensor, energy: Tensor, showers: int, noise: Noise) -> Tensor:
        """A cell for every hit, ``(M,)``.

        Args:
            shower: Shower of every hit, rising, ``(M,)``.
            ring: Ring of every hit, ``(M,)``.
            energy: Energy of every hit, ``(M,)``.
            showers: Number of showers.
            noise: Where the permutations come from (sub-stream ``placement``).
        """
        if self.surplus == "move":
            order = energy.argsort(descending=True, stable=True)
            ring = ring.index_copy(0, order, self._moved(shower[order], ring[order], showers))
        groups = self._groups(shower, ring)
        rings = groups.key % len(self.size)
        per_shower = count_rows(groups.key // len(self.size), showers)
        keys = noise.uniform("placement", per_shower, self.cells.shape[1])
        same_size(keys.shape[0], rings.shape[0])
        missing = self.cells[rings] < 0
        permutation = keys.masked_fill(missing, 2.0).argsort(dim=1)
        place = permutation[groups.point, groups.rank % self.size[rings][groups.point]]
        cell = torch.empty_like(ring)
        cell[groups.order] = self.cells[rings[groups.point], place]
        return cell

    def _groups(self, shower: Tensor, ring: Tensor) -> _Groups:
        key = shower * len(self.size) + ring
        order = key.argsort(stable=True)
        found, point, size = torch.unique_consecutive(key[order], return_inverse=True, return_counts=True)
        rank = torch.arange(key.shape[0], device=key.device) - (size.cumsum(0) - size)[point]
        return _Groups(order, point, rank, found, size)

    def _moved(self, shower: Tensor, ring: Tensor, showers: int) -> Tensor:
        """Rings of which none has more hits than cells, unless its layer is full; the last hits leave."""
        groups = self._groups(shower, ring)
        capacity = self.size[groups.key % len(self.size)]
        free = self.size.repeat(showers)
        free[groups.key] = (capacity - groups.size).clamp_min(0)
        source = groups.key[groups.point]
        waiting = groups.rank - capacity[groups.point]
        moved, left = torch.zeros_like(ring), waiting >= 0
        for shift in self._shifts():
            if not torch.compiler.is_compiling() and not bool(left.any()):
                break
            gone, taken = self._pass(source, waiting, shift, free)
            gone = gone & left
            free = free.index_add(0, (source + shift).clamp(0, free.shape[0] - 1), -gone.to(free.dtype))
            moved, left, waiting = moved + shift * gone, left & ~gone, waiting - taken
        return ring.index_add(0, groups.order, moved)

    def _shifts(self) -> list[int]:
        """To the nearest ring first, inwards before outwards: inner rings are fuller."""
        return [sign * step for step in range(1, self.per_layer) for sign in (-1, 1)]

    def _pass(self, source: Tensor, waiting: Tensor, shift: int, free: Tensor) -> tuple[Tensor, Tensor]:
        """Which hits the rings ``shift`` further could take, and how many each ring takes."""
        place = source % self.per_layer + shift
        inside = (place >= 0) & (place < self.per_layer)
        room = torch.where(inside, free[(source + shift).clamp(0, free.shape[0] - 1)], 0)
        return waiting < room, room


def merge_cells(
    shower: Tensor, cell: Tensor, energy: Tensor, *, n_cells: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Add up the energies of hits in one cell; sorted by shower and cell.

    Args:
        shower: Shower of every hit, ``(M,)``.
        cell: Cell of every hit, ``(M,)``.
        energy: Energy of every hit, ``(M,)``.
        n_cells: Cells of the read-out.

    Returns:
        Showers, cells and energies, every (shower, cell) once.
    """
    found, place = torch.unique(shower * n_cells + cell, return_inverse=True)
    summed = energy.new_zeros(found.shape[0]).index_add(0, place, energy)
    return found // n_cells, found % n_cells, summed
