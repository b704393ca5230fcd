"""What cells have at a distance to the particle's axis, whatever the others have."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["RadialMeans"]

_EDGES = (0.2, 0.4, 0.6, 0.8, 1.0, 1.2, 1.4, 1.7, 2.0, 2.5, 3.0, 4.0, 5.0, 7.0, 10.0)  # in cells
_RAREST = 1e-3  # of how often a cell is hit, and often
_FARTHEST = 5.0  # of a logarithm from zero
_ROWS = 3.0  # of the layer's mean, as if seen


class RadialMeans(nn.Module):
    """How hits' energies are distributed, and how often cells are hit, by the distance to the axis.

    In every layer; the logarithm of a hit's energy relative to the mean of its ring is taken as normal.

    Args:
        layers: Of the read-out.
        pitch: Of its cells [mm].
    """

    table: Tensor
    edges: Tensor

    def __init__(self, layers: int, pitch: float) -> None:
        super().__init__()
        self.register_buffer("edges", torch.tensor(_EDGES) * pitch, persistent=False)
        self.register_buffer("table", torch.zeros(3, layers, len(_EDGES) + 1))

    def fit(self, relative: Tensor, distance: Tensor) -> None:
        """Take the distributions of showers.

        Args:
            relative: Energies over the mean of their ring, ``(B, L, x y)``, 0 of cells that are not hit.
            distance: Of the cells to the axis [mm], ``(B, L, x y)``.
        """
        place, hit = self._place(distance), relative > 0
        logs = torch.where(hit, relative.double().log().clamp(-_FARTHEST, _FARTHEST), 0.0)
        number, hits, first, second = (
            self._sums(values.double(), place) for values in (torch.ones_like(logs), hit, logs, logs.square())
        )
        mean = _with_layer(first, hits)
        spread = (_with_layer(second, hits) - mean.square()).clamp_min(0).sqrt()
        often = _with_layer(hits, number).clamp(_RAREST, 1 - _RAREST)
        self.table.copy_(torch.stack([mean, spread, torch.special.ndtri(often)]))

    def forward(self, distance: Tensor) -> Tensor:
        """Mean and width of a hit's logarithm, quantile of how often it is hit, ``(B, 3, L, x y)``."""
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
