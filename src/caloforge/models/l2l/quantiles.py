"""Cell energies as normal numbers, hits around 1 and empty cells around -1."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np
import torch
from pydantic import Field

from caloforge import shares
from caloforge.preprocessing.base import Fitted
from caloforge.records import Record

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from caloforge.geometry import Geometry

__all__ = ["QuantileConfig", "Quantiles"]

_NODES = 64
_TOP = 4.5  # widths; beyond it lies one hit of 300 000
_END = 0.92  # of the distance from 1 to 0: where the hits end
_APART = 64.0  # between the logarithms of two groups when all are searched at once
_FEWEST = 10  # hits that a group has for quantiles of its own
_DIGITS = 3  # of a distance [mm]
_LEAST = 1e-6  # of a logarithm between two nodes
_SOFTER = 0.5  # of how far an empty cell is from the next hit, as a hit's energy
_EMPTY = 0.999  # of the threshold: the energy of the empty cell that is next to be hit


class QuantileConfig(Record):
    """How cells are made continuous: hit or not first, then the energy's quantile."""

    kind: Literal["quantiles"] = "quantiles"
    """Tells it from ``noise``."""
    width: float = Field(default=0.35, gt=0, le=0.5)
    """Standard deviation of the hits' numbers around 1, and of the empty cells' around -1: the smaller, the
    wider the gap between them. Its middle, 0, decides."""


class Quantiles(Fitted):
    """Hits are 1 + width n, n being the quantile of their energy, empty cells -1 + width n'.

    n and n' are standard normal, cut where they would come near 0; quantiles are those of the cells of a
    layer that are as far from the axis. There is no edge that a flow has to learn, nothing lies between hits
    and empty cells, the spectrum's peaks are in the quantiles, and no cell is harder than any that was seen
    at its distance.

    Args:
        config: The width.
        geometry: The read-out.
    """

    nodes: Tensor
    layer: Tensor
    group: Tensor
    nothing = 0.0
    """The number of an empty cell that is read out."""
    lowest = 1e-9
    """Of the threshold: energies of empty cells go down to this."""

    def __init__(self, config: QuantileConfig, geometry: Geometry) -> None:
        super().__init__()
        self.width, self.threshold = config.width, max(geometry.threshold, 1e-6)
        self.end = -_END / config.width  # the lowest n of hits, and the highest of empty cells, turned round
        layer = torch.from_numpy(geometry.cell_layer).long()
        group = torch.from_numpy(_groups(geometry)).long()
        self.register_buffer("layer", layer, persistent=False)  # the geometry says both
        self.register_buffer("group", group, persistent=False)
        self.register_buffer("nodes", torch.zeros(int(group.max()) + 1, _NODES))

    def fit(self, dense: Tensor) -> None:
        """Take the quantiles of hits of showers ``(B, n_cells)``."""
        every = self._hits_of(dense)
        for layer in range(int(self.layer[-1]) + 1):
            here = self.layer == layer
            cells, groups = dense[:, here], self.group[here]
            in_layer = _if_enough(self._hits_of(cells), every)
            for group in range(int(groups.min()), int(groups.max()) + 1):
                own = self._hits_of(cells[:, groups == group])
                self.nodes[group] = _quantiles(_if_enough(own, in_layer), self.end)
        self._done()

    def drawn(self, dense: Tensor, rng: torch.Generator) -> Tensor:
        """What flows are to draw: numbers of energies ``(B, n_cells)``, with noise for empty cells."""
        n = shares.normal(dense.shape, rng, device=dense.device)
        empty = self.width * torch.where(n > -self.end, -n, n) - 1
        return torch.where(dense < self.threshold, empty, self.encode(dense))

    def encode(self, energy: Tensor, cells: slice = slice(None)) -> Tensor:
        """Numbers of energies [MeV] of some cells, ``(B, cells)``; 0 of empty cells."""
        self._require_fitted()
        group = self.group[cells]
        apart = _APART * torch.arange(len(self.nodes), dtype=torch.float64, device=energy.device)
        value = self._logarithm(energy).double() + apart[group]
        index = torch.searchsorted((self.nodes + apart[:, None]).flatten(), value.contiguous(), right=True)
        index = (index - 1 - _NODES * group).clamp(0, _NODES - 2)
        low, high = self.nodes[group, index], self.nodes[group, index + 1]
        share = ((value - apart[group]).float() - low) / (high - low).clamp_min(_LEAST)
        n = self.end + (index + share.clamp(0, 1)) * (_TOP - self.end) / (_NODES - 1)
        return torch.where(energy < self.threshold, self.nothing, 1 + self.width * n)

    def decode(self, value: Tensor, cells: slice = slice(None)) -> Tensor:
        """Energies [MeV] of numbers, ``(B, cells)``; never above the largest of the training.

        Numbers between 0 and the end of the hits are turned round there: none heaps up at the threshold.
        Empty cells are below it in the order of their numbers; mirrored there, they are rather soft hits.
        """
        self._require_fitted()
        n = (value - 1) / self.width
        n = torch.where(n < self.end, 2 * self.end - n, n)
        empty = -_SOFTER * (value + 1) / self.width
        found = self._hits(torch.where(value > 0, n, empty), self.group[cells])
        return torch.where(value > 0, found, _EMPTY * self.threshold**2 / found)

    def _hits(self, n: Tensor, group: Tensor) -> Tensor:
        """Energies [MeV] of hits."""
        place = (n.clamp(self.end, _TOP) - self.end) * (_NODES - 1) / (_TOP - self.end)
        index = place.long().clamp(max=_NODES - 2)
        low, high = self.nodes[group, index], self.nodes[group, index + 1]
        return self.threshold * (low + (place - index) * (high - low)).exp()

    def _hits_of(self, cells: Tensor) -> Tensor:
        """Logarithms of the energies of hits, ``(H,)``."""
        return self._logarithm(cells[cells >= self.threshold])

    def _logarithm(self, energy: Tensor) -> Tensor:
        return (energy.clamp_min(self.threshold) / self.threshold).log()


def _groups(geometry: Geometry) -> NDArray[np.int64]:
    """Numbers of groups of cells of one layer and distance from the axis, ``(n_cells,)``."""
    found, count = [], 0
    for layer in geometry.layers:
        radius = np.hypot(*layer.grid.centres().T)
        _, group = np.unique(radius.round(_DIGITS), return_inverse=True)
        found.append(group + count)
        count += int(group.max()) + 1
    return np.concatenate(found)


def _if_enough(hits: Tensor, others: Tensor) -> Tensor:
    """Hits, or those of a larger group where these are few."""
    return hits if len(hits) >= _FEWEST else others


def _quantiles(logarithms: Tensor, end: float) -> Tensor:
    """Those of a normal distribution cut at ``end``, at even distances, rising ``(nodes,)``."""
    n = torch.linspace(end, _TOP, _NODES, device=logarithms.device)
    if not len(logarithms):
        return n - end
    below, levels = torch.special.ndtr(n[0]), torch.special.ndtr(n)
    ordered = logarithms.sort().values
    last = len(ordered) - 1
    place = (levels - below) / (1 - below) * last
    index = place.long()
    low, high = ordered[index], ordered[(index + 1).clamp(max=last)]
    found: Tensor = low + (place - index) * (high - low)
    found[-1] = ordered[-1]
    return found + _LEAST * torch.arange(_NODES, device=found.device)
