"""What cells have in a typical shower, by energy, depth along the axis and distance to it."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch

from caloforge.preprocessing.base import Fitted

if TYPE_CHECKING:
    from collections.abc import Iterable

    from torch import Tensor

__all__ = ["Typical", "Usual"]

_ENERGIES, _DEPTHS, _DISTANCES = 4, 60, 32
_DEEPEST, _FARTHEST = 2.0, 3.5  # of depth along the axis and of the logarithm of the distance
_LOGIT = 14.0  # largest, of a chance
_FEW = 3.0  # hits without which a place is as all places
_NARROWEST = 0.05
_LOWEST = -10.0  # highest normal number where nothing was ever hit


class Usual(NamedTuple):
    """What cells have in a typical shower.

    Attributes:
        chance: Of a hit, as a logit.
        mean: Of the normal number that a hit's energy is.
        width: Its standard deviation.
        highest: The largest one.
        energy: The mean energy of a cell, hit or not [MeV].
    """

    chance: Tensor
    mean: Tensor
    width: Tensor
    highest: Tensor
    energy: Tensor


class Typical(Fitted):
    """A table of what cells have in a typical shower.

    Between energies it is interpolated; the highest is that of both sides.
    """

    table: Tensor
    energies: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("table", torch.zeros(5, _ENERGIES, _DEPTHS * _DISTANCES))
        self.register_buffer("energies", torch.zeros(2))

    def fit(self, blocks: Iterable[tuple[Tensor, Tensor, Tensor, Tensor]], span: tuple[float, float]) -> None:
        """Count hits and their energies.

        Args:
            blocks: Cell energies ``(B, layers, x, y)`` [MeV]; normal numbers of hits, of any value where
                nothing is hit; places of the cells ``(B or 1, layers, x, y, 5)``; energies of the particles
                [MeV], ``(B,)``.
            span: Lowest and highest energy [MeV].
        """
        self.energies.copy_(torch.tensor(span).log())
        sums = torch.zeros(5, *self.table.shape[1:], dtype=torch.float64).flatten(1)
        highest = torch.full_like(sums[0], -torch.inf)
        for image, number, place, energy in blocks:
            index = (self._knot(energy).round().long() * self.table.shape[2])[:, None] + _index(place)
            hit = image.flatten(1) > 0
            value = number.flatten(1).double() * hit
            parts = (torch.ones_like(value), hit.double(), value, value.square(), image.flatten(1).double())
            for total, part in zip(sums, parts, strict=True):
                total.index_add_(0, index.flatten(), part.flatten())
            highest.scatter_reduce_(0, index.flatten(), torch.where(hit, value, -torch.inf).flatten(), "amax")
        cells, hits, first, second, energies = sums
        mean = first / (hits + _FEW)
        variance = (second + _FEW) / (hits + _FEW) - mean.square()
        chance = ((hits + 1e-3) / (cells + 1)).clamp(max=1 - 3e-4).logit().clamp(-_LOGIT, _LOGIT)
        width = variance.clamp_min(_NARROWEST**2).sqrt()
        highest = highest.clamp_min(_LOWEST)
        self.table.copy_(
            torch.stack([chance, mean, width, highest, energies / (cells + 1)]).view_as(self.table)
        )
        self._done()

    def forward(self, places: Tensor, energy: Tensor) -> Usual:
        """What the cells ``(B, layers, x, y)`` have.

        Args:
            places: Of the cells, ``(B, layers, x, y, 5)``, or one of all showers.
            energy: Incident energies [MeV], ``(B,)``.
        """
        knot = self._knot(energy)
        low = knot.floor().clamp(max=_ENERGIES - 2).long()
        share = (knot - low)[:, None]
        rows = [torch.lerp(part[low], part[low + 1], share) for part in self.table]
        rows[3] = torch.maximum(self.table[3, low], self.table[3, low + 1])
        index = _index(places).expand(len(energy), -1)
        shape = (len(energy), *places.shape[1:4])
        return Usual(*(row.gather(1, index).view(shape) for row in rows))

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
