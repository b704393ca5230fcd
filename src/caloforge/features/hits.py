"""The hits of a block of showers, read out by a geometry, as the observables need them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from caloforge.errors import ConfigError, DataError, shown
from caloforge.features.bins import clipped_bins
from caloforge.formats.base import BLOCK, ShowerReader
from caloforge.geometry import check_cells, place, project

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from caloforge.features.kept import KeptBlocks
    from caloforge.geometry import Geometry
    from caloforge.showers import Incident, Showers

__all__ = ["Hits", "cell_blocks", "hits_of", "read_out"]


@dataclass(frozen=True)
class Hits:
    """Cells above threshold of a block of ``B`` showers, ``H`` hits in all.

    Attributes:
        geometry: The read-out.
        incident: The particles, ``B``.
        offset: Where their axes start on the front face [mm].
        shower: Shower of every hit, ``(H,)``, never falling.
        cell: Flat cell index of every hit, ``(H,)``.
        energy: Energies [MeV], ``(H,)``.
        precision: Floating-point type of the energies in the file.
    """

    geometry: Geometry
    incident: Incident
    offset: tuple[float, float]
    shower: NDArray[np.int64]
    cell: NDArray[np.int32]
    energy: NDArray[np.float64]
    precision: np.dtype[np.floating]

    @cached_property
    def layer(self) -> NDArray[np.int64]:
        """Layer of every hit, ``(H,)``."""
        return self.geometry.cell_layer[self.cell].astype(np.int64)

    @cached_property
    def position(self) -> NDArray[np.float64]:
        """Cell centres [mm], ``(H, 3)``."""
        return self.geometry.cell_positions[self.cell].astype(np.float64)

    def distance_bins(self, edges: NDArray[np.float64]) -> NDArray[np.intp]:
        """Bins of the distances of the cell centres to the incident axis [mm], ``(H,)``.

        What lies outside of ``edges`` counts in the first or last bin.
        """
        if self._is_straight:
            return clipped_bins(self._cell_distance, edges)[self.cell]
        return clipped_bins(self.distance, edges)

    @cached_property
    def distance(self) -> NDArray[np.float64]:
        """Distances of the cell centres to the incident axis [mm], ``(H,)``."""
        return self._cell_distance[self.cell] if self._is_straight else self._slanted_distance()

    @cached_property
    def _is_straight(self) -> bool:
        return not self.incident.theta.any()

    @cached_property
    def _cell_distance(self) -> NDArray[np.float64]:
        """Of every cell of the geometry, for particles at normal incidence."""
        x, y = self.geometry.cell_positions[:, :2].T.astype(np.float64)
        return np.asarray(np.hypot(x - self.offset[0], y - self.offset[1]))

    def _slanted_distance(self) -> NDArray[np.float64]:
        direction = self.incident.direction[self.shower]
        relative = self.position - [*self.offset, 0.0]
        along = np.einsum("hc,hc->h", relative, direction)
        return np.asarray(np.sqrt(np.square(relative - along[:, None] * direction).sum(axis=1)))


def read_out(showers: Showers, geometry: Geometry, *, offset: tuple[float, float] = (0.0, 0.0)) -> Showers:
    """Cells above the threshold of ``geometry``; points are projected, shifted by ``offset`` [mm] first.

    Raises:
        ConfigError: Cells cannot be shifted.
        DataError: Cells whose energies have another scale than the geometry.
        GeometryError: Cells of another geometry.
    """
    if showers.points is not None:
        moved = showers if offset == (0.0, 0.0) else place(showers, offset=offset)
        return project(moved, geometry)
    if offset != (0.0, 0.0):
        raise ConfigError("These showers are cells, which cannot be shifted: leave the offset out.")
    check_cells(showers, geometry)
    if not np.isclose(showers.meta.sampling_fraction, geometry.sampling_fraction):
        msg = (
            f"The cell energies were divided by a sampling fraction of {showers.meta.sampling_fraction:g}, "
            f"those of the geometry {shown(geometry.name)} by {geometry.sampling_fraction:g}: "
            "name the geometry that the file was written for."
        )
        raise DataError(msg)
    above = (showers.energy >= geometry.threshold) & (showers.energy > 0)
    return showers if above.all() else showers.keep(above)


def cell_blocks(
    source: ShowerReader | Showers,
    geometry: Geometry,
    *,
    offset: tuple[float, float] = (0.0, 0.0),
    start: int = 0,
    stop: int | None = None,
    size: int = BLOCK,
    kept: KeptBlocks | None = None,
) -> Iterator[Showers]:
    """Stream showers ``start`` to ``stop`` as cells of ``geometry``, see ``read_out``.

    Energies are as precise as they are stored. The first showers come from ``kept`` where it has them.
    """
    if kept is not None:
        yield from kept.again()
        start += kept.showers
    if isinstance(source, ShowerReader):
        blocks = source.precisely().blocks(size, start=start, stop=stop)
    else:
        end = len(source) if stop is None else min(stop, len(source))
        blocks = (source[first : min(first + size, end)] for first in range(start, end, size))
    for block in blocks:
        yield read_out(block, geometry, offset=offset)


def hits_of(cells: Showers, geometry: Geometry, *, offset: tuple[float, float] = (0.0, 0.0)) -> Hits:
    """The hits of cells above threshold, for particles that enter at ``offset`` on the front face."""
    return Hits(
        geometry=geometry,
        incident=cells.incident,
        offset=offset,
        shower=cells.shower,
        cell=cells.cells if cells.cells is not None else np.empty(0, np.int32),
        energy=cells.energy.astype(np.float64),
        precision=cells.energy.dtype,
    )
