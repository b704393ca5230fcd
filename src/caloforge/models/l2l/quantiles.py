"""Cell energies as halves of a normal distribution, hits above a gap and empty cells below it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal

import torch
from pydantic import Field

from caloforge.preprocessing.base import Fitted
from caloforge.records import Record

if TYPE_CHECKING:
    from torch import Tensor

    from caloforge.geometry import Geometry

__all__ = ["QuantileConfig", "Quantiles"]

_NODES = 192
_TOP = 4.5  # of a normal distribution; beyond it lies one hit of 150 000
_APART = 64.0  # between the logarithms of two layers when all are searched at once
_LEAST = 1e-6  # of a logarithm between two nodes
_EMPTY = 0.999  # of the threshold: the energy of the empty cell that is next to be hit


class QuantileConfig(Record):
    """How cells are made continuous: hit or not first, then the energy's quantile."""

    kind: Literal["quantiles"] = "quantiles"
    """Tells it from ``noise``."""
    gap: float = Field(default=0.5, ge=0, le=10)
    """Between hits and empty cells; numbers above its middle are hits."""


class Quantiles(Fitted):
    """Hits are gap / 2 + |n|, |n| being their energy's quantile in their layer, empty cells -gap / 2 - |n|.

    n is standard normal: where half of the cells are hit, only the gap is to be learnt. The spectrum's peaks
    are in the quantiles, and soft hits cannot leak below threshold. Numbers inside of the gap are mirrored
    at its end, so that none heaps up at the threshold.

    Args:
        config: The gap.
        geometry: The read-out.
    """

    nodes: Tensor
    layer: Tensor
    nothing = 0.0
    """The number of an empty cell that is read out."""

    def __init__(self, config: QuantileConfig, geometry: Geometry) -> None:
        super().__init__()
        self.edge, self.threshold = config.gap / 2, max(geometry.threshold, 1e-6)
        self.register_buffer("nodes", torch.zeros(geometry.n_layers, _NODES))
        layer = torch.from_numpy(geometry.cell_layer).long()
        self.register_buffer("layer", layer, persistent=False)  # the geometry says it

    def fit(self, dense: Tensor) -> None:
        """Take the quantiles of every layer's hits of showers ``(B, n_cells)``."""
        every = self._logarithm(dense[dense >= self.threshold])
        for number in range(len(self.nodes)):
            cells = dense[:, self.layer == number]
            own = self._logarithm(cells[cells >= self.threshold])
            self.nodes[number] = _quantiles(own if len(own) else every)
        self._done()

    def drawn(self, dense: Tensor, rng: torch.Generator) -> Tensor:
        """What flows are to draw: numbers of energies ``(B, n_cells)``, with noise for empty cells."""
        empty = -torch.randn(dense.shape, generator=rng, device=dense.device).abs() - self.edge
        return torch.where(dense < self.threshold, empty, self.encode(dense))

    def encode(self, energy: Tensor, cells: slice = slice(None)) -> Tensor:
        """Numbers of energies [MeV] of some cells, ``(B, cells)``; 0 of empty cells."""
        self._require_fitted()
        layer = self.layer[cells]
        apart = _APART * torch.arange(len(self.nodes), dtype=torch.float64, device=energy.device)
        value = self._logarithm(energy).double() + apart[layer]
        index = torch.searchsorted((self.nodes + apart[:, None]).flatten(), value.contiguous(), right=True)
        index = (index - 1 - _NODES * layer).clamp(0, _NODES - 2)
        low, high = self.nodes[layer, index], self.nodes[layer, index + 1]
        share = ((value - apart[layer]).float() - low) / (high - low)
        number = self.edge + (index + share.clamp(0, 1)) * _TOP / (_NODES - 1)
        return torch.where(energy < self.threshold, self.nothing, number)

    def decode(self, value: Tensor, cells: slice = slice(None)) -> Tensor:
        """Energies [MeV] of numbers, ``(B, cells)``; never above the largest of the training.

        Those of empty cells are below threshold, in the order of their numbers.
        """
        self._require_fitted()
        layer = self.layer[cells]
        place = (value - self.edge).abs().clamp(max=_TOP) * (_NODES - 1) / _TOP
        index = place.long().clamp(max=_NODES - 2)
        low, high = self.nodes[layer, index], self.nodes[layer, index + 1]
        hit = self.threshold * (low + (place - index) * (high - low)).exp()
        return torch.where(value > 0, hit, _EMPTY * self.threshold * value.exp())

    def _logarithm(self, energy: Tensor) -> Tensor:
        return (energy.clamp_min(self.threshold) / self.threshold).log()


def _quantiles(logarithms: Tensor) -> Tensor:
    """Those of a half normal distribution at even distances, rising ``(nodes,)``; the first is 0."""
    if not len(logarithms):
        return torch.linspace(0, _TOP, _NODES)
    levels = torch.erf(torch.linspace(0, _TOP, _NODES, device=logarithms.device) / math.sqrt(2))
    ordered = torch.cat([logarithms.new_zeros(1), logarithms.sort().values])
    place = levels * (len(ordered) - 1)
    index = place.long().clamp(max=len(ordered) - 2)
    found = ordered[index] + (place - index) * (ordered[index + 1] - ordered[index])
    found[-1] = ordered[-1]
    return found + _LEAST * torch.arange(_NODES, device=found.device)
