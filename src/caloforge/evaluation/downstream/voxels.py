"""Cells joined to images that are small enough for convolutions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from caloforge.geometry import BoxGrid

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from caloforge.features import CellStore
    from caloforge.geometry import Geometry

__all__ = ["Voxels"]

_LAYERS = 48
_LATERAL = 16


@dataclass(frozen=True)
class Voxels:
    """Neighbouring cells joined, so that an image has at most 48 x 16 x 16 voxels.

    Attributes:
        shape: Voxels in depth and along the two axes of the grid (x, y or alpha, r).
        wraps: Whether the second axis is an angle, which closes on itself.
        voxel: The voxel of every cell, ``(n_cells,)``.
    """

    shape: tuple[int, int, int]
    wraps: bool
    voxel: NDArray[np.int64]

    @classmethod
    def of(cls, geometry: Geometry) -> Voxels:
        """Voxels of a uniform geometry."""
        sizes = (geometry.n_layers, *geometry.layers[0].grid.shape)
        joined = [-(-size // most) for size, most in zip(sizes, (_LAYERS, _LATERAL, _LATERAL), strict=True)]
        layers, first, second = (-(-size // by) for size, by in zip(sizes, joined, strict=True))
        places = [axis // by for axis, by in zip(np.indices(sizes), joined, strict=True)]
        voxel = np.ravel_multi_index(tuple(places), (layers, first, second)).ravel()
        wraps = not isinstance(geometry.layers[0].grid, BoxGrid)
        return cls((layers, first, second), wraps, voxel)

    def images(self, store: CellStore, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """Energies of some showers [MeV], ``(b, depth, first, second)``."""
        batch, size = store.batch(rows), int(np.prod(self.shape))
        place = batch.shower * size + self.voxel[batch.cells]
        filled = np.bincount(place, weights=batch.energy, minlength=len(rows) * size)
        return np.asarray(filled, np.float32).reshape(len(rows), *self.shape)
