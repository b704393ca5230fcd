"""What cells have at a distance to the particle's axis, whatever the others have."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["RadialMeans"]

_EDGES = (0.2, 0.4, 0.6, 0.8, 1.0, 1.2, 1.4, 1.7, 2.0, 2.5, 3.0, 4.0, 5.0, 7.0, 10.0)  # in cells
_CLASSES = tuple(0.1 * 2.0**k for k in range(16))  # MeV
_RAREST = 1e-3  # of how often a cell is hit, and often
_FARTHEST = 5.0  # of a logarithm from zero
_ROWS = 3.0  # of the row's mean, as if seen


class RadialMeans(nn.Module):
    """How hits' energies are distributed, and how often cells are hit, by the distance to the axis.

    The logarithm of a hit's energy relative to the mean of its ring is taken as normal: its mean depends
    on the layer, its width on the energy of the ring, for rings with more energy fluctuate less.

    Args:
        layers: Of the read-out.
        pitch: Of its cells [mm].
    """

    table: Tensor
    width: Tensor
    edges: Tensor
    classes: Tensor

    def __init__(self, layers: int, pitch: float) -> None:
        super().__init__()
        self.register_buffer("edges", torch.tensor(_EDGES) * pitch, persistent=False)
        self.register_buffer("classes", torch.tensor(_CLASSES), persistent=False)
        self.register_buffer("table", torch.zeros(2, layers, len(_EDGES) + 1))
        self.register_buffer("width", torch.zeros(len(_CLASSES) + 1, len(_EDGES) + 1))

    def fit(self, relative: Tensor, distance: Tensor, energy: Tensor) -> None:
        """Take the distributions of showers.

        Args:
            relative: Energies over the mean of their ring, ``(B, L, x y)``, 0 of cells that are not hit.
            distance: Of the cells to the axis [mm], ``(B, L, x y)``.
            energy: Of the cells' ring in their layer [MeV], ``(B, L, x y)``.
        """
        place, hit = self._place(distance), relative > 0
        logs = torch.where(hit, relative.double().log().clamp(-_FARTHEST, _FARTHEST), 0.0)
        number, hits, first = (
            self._sums(values.double(), place) for values in (torch.ones_like(logs), hit, logs)
        )
        often = _with_all(hits, number).clamp(_RAREST, 1 - _RAREST)
        self.table.copy_(torch.stack([_with_all(first, hits), torch.special.ndtri(often)]))
        rest = torch.where(hit, logs - self._at(self.table[0], place), 0.0)
        classes = torch.bucketize(energy.float().contiguous(), self.classes) * self.width.shape[1] + place
        squares, hits = (
            torch.zeros(self.width.numel(), dtype=torch.float64).scatter_add(
                0, classes.flatten(), v.flatten()
            )
            for v in (rest.square(), hit.double())
        )
        variance = _with_all(squares.view_as(self.width), hits.view_as(self.width))
        self.width.copy_(variance.sqrt())

    def forward(self, distance: Tensor, energy: Tensor) -> Tensor:
        """Mean and width of a hit's logarithm, quantile of how often it is hit, ``(B, 3, L, x y)``."""
        place = self._place(distance)
        width = self.width[torch.bucketize(energy.float().contiguous(), self.classes), place]
        return torch.stack([self._at(self.table[0], place), width, self._at(self.table[1], place)], 1)

    def _at(self, table: Tensor, place: Tensor) -> Tensor:
        return table.expand(len(place), -1, -1).gather(2, place)

    def _place(self, distance: Tensor) -> Tensor:
        return torch.bucketize(distance.contiguous(), self.edges)

    def _sums(self, values: Tensor, place: Tensor) -> Tensor:
        """Sums over the showers and the cells of every interval, ``(L, intervals)``."""
        zero = values.new_zeros(len(values), *self.table.shape[1:])
        return zero.scatter_add(2, place, values).sum(0)


def _with_all(sums: Tensor, number: Tensor) -> Tensor:
    """Means; of intervals with few entries towards that of the row."""
    row = sums.sum(1, keepdim=True) / number.sum(1, keepdim=True).clamp_min(1)
    return (sums + _ROWS * row) / (number + _ROWS)
