"""What cells have in the mean at a distance to the particle's axis."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["RadialMeans"]

_EDGES = (0.2, 0.4, 0.6, 0.8, 1.0, 1.2, 1.4, 1.7, 2.0, 2.5, 3.0, 4.0, 5.0, 7.0, 10.0)  # in cells
_RAREST = 1e-3  # of how often a cell is hit, and often
_SOFTEST = 1e-6  # of a mean above the least
_ROWS = 3.0  # of the layer's mean, as if seen


class RadialMeans(nn.Module):
    """Energy of a hit, and how often a cell is hit, in every layer by the distance to the axis.

    Args:
        layers: Of the read-out.
        pitch: Of its cells [mm].
    """

    table: Tensor
    edges: Tensor

    def __init__(self, layers: int, pitch: float) -> None:
        super().__init__()
        self.register_buffer("edges", torch.tensor(_EDGES) * pitch, persistent=False)
        self.register_buffer("table", torch.zeros(2, layers, len(_EDGES) + 1))

    def fit(self, cells: Tensor, distance: Tensor, least: float) -> None:
        """Take the means of showers.

        Args:
            cells: Energies, ``(B, L, x y)``, 0 or above ``least``.
            distance: Of the cells to the axis [mm], ``(B, L, x y)``.
            least: Energy of the softest hit.
        """
        place = self._place(distance)
        hits, number, energy = (
            self._sums(values.double(), place)
            for values in (cells > 0, torch.ones_like(cells), (cells - least).clamp_min(0))
        )
        often = _with_layer(hits, number).clamp(_RAREST, 1 - _RAREST)
        mean = _with_layer(energy, hits).clamp_min(_SOFTEST)
        self.table.copy_(torch.stack([mean.log(), torch.special.ndtri(often)]))

    def forward(self, distance: Tensor) -> Tensor:
        """Logarithm of a hit's mean energy, quantile of how often it is hit, ``(B, 2, L, x y)``."""
        place = self._place(distance)
        return torch.stack([values.expand(len(place), -1, -1).gather(2, place) for values in self.table], 1)

    def _place(self, distance: Tensor) -> Tensor:
        return torch.bucketize(distance.contiguous(), self.edges)

    def _sums(self, values: Tensor, place: Tensor) -> Tensor:
        """Sums over the showers and the cells of every interval, ``(L, intervals)``."""
        zero = values.new_zeros(len(values), *self.table.shape[1:])
        return zero.scatter_add(2, place, values).sum(0)


def _with_layer(sums: Tensor, number: Tensor) -> Tensor:
    """Means; of intervals with few entries towards that of the layer."""
    layer = sums.sum(1, keepdim=True) / number.sum(1, keepdim=True).clamp_min(1)
    return (sums + _ROWS * layer) / (number + _ROWS)
