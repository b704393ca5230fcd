"""What cells have in a typical shower, by energy, depth along the axis and distance to it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from caloforge.preprocessing.base import Fitted

if TYPE_CHECKING:
    from collections.abc import Iterable

    from torch import Tensor

__all__ = ["Typical"]

_ENERGIES, _DEPTHS, _DISTANCES = 4, 60, 32
_DEEPEST, _FARTHEST = 2.0, 3.5  # of depth along the axis and of the logarithm of the distance
_LOGIT = 8.0  # largest, of a chance
_FEW = 3.0  # hits without which a place is as all places
_NARROWEST = 0.05
_LOWEST = -10.0  # highest normal number where nothing was ever hit


class Typical(Fitted):
    """A table of chances of a hit, and of mean, width and highest of what its energy is as a normal number.

    Between energies it is interpolated; the highest is that of both sides.
    """

    table: Tensor
    energies: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("table", torch.zeros(4, _ENERGIES, _DEPTHS * _DISTANCES))
        self.register_buffer("energies", torch.zeros(2))

    def fit(self, blocks: Iterable[tuple[Tensor, Tensor, Tensor]], span: tuple[float, float]) -> None:
        """Count hits and their energies.

        Args:
            blocks: Normal numbers of hits ``(B, layers, x, y)``, NaN where nothing is hit; places of the
                cells ``(B or 1, layers, x, y, 5)``; energies [MeV], ``(B,)``.
            span: Lowest and highest energy [MeV].
        """
        self.energies.copy_(torch.tensor(span).log())
        sums = torch.zeros(4, *self.table.shape[1:], dtype=torch.float64).flatten(1)
        highest = torch.full_like(sums[0], -torch.inf)
        for number, place, energy in blocks:
            index = (self._knot(energy).round().long() * self.table.shape[2])[:, None] + _index(place)
            hit = ~number.flatten(1).isnan()
            value = number.flatten(1).nan_to_num().double()
            parts = (torch.ones_like(value), hit.double(), value, value.square())
            for total, part in zip(sums, parts, strict=True):
                total.index_add_(0, index.flatten(), part.flatten())
            highest.scatter_reduce_(0, index.flatten(), torch.where(hit, value, -torch.inf).flatten(), "amax")
        cells, hits, first, second = sums
        mean = first / (hits + _FEW)
        variance = (second + _FEW) / (hits + _FEW) - mean.square()
        chance = ((hits + 1e-3) / (cells + 1)).clamp(max=1 - 1e-4).logit().clamp(-_LOGIT, _LOGIT)
        width = variance.clamp_min(_NARROWEST**2).sqrt()
        highest = highest.clamp_min(_LOWEST)
        self.table.copy_(torch.stack([chance, mean, width, highest]).view_as(self.table))
        self._done()

    def forward(self, places: Tensor, energy: Tensor) -> Tensor:
        """Chances (logits), means, widths and highest numbers ``(4, B, layers, x, y)``.

        Args:
            places: Of the cells, ``(B, layers, x, y, 5)``, or one of all showers.
            energy: Incident energies [MeV], ``(B,)``.
        """
        knot = self._knot(energy)
        low = knot.floor().clamp(max=_ENERGIES - 2).long()
        share = (knot - low)[:, None]
        rows = [torch.lerp(part[low], part[low + 1], share) for part in self.table[:3]]
        rows.append(torch.maximum(self.table[3, low], self.table[3, low + 1]))
        index = _index(places).expand(len(energy), -1)
        found = torch.stack([row.gather(1, index) for row in rows])
        return found.reshape(4, len(energy), *places.shape[1:4])

    def _knot(self, energy: Tensor) -> Tensor:
        """Where energies lie between the knots of the table, ``(B,)``."""
        low, high = self.energies
        place: Tensor = (energy.float().log() - low) / (high - low).clamp_min(1e-6)
        return place.clamp(0, 1) * (_ENERGIES - 1)


def _index(places: Tensor) -> Tensor:
    """Entries of the table ``(B, cells)`` for places ``(B, layers, x, y, 5)``."""
    depth = (places[..., 1] * (_DEPTHS / _DEEPEST)).long().clamp(0, _DEPTHS - 1)
    distance = (places[..., 2] * (_DISTANCES / _FARTHEST)).long().clamp(0, _DISTANCES - 1)
    return (depth * _DISTANCES + distance).flatten(1)
