"""The resampling baseline for files of cells: the best that a model of independent cells can do.

Every shower keeps the number of cells and the energy per layer of a real shower. Which cells these
are is drawn independently of each other, by how often real showers of nearly the same energy hit
them, and each gets the energy that it has in one of these. No cell is drawn twice.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from caloforge.errors import DataError
from caloforge.evaluation.baselines.pools import NEIGHBOURS, gather, nearest
from caloforge.features import read_out
from caloforge.showers import Showers

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from caloforge.formats import ShowerReader
    from caloforge.geometry import Geometry

__all__ = ["CellPool"]

_TABLE = 2_000_000
"""Entries of a table of showers and cells that is made at once."""


@dataclass(frozen=True)
class CellPool:
    """The cells of many real showers, sorted by cell and then by the showers' incident energy.

    Attributes:
        geometry: The read-out.
        incident_energy: Incident energies in rising order [MeV], ``(N,)``.
        key: Cell times N plus the shower's rank, rising, ``(H,)``.
        energy: Energies [MeV], ``(H,)``.
        neighbours: Showers that cells are drawn from.
    """

    geometry: Geometry
    incident_energy: NDArray[np.float64]
    key: NDArray[np.int64]
    energy: NDArray[np.float32]
    neighbours: int

    @classmethod
    def read(
        cls,
        source: ShowerReader,
        geometry: Geometry,
        *,
        start: int = 0,
        stop: int | None = None,
        neighbours: int = NEIGHBOURS,
    ) -> CellPool:
        """Read showers ``start`` to ``stop`` of a file of cells.

        Raises:
            DataError: The file has points, or fewer showers than ``neighbours``.
        """
        blocks = (read_out(block, geometry) for block in source.blocks(start=start, stop=stop))
        showers, energy, rank = gather(blocks, path=source.path, least=neighbours)
        key = _cells(showers).astype(np.int64) * len(energy) + rank
        rows = np.argsort(key, kind="stable")
        return cls(geometry, energy, key[rows], showers.energy[rows], neighbours)

    def inside(self, showers: Showers) -> Showers:
        """The cells that the read-out sees."""
        return read_out(showers, self.geometry)

    def numbers(self, showers: Showers) -> NDArray[np.int64]:
        """How many random numbers each shower needs, ``(B,)``."""
        return np.full(len(showers), 2 * self.geometry.n_cells)

    def resample(self, showers: Showers, uniform: NDArray[np.float64]) -> Showers:
        """Replace the cells of every shower by independent ones.

        Args:
            showers: Real showers: their numbers of cells and energies per layer are kept.
            uniform: Random numbers in [0, 1), as many as ``numbers`` tells.

        Cells that no neighbour has are not drawn: a layer has fewer when there are not enough others.
        """
        chance = uniform.reshape(len(showers), 2, self.geometry.n_cells)
        step = max(_TABLE // self.geometry.n_cells, 1)
        parts = [slice(i, i + step) for i in range(0, len(showers), step)]
        return Showers.concatenate([self._drawn(showers[part], chance[part]) for part in parts])

    def _drawn(self, showers: Showers, chance: NDArray[np.float64]) -> Showers:
        first, count = self._ranges(showers.incident.energy)
        row, cell = np.nonzero(count)
        share = (count[row, cell] / self.neighbours).clip(max=1 - 0.5 / self.neighbours)
        score = np.log(share / (1 - share)) + _logistic(chance[row, 0, cell])
        group = row * self.geometry.n_layers + self.geometry.cell_layer[cell]
        chosen = _largest(score, group, self._layers(showers, None).astype(np.int64))
        row, cell, group = row[chosen], cell[chosen], group[chosen]
        place = first[row, cell] + (chance[row, 1, cell] * count[row, cell]).astype(np.int64)
        energy = self.energy[place].astype(np.float64)
        kept = self._layers(showers, showers.energy)
        now = np.bincount(group, weights=energy, minlength=len(kept))
        scale = np.divide(kept, now, out=np.zeros_like(kept), where=now > 0)
        offsets = np.concatenate([[0], np.cumsum(np.bincount(row, minlength=len(showers)))])
        scaled = (energy * scale[group]).astype(np.float32)
        return replace(showers, offsets=offsets, cells=cell.astype(np.int32), energy=scaled, extras={})

    def _layers(self, showers: Showers, weights: NDArray[np.float32] | None) -> NDArray[np.float64]:
        """Cells or energies of every layer of every shower, ``(B * L,)``."""
        group = showers.shower * self.geometry.n_layers + self.geometry.cell_layer[_cells(showers)]
        size = len(showers) * self.geometry.n_layers
        return np.bincount(group, weights=weights, minlength=size).astype(np.float64)

    def _ranges(self, energy: NDArray[np.float64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """First hit of every cell in the neighbours of every shower, and their number, ``(B, n_cells)``."""
        size = len(self.incident_energy)
        lowest = nearest(self.incident_energy, energy, self.neighbours)
        key = np.arange(self.geometry.n_cells) * size + lowest[:, None]
        first = np.searchsorted(self.key, key)
        return first, np.searchsorted(self.key, key + self.neighbours) - first


def _largest(
    score: NDArray[np.float64], group: NDArray[np.int64], wanted: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Places of the largest scores of every group, as many as wanted, in rising order."""
    order = np.lexsort((-score, group))
    start = np.searchsorted(group[order], np.arange(len(wanted)))
    kept = np.arange(len(order)) - start[group[order]] < wanted[group[order]]
    return np.sort(order[kept])


def _logistic(uniform: NDArray[np.float64]) -> NDArray[np.float64]:
    """Pareto sampling: with this noise the k largest hold each cell about as often as its share tells."""
    inside = uniform.clip(1e-12, 1 - 1e-12)
    return np.asarray(np.log(inside / (1 - inside)))


def _cells(showers: Showers) -> NDArray[np.int32]:
    if showers.cells is None:
        raise DataError("This baseline needs showers of cells, these are points.")
    return showers.cells
