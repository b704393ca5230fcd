"""The resampling baseline: the best that a model of independent points can do.

Every shower keeps the number of points and the energy per layer of a real shower, but its points
are drawn independently of each other from real showers of nearly the same energy (reference
section 8.8). A model with conditionally independent points cannot come closer to Geant4 than this.
Showers of cells are resampled cell by cell, see ``cell_baseline``.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

import numpy as np

from caloforge.errors import ConfigError, DataError
from caloforge.evaluation.cell_baseline import CellPool
from caloforge.evaluation.pools import gather, nearest
from caloforge.formats import NativeWriter, ShowerReader
from caloforge.formats.base import BLOCK

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from caloforge.geometry import Geometry
    from caloforge.showers import Incident, Showers

__all__ = ["BASELINE", "NEIGHBOURS", "PointPool", "Pool", "ResampledReader", "read_pool", "write_baseline"]

BASELINE = "resampled points"
NEIGHBOURS = 40


class Pool(Protocol):
    """Real showers to draw from."""

    @property
    def geometry(self) -> Geometry:
        """The read-out."""
        ...

    def inside(self, showers: Showers) -> Showers:
        """The hits that the geometry sees."""
        ...

    def numbers(self, showers: Showers) -> NDArray[np.int64]:
        """How many random numbers each shower needs, ``(B,)``."""
        ...

    def resample(self, showers: Showers, uniform: NDArray[np.float64]) -> Showers:
        """Replace the hits of real showers, of which ``inside`` was taken, by independent ones."""
        ...


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


class ResampledReader(ShowerReader):
    """Reads a file of real showers with their points, or cells, replaced by independent ones.

    Shower i depends on the seed, its own place i in the file, and the pool alone.

    Attributes:
        path: The file of real showers.
        meta: As that of the file.
        geometry: Gives points their layer.
    """

    def __init__(self, source: ShowerReader, pool: Pool, *, seed: int) -> None:
        self.path, self.meta, self.geometry = source.path, source.meta, pool.geometry
        self._source, self._pool, self._seed = source, pool, seed

    def __len__(self) -> int:
        return len(self._source)

    def incident(self) -> Incident:
        """All incident particles of the file."""
        return self._source.incident()

    def read(self, start: int, stop: int) -> Showers:
        """Read showers ``start`` to ``stop`` (exclusive)."""
        real = self._pool.inside(self._source.read(start, stop))
        numbers = self._pool.numbers(real).tolist()
        uniform = [self._stream(start + i).random(n) for i, n in enumerate(numbers)]
        resampled = self._pool.resample(real, np.concatenate([np.empty(0), *uniform]))
        return replace(resampled, extras={})

    def _stream(self, shower: int) -> np.random.Generator:
        return np.random.Generator(np.random.Philox(key=[self._seed, shower]))

    def close(self) -> None:
        """Close the file."""
        self._source.close()


def read_pool(
    source: ShowerReader, geometry: Geometry, *, start: int = 0, stop: int | None = None
) -> PointPool | CellPool:
    """Read showers ``start`` to ``stop`` of a file of points or of cells, to draw from.

    Raises:
        DataError: The file has fewer showers than ``NEIGHBOURS``.
    """
    kind = CellPool if source.read(0, min(1, len(source))).points is None else PointPool
    return kind.read(source, geometry, start=start, stop=stop, neighbours=NEIGHBOURS)


def write_baseline(
    reference: ShowerReader,
    pool: ShowerReader,
    out: Path,
    *,
    geometry: Geometry | None = None,
    reference_range: tuple[int, int | None] = (0, None),
    pool_range: tuple[int, int | None] = (0, None),
    seed: int = 1,
    force: bool = False,
) -> None:
    """Write the baseline of ``reference`` with points drawn from ``pool``, block by block.

    Args:
        reference: Real showers: their energies and numbers of points, or cells, per layer are kept.
        pool: Real showers of the same kind to draw from; they should not be those of ``reference``.
        out: Native file to write.
        geometry: Gives points their layer; by default that of the reference.
        reference_range: First and last + 1 shower of the reference.
        pool_range: First and last + 1 shower of the pool.
        seed: Of the draws.
        force: Replace ``out``.

    Raises:
        ConfigError: No geometry is known.
        DataError: One file has points and the other one cells, or the pool is too small.
        OutputError: ``out`` exists and ``force`` is not given.
    """
    layers = geometry or reference.geometry
    if layers is None:
        raise ConfigError("The reference does not tell its geometry: name it.")
    drawn = read_pool(pool, layers, start=pool_range[0], stop=pool_range[1])
    source = ResampledReader(reference, drawn, seed=seed)
    provenance = {
        "baseline": BASELINE,
        "reference": str(reference.path),
        "pool": str(pool.path),
        "seed": seed,
    }
    with NativeWriter(out, geometry=layers, force=force, provenance=provenance) as writer:
        for block in source.blocks(BLOCK, start=reference_range[0], stop=reference_range[1]):
            writer.append(block)


def _points(showers: Showers) -> NDArray[np.float32]:
    if showers.points is None:
        raise DataError("This baseline needs showers of points, these are cells.")
    return showers.points


def _inside(showers: Showers, geometry: Geometry) -> Showers:
    return showers.keep(geometry.layer_of(_points(showers)[:, 2]) >= 0)
