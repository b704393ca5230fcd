"""The resampling baseline for files of points: the best that a model of independent points can do.

Every shower keeps the number of points and the energy per layer of a real shower, but its points
are drawn independently of each other from real showers of nearly the same energy (reference
section 8.8). A model with conditionally independent points cannot come closer to Geant4 than this.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from caloforge.errors import DataError
from caloforge.evaluation.baselines.pools import NEIGHBOURS, gather, nearest

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from caloforge.formats import ShowerReader
    from caloforge.geometry import Geometry
    from caloforge.showers import Showers

__all__ = ["PointPool"]


@dataclass(frozen=True)
class PointPool:
    """The points of many real showers, sorted by layer and then by the showers' incident energy.

    The points of one layer in showers of neighbouring energies are then one contiguous range.

    Attributes:
        geometry: Gives points their layer.
        incident_energy: Incident energies in rising order [MeV], ``(N,)``.
        starts: First point of (layer, rank), and the end: ``(L * N + 1,)``.
        points: Positions [mm], ``(P, 3)``.
        energy: Energies [MeV], ``(P,)``.
        neighbours: Showers that points are drawn from.
    """

    geometry: Geometry
    incident_energy: NDArray[np.float64]
    starts: NDArray[np.int64]
    points: NDArray[np.float32]
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
    ) -> PointPool:
        """Read showers ``start`` to ``stop`` of a file of points.

        Raises:
            DataError: The file has cells, or fewer showers than ``neighbours``.
        """
        blocks = (_inside(block, geometry) for block in source.blocks(start=start, stop=stop))
        showers, energy, rank = gather(blocks, path=source.path, least=neighbours)
        points = _points(showers)
        key = geometry.layer_of(points[:, 2]) * len(energy) + rank
        rows = np.argsort(key, kind="stable")
        counts = np.bincount(key, minlength=geometry.n_layers * len(energy))
        return cls(
            geometry=geometry,
            incident_energy=energy,
            starts=np.concatenate([[0], np.cumsum(counts)]),
            points=points[rows],
            energy=showers.energy[rows],
            neighbours=neighbours,
        )

    def inside(self, showers: Showers) -> Showers:
        """The points in layers of the geometry."""
        return _inside(showers, self.geometry)

    def numbers(self, showers: Showers) -> NDArray[np.int64]:
        """How many random numbers each shower needs, ``(B,)``: one a point."""
        return showers.n_hits

    def resample(self, showers: Showers, uniform: NDArray[np.float64]) -> Showers:
        """Replace the points of every shower by independent ones.

        Args:
            showers: Real showers: their points and energies per layer are kept.
            uniform: Random numbers in [0, 1), one for each of their points.

        Layers in which no neighbour has a point stay as they are.
        """
        layer = self.geometry.layer_of(_points(showers)[:, 2])
        first, last = self._ranges(showers.incident.energy[showers.shower], layer)
        drawn = np.minimum(first + (uniform * (last - first)).astype(np.int64), len(self.energy) - 1)
        found = last > first
        points = np.where(found[:, None], self.points[drawn], _points(showers))
        energy = np.where(found, self.energy[drawn], showers.energy).astype(np.float64)
        key = showers.shower * self.geometry.n_layers + layer
        kept, now = (np.bincount(key, weights=e).astype(np.float64) for e in (showers.energy, energy))
        scale = np.divide(kept, now, out=np.zeros_like(kept), where=now > 0)
        return replace(showers, points=points, energy=(energy * scale[key]).astype(np.float32))

    def _ranges(
        self, energy: NDArray[np.float64], layer: NDArray[np.int64]
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        key = layer * len(self.incident_energy) + nearest(self.incident_energy, energy, self.neighbours)
        return self.starts[key], self.starts[key + self.neighbours]


def _points(showers: Showers) -> NDArray[np.float32]:
    if showers.points is None:
        raise DataError("This baseline needs showers of points, these are cells.")
    return showers.points


def _inside(showers: Showers, geometry: Geometry) -> Showers:
    return showers.keep(geometry.layer_of(_points(showers)[:, 2]) >= 0)
