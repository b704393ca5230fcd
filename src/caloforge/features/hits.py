"""The hits of a block of showers, read out by a geometry, as the observables need them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from caloforge.errors import ConfigError, DataError
from caloforge.formats.base import BLOCK, ShowerReader
from caloforge.geometry import check_cells, place, project

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from caloforge.geometry import Geometry
    from caloforge.showers import Incident, Showers

__all__ = ["Hits", "cell_blocks", "hits_of", "read_out"]


@dataclass(frozen=True)
class Hits:
    """Cells above threshold of a block of ``B`` showers, ``H`` hits in all.

    Attributes:
        incident: The particles, ``B``.
        shower: Shower of every hit, ``(H,)``.
        layer: Layer of every hit, ``(H,)``.
        position: Cell centres [mm], ``(H, 3)``.
        distance: Distance of the cell centres to the incident axis [mm], ``(H,)``.
        energy: Energies [MeV], ``(H,)``.
    """

    incident: Incident
    shower: NDArray[np.int64]
    layer: NDArray[np.int64]
    position: NDArray[np.float64]
    distance: NDArray[np.float64]
    energy: NDArray[np.float64]


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
            f"those of the geometry {geometry.name!r} by {geometry.sampling_fraction:g}: "
            "name the geometry that the file was written for."
        )
        raise DataError(msg)
    return showers.keep((showers.energy >= geometry.threshold) & (showers.energy > 0))


def cell_blocks(
    source: ShowerReader | Showers,
    geometry: Geometry,
    *,
    offset: tuple[float, float] = (0.0, 0.0),
    start: int = 0,
    stop: int | None = None,
    size: int = BLOCK,
) -> Iterator[Showers]:
    """Stream showers ``start`` to ``stop`` as cells of ``geometry``, see ``read_out``."""
    if isinstance(source, ShowerReader):
        blocks = source.blocks(size, start=start, stop=stop)
    else:
        end = len(source) if stop is None else min(stop, len(source))
        blocks = (source[first : min(first + size, end)] for first in range(start, end, size))
    for block in blocks:
        yield read_out(block, geometry, offset=offset)


def hits_of(cells: Showers, geometry: Geometry, *, offset: tuple[float, float] = (0.0, 0.0)) -> Hits:
    """Positions of the cells and their distances to the axis that starts at ``offset`` on the front face."""
    index = cells.cells if cells.cells is not None else np.empty(0, np.int32)
    position = geometry.cell_positions[index].astype(np.float64)
    return Hits(
        incident=cells.incident,
        shower=cells.shower,
        layer=geometry.cell_layer[index].astype(np.int64),
        position=position,
        distance=_distance(position, cells.incident.direction[cells.shower], offset),
        energy=cells.energy.astype(np.float64),
    )


def _distance(
    position: NDArray[np.float64], direction: NDArray[np.float64], offset: tuple[float, float]
) -> NDArray[np.float64]:
    relative = position - [*offset, 0.0]
    along = np.einsum("hc,hc->h", relative, direction)
    return np.asarray(np.sqrt(np.square(relative - along[:, None] * direction).sum(axis=1)))
