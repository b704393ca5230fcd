"""Showers as tensors: the points, or the cells of the read-out, that a model makes and trains on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from typing import Self

    from torch import Tensor

__all__ = ["CellSet", "Cloud"]


@dataclass(frozen=True)
class Cloud:
    """Points in flat (CSR) tensors.

    Attributes:
        counts: Points per shower, ``(B,)`` int64.
        points: x, y [mm], layer (whole numbers), energy [MeV], ``(M, 4)``.
    """

    counts: Tensor
    points: Tensor


@dataclass(frozen=True)
class CellSet:
    """The hit cells of some showers, in flat (CSR) tensors.

    Attributes:
        counts: Cells per shower, ``(B,)`` int64.
        cell: Flat cell indices, rising in every shower, ``(M,)`` int64.
        energy: Energies [MeV], ``(M,)``.
    """

    counts: Tensor
    cell: Tensor
    energy: Tensor

    @property
    def index(self) -> Tensor:
        """The shower of every cell, ``(M,)``."""
        index = torch.arange(len(self.counts), device=self.counts.device)
        return index.repeat_interleave(self.counts, output_size=len(self.cell))  # without waiting for a GPU

    def dense(self, n_cells: int) -> Tensor:
        """Images: the energy of every cell of the read-out [MeV], ``(B, n_cells)``, 0 where nothing is hit.

        ``view(-1, *geometry.dense_shape)`` makes them layers, x, y. Gradients reach ``energy``.
        """
        image = self.energy.new_zeros(len(self.counts) * n_cells)
        return image.index_add(0, self.index * n_cells + self.cell, self.energy).view(-1, n_cells)

    @classmethod
    def from_dense(cls, image: Tensor, threshold: float) -> Self:
        """The cells of images that are hit.

        Args:
            image: Energies [MeV], ``(B, n_cells)`` or of the shape ``(B, *geometry.dense_shape)``.
            threshold: Cells below it, and without energy, are none [MeV].
        """
        flat = image.flatten(1)
        hit = (flat >= threshold) & (flat > 0)
        return cls(hit.sum(1), hit.nonzero()[:, 1], flat[hit])

    def to(self, device: torch.device | str) -> Self:
        """Move all tensors."""
        return type(self)(self.counts.to(device), self.cell.to(device), self.energy.to(device))
