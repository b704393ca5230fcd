"""Hits of read-out cells as points of a flow: by ring, or by their place in the layer (arXiv:2403.15782)."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import torch

from caloforge import shares
from caloforge.geometry.grids import PolarGrid
from caloforge.geometry.rings import find_rings, uniform_grid
from caloforge.models.pointflow.hit_energy import HitEnergy
from caloforge.models.pointflow.ring_placement import RingPlacement
from caloforge.preprocessing import CDFDequantiser
from caloforge.preprocessing.base import Fitted

if TYPE_CHECKING:
    from torch import Tensor

    from caloforge.geometry import Geometry
    from caloforge.models.base import Noise
    from caloforge.models.pointflow.hit_energy import EnergyScaling
    from caloforge.models.pointflow.ring_placement import Surplus

__all__ = ["CellPoints", "HitPoints", "RingPoints"]

_EDGE = 1e-6  # positions stay inside of (0, 1) by this before their logit


@dataclass(frozen=True)
class SampledHits:
    """Hits that have no cell yet.

    Attributes:
        places: Numbers that tell where they are, ``(M, features - 1)``.
        energy: Energies [MeV], not yet scaled, ``(M,)``.
        shower: Their showers, rising, ``(M,)``.
        showers: Number of showers.
    """

    places: Tensor
    energy: Tensor
    shower: Tensor
    showers: int


class HitPoints(Fitted, ABC):
    """Base: hits to points ``(M, features)`` and back.

    Args:
        geometry: The read-out.
        energy: Scaling of the hits' energies.
    """

    features: ClassVar[int]

    def __init__(self, geometry: Geometry, energy: EnergyScaling) -> None:
        super().__init__()
        self.energy = HitEnergy(energy, geometry.threshold)

    def fit(self, cell: Tensor, energy: Tensor, total: Tensor) -> None:
        """Take what is fitted from hits; arguments as of ``forward``."""
        self.energy.fit(energy, total)
        self._fit_places(cell)
        self._done()

    def forward(self, cell: Tensor, energy: Tensor, total: Tensor, rng: torch.Generator) -> Tensor:
        """Points ``(M, features)``: the place, dequantised, and the energy.

        Args:
            cell: Flat cell indices, ``(M,)``.
            energy: Energies [MeV], ``(M,)``.
            total: Energy sums of the hits' showers [MeV], ``(M,)``.
            rng: Of the dequantisation.
        """
        self._require_fitted()
        uniform = shares.uniform((len(cell), self.features - 1), rng, ragged=True, device=cell.device)
        return torch.cat([self._places(cell, uniform), self.energy(energy, total)[:, None]], dim=1)

    def inverse(self, points: Tensor, shower: Tensor, total: Tensor, noise: Noise) -> tuple[Tensor, Tensor]:
        """Cells ``(M,)`` and energies ``(M,)`` [MeV], not yet scaled to the showers' sums.

        Args:
            points: Generated points, ``(M, features)``.
            shower: Shower of every point, rising, ``(M,)``.
            total: Energy sums [MeV], ``(B,)``.
            noise: Where the choice among equal cells comes from.
        """
        self._require_fitted()
        energy = self.energy.inverse(points[:, -1], total[shower])
        hits = SampledHits(points[:, :-1], energy, shower, total.shape[0])
        return self._cells(hits, noise), energy

    @abstractmethod
    def _fit_places(self, cell: Tensor) -> None:
        """Take what is fitted of the places."""

    @abstractmethod
    def _places(self, cell: Tensor, uniform: Tensor) -> Tensor:
        """Cells to numbers ``(M, features - 1)``."""

    @abstractmethod
    def _cells(self, hits: SampledHits, noise: Noise) -> Tensor:
        """The inverse of ``_places``."""


class RingPoints(HitPoints):
    """Layer, ring and energy (variant II): what the read-out's symmetry makes equal is not modelled.

    Layer and ring are dequantised by their cumulative distributions: to the flow they are normally
    distributed. With ``by_layer`` every layer has a distribution of its rings of its own, so that the
    flow has no more to learn of how wide a layer's shower is on average.

    Args:
        geometry: The read-out; its cells need a symmetry.
        energy: Scaling of the hits' energies.
        by_layer: A table of rings per layer (published: one for all).
        surplus: What happens to hits beyond a ring's number of cells.
    """

    features: ClassVar[int] = 3
    ring: Tensor

    def __init__(
        self, geometry: Geometry, energy: EnergyScaling, *, by_layer: bool, surplus: Surplus
    ) -> None:
        super().__init__(geometry, energy)
        rings = find_rings(geometry)
        self.per_layer = rings.per_layer
        self.by_layer = by_layer
        self.layers = CDFDequantiser((geometry.n_layers,))
        self.rings = CDFDequantiser((self.per_layer,), tables=geometry.n_layers if by_layer else 1)
        self.placement = RingPlacement(rings, surplus)
        self.register_buffer("ring", torch.from_numpy(rings.ring), persistent=False)

    def _fit_places(self, cell: Tensor) -> None:
        layer, ring = self._split(cell)
        self.layers.fit(layer)
        self.rings.fit(ring, self._table(layer))

    def _places(self, cell: Tensor, uniform: Tensor) -> Tensor:
        layer, ring = self._split(cell)
        depth = self.layers(layer, uniform[:, :1])
        return torch.cat([depth, self.rings(ring, uniform[:, 1:], self._table(layer))], dim=1)

    def _cells(self, hits: SampledHits, noise: Noise) -> Tensor:
        layer = self.layers.inverse(hits.places[:, :1])
        ring = self.rings.inverse(hits.places[:, 1:], self._table(layer))
        ring = (layer * self.per_layer + ring)[:, 0]
        cell: Tensor = self.placement(hits.shower, ring, hits.energy, hits.showers, noise)
        return cell

    def _split(self, cell: Tensor) -> tuple[Tensor, Tensor]:
        ring = self.ring[cell][:, None]
        return ring // self.per_layer, ring % self.per_layer

    def _table(self, layer: Tensor) -> Tensor | None:
        return layer[:, 0] if self.by_layer else None


class CellPoints(HitPoints):
    """Layer, two lateral coordinates and energy (variant I): uniform inside of a cell, then a logit.

    The lateral coordinates are those of the grid's own window in (0, 1); polar cells lie at
    (1 + r cos alpha) / 2 and (1 + r sin alpha) / 2 with r in (0, 1), as evenly spaced as they are
    numbered.

    Args:
        geometry: The read-out.
        energy: Scaling of the hits' energies.

    Raises:
        GeometryError: The layers' grids differ.
    """

    features: ClassVar[int] = 4

    def __init__(self, geometry: Geometry, energy: EnergyScaling) -> None:
        super().__init__(geometry, energy)
        grid = uniform_grid(geometry)
        self.polar = isinstance(grid, PolarGrid)
        self.shape = (geometry.n_layers, *grid.shape)

    def _fit_places(self, cell: Tensor) -> None:
        """There is nothing to take."""

    def _places(self, cell: Tensor, uniform: Tensor) -> Tensor:
        _, first, second = self.shape
        numbers = (cell // (first * second), cell // second % first, cell % second)
        shares = [(k + u) / n for k, u, n in zip(numbers, uniform.unbind(1), self.shape, strict=True)]
        if self.polar:
            shares[1:] = _to_square(*shares[1:])
        return torch.logit(torch.stack(shares, dim=1).clamp(_EDGE, 1 - _EDGE))

    def _cells(self, hits: SampledHits, noise: Noise) -> Tensor:  # noqa: ARG002 (no choice is left)
        shares = list(torch.sigmoid(hits.places).unbind(1))
        if self.polar:
            shares[1:] = _from_square(*shares[1:])
        layer, first, second = (
            (share * n).long().clamp(0, n - 1) for share, n in zip(shares, self.shape, strict=True)
        )
        return (layer * self.shape[1] + first) * self.shape[2] + second


def _to_square(alpha: Tensor, radius: Tensor) -> tuple[Tensor, Tensor]:
    angle = 2 * math.pi * alpha
    return (1 + radius * angle.cos()) / 2, (1 + radius * angle.sin()) / 2


def _from_square(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    x, y = 2 * x - 1, 2 * y - 1
    return torch.atan2(y, x) / (2 * math.pi) % 1.0, (x.square() + y.square()).sqrt()
