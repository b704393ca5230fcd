"""The resampling baseline: showers whose points, or cells, are drawn independently of each other.

Points are resampled by ``points``, cells by ``cells``.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

import numpy as np

from caloforge.errors import ConfigError
from caloforge.evaluation.baselines.cells import CellPool
from caloforge.evaluation.baselines.points import PointPool
from caloforge.formats import NativeWriter, ShowerReader
from caloforge.formats.base import BLOCK

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from caloforge.geometry import Geometry
    from caloforge.showers import Incident, Showers

__all__ = ["BASELINE", "Pool", "ResampledReader", "read_pool", "write_baseline"]

BASELINE = "resampled points"


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
        DataError: The file has fewer showers than ``pools.NEIGHBOURS``.
    """
    kind = CellPool if source.read(0, min(1, len(source))).points is None else PointPool
    return kind.read(source, geometry, start=start, stop=stop)


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
