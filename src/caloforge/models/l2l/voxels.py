"""Cell energies as the flows see them: noise below the threshold, a logarithm, a logit (arXiv:2405.20407)."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal

import torch
from pydantic import Field

from caloforge import shares
from caloforge.preprocessing.base import Fitted
from caloforge.records import Record

if TYPE_CHECKING:
    from torch import Tensor

    from caloforge.geometry import Geometry

__all__ = ["VoxelConfig", "Voxels"]

_LEAST = 1e-3  # MeV, added to the largest energy of a layer
_FLOOR = 1e-7  # of the largest energy, added before the logarithm
_DECADES = 7.0  # between the floor and the largest energy
_EMPTY = 1e-5  # MeV, cells below it are empty


class VoxelConfig(Record):
    """How cells are made continuous, as published."""

    kind: Literal["noise"] = "noise"
    """Tells it from ``quantiles``."""
    filler: float = Field(default=1e-3, ge=0, le=1e6)
    """Median energy [MeV] of the log-normal noise that empty cells are filled with; never above threshold."""
    filler_width: float = Field(default=0.2, ge=0, le=10)
    """Its width [powers of ten]."""
    noise: float = Field(default=1e-3, ge=0, le=1e6)
    """Largest energy [MeV] of the uniform noise that is added to all cells; never above threshold."""
    alpha: float = Field(default=0.01, gt=0, lt=0.5)
    """The logit is that of alpha + (1 - 2 alpha) u."""


class Voxels(Fitted):
    """Energies [MeV] to numbers of order one and back.

    u = 1 + log10(e / (largest + 1 keV) + 1e-7) / 7 with the largest energy of the cell's layer in the
    training showers, e / ... clamped to [0, 1]; then logit(alpha + (1 - 2 alpha) u).

    Args:
        config: Noise and logit.
        geometry: The read-out.
    """

    largest: Tensor
    layer: Tensor
    lowest = 0.5
    """Of the threshold: energies below tell nothing about cells."""

    def __init__(self, config: VoxelConfig, geometry: Geometry) -> None:
        super().__init__()
        self.config, self.threshold = config, geometry.threshold
        self.register_buffer("largest", torch.ones(geometry.n_layers))
        layer = torch.from_numpy(geometry.cell_layer).long()
        self.register_buffer("layer", layer, persistent=False)  # the geometry says it

    def fit(self, dense: Tensor) -> None:
        """Take the largest energy of every layer of showers ``(B, n_cells)``."""
        most = dense.max(0).values
        self.largest.zero_().scatter_reduce_(0, self.layer, most, "amax")
        self._done()

    def noisy(self, dense: Tensor, rng: torch.Generator) -> Tensor:
        """Energies ``(B, n_cells)`` with noise on all, and noise below threshold in empty cells."""
        uniform = shares.uniform(dense.shape, rng, device=dense.device)
        filler = shares.normal(dense.shape, rng, device=dense.device)
        filled = self.config.filler * 10 ** (self.config.filler_width * filler)
        added = uniform * min(self.config.noise, self.threshold)
        return torch.where(dense < _EMPTY, filled.clamp(max=self.threshold), dense) + added

    def drawn(self, dense: Tensor, rng: torch.Generator) -> Tensor:
        """What flows are to draw: numbers of energies ``(B, n_cells)`` with noise."""
        return self.encode(self.noisy(dense, rng))

    @property
    def nothing(self) -> float:
        """The number of an empty cell that is read out."""
        return math.log(self.config.alpha / (1 - self.config.alpha))

    def encode(self, energy: Tensor, cells: slice = slice(None)) -> Tensor:
        """Numbers of energies [MeV] of some cells, ``(B, cells)``."""
        self._require_fitted()
        share = (energy / self._unit(cells)).clamp(0, 1)
        unit = 1 + (share + _FLOOR).log10() / _DECADES
        alpha = self.config.alpha
        return torch.logit(alpha + (1 - 2 * alpha) * unit.clamp(0, 1))

    def decode(self, value: Tensor, cells: slice = slice(None)) -> Tensor:
        """Energies [MeV] of numbers, ``(B, cells)``; never above the largest of the training."""
        self._require_fitted()
        alpha = self.config.alpha
        unit = ((torch.sigmoid(value) - alpha) / (1 - 2 * alpha)).clamp(0, 1)
        share = 10 ** (_DECADES * (unit - 1)) - _FLOOR
        return share.clamp(0, 1) * self._unit(cells)

    def _unit(self, cells: slice) -> Tensor:
        return self.largest[self.layer[cells]] + _LEAST
