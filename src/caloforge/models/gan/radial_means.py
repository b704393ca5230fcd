"""What cells have at a distance to the particle's axis, whatever the others have."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

if TYPE_CHECKING:
    from collections.abc import Iterable

    from torch import Tensor

__all__ = ["RadialMeans"]

# in cells: energies fall steeply where half of a cell lies beside the axis
_EDGES = (
    0.2,
    0.3,
    *(0.05 * k for k in range(7, 21)),
    1.1,
    1.2,
    1.35,
    1.5,
    1.7,
    2.0,
    2.5,
    3.0,
    4.0,
    5.0,
    7.0,
    10.0,
)
_COLUMNS = (0.75, 1.75)  # where the second and the third column of cells begin
_KINDS = len(_COLUMNS) + 1
_CLASSES = tuple(0.1 * 2.0**k for k in range(16))  # MeV
_RAREST = 1e-3  # of how often a cell is hit, and often
_FARTHEST = 5.0  # of a logarithm from zero
_ROWS = 10.0  # of the mean of all layers, as if seen


class RadialMeans(nn.Module):
    """How hits' energies are distributed, and how often cells are hit, by the place beside the axis.

    That is, for the two nearest columns of cells, which one it is and the distance along y, in which the
    axis leans; the distance to the axis for the others. In every layer, for rings of like energy; the
    logarithm of a hit's energy relative to the mean of its ring is taken as normal. Where few cells were
    seen, all layers count.

    Args:
        layers: Of the read-out.
        pitch: Of its cells [mm].
    """

    table: Tensor
    edges: Tensor
    classes: Tensor

    def __init__(self, layers: int, pitch: float) -> None:
        super().__init__()
        self._pitch = pitch
        self.register_buffer("edges", torch.tensor(_EDGES), persistent=False)
        self.register_buffer("classes", torch.tensor(_CLASSES), persistent=False)
        shape = (layers, (len(_CLASSES) + 1) * _KINDS * (len(_EDGES) + 1))
        self.register_buffer("table", torch.zeros(3, *shape))

    def fit(self, blocks: Iterable[tuple[Tensor, tuple[Tensor, Tensor], Tensor]]) -> None:
        """Take the distributions of showers, block by block.

        Args:
            blocks: Energies over the mean of their ring, ``(B, L, x y)``, 0 of cells that are not hit;
                offsets of the cells from the axis along x and y [mm]; energy of their ring in their
                layer [MeV].
        """
        zero = torch.zeros(4, *self.table.shape[1:], dtype=torch.float64)
        number, hits, first, second = sum((self._of_block(*block) for block in blocks), start=zero)
        mean = _means(first, hits)
        # about the mean of its own: a square of a difference is never negative
        spread = (second - 2 * mean * first + mean.square() * hits).clamp_min(0)
        often = _means(hits, number).clamp(_RAREST, 1 - _RAREST)
        self.table.copy_(torch.stack([mean, _means(spread, hits).sqrt(), torch.special.ndtri(often)]))

    def _of_block(self, relative: Tensor, offsets: tuple[Tensor, Tensor], energy: Tensor) -> Tensor:
        """Numbers of cells and of hits, sums of logarithms and of their squares."""
        place, hit = self._place(offsets, energy), relative > 0
        logs = torch.where(hit, relative.double().log().clamp(-_FARTHEST, _FARTHEST), 0.0)
        parts = (torch.ones_like(logs), hit, logs, logs.square())
        return torch.stack([self._sums(values.double(), place) for values in parts])

    def forward(self, offsets: tuple[Tensor, Tensor], energy: Tensor) -> Tensor:
        """Mean and width of a hit's logarithm, quantile of how often it is hit, ``(B, 3, L, x y)``."""
        place = self._place(offsets, energy)
        return torch.stack(
            [values.expand(place.shape[0], -1, -1).gather(2, place) for values in self.table], 1
        )

    def _place(self, offsets: tuple[Tensor, Tensor], energy: Tensor) -> Tensor:
        x, y = (offset.abs() / self._pitch for offset in offsets)
        kind = (x > _COLUMNS[0]).long() + (x > _COLUMNS[1])
        distance = torch.where(kind < len(_COLUMNS), y, torch.hypot(x, y))
        classes = torch.bucketize(energy.float().contiguous(), self.classes)
        return (classes * _KINDS + kind) * (len(self.edges) + 1) + torch.bucketize(distance, self.edges)

    def _sums(self, values: Tensor, place: Tensor) -> Tensor:
        """Sums over the showers and the cells of every class and interval, ``(L, classes intervals)``."""
        zero = values.new_zeros(len(values), *self.table.shape[1:])
        return zero.scatter_add(2, place, values).sum(0)


def _means(sums: Tensor, number: Tensor) -> Tensor:
    """Means of every layer; with few entries towards that of all layers."""
    whole = sums.sum(0) / number.sum(0).clamp_min(1)
    return (sums + _ROWS * whole) / (number + _ROWS)
