"""One pass over a file: its feature table and mean images, block by block."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from caloforge.errors import DataError
from caloforge.features.binning import Binning, derive_binning
from caloforge.features.builder import TableBuilder
from caloforge.features.hits import cell_blocks, hits_of
from caloforge.features.observables import observables
from caloforge.features.pipeline import pipelined
from caloforge.features.rings import has_rings_only

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from caloforge.features.cells import CellRecorder
    from caloforge.features.hits import Hits
    from caloforge.features.kept import KeptBlocks
    from caloforge.features.table import FeatureTable
    from caloforge.formats import ShowerReader
    from caloforge.geometry import Geometry
    from caloforge.showers import Showers

__all__ = ["ENERGY_QUANTUM", "MeanImages", "Scan", "feature_table", "scan"]

ENERGY_QUANTUM = 2.0**-16
"""Energies in mean images are multiples of this [MeV], so that images of parts add up exactly."""


@dataclass(frozen=True)
class MeanImages:
    """Sums of the energy over showers, in two projections.

    Attributes:
        lateral: All layers together, over the two axes of ``Binning.lateral`` [MeV].
        depth: First axis of the lateral image (rings: r) against the layer [MeV], ``(k, layers)``.
        count: Showers.
    """

    lateral: NDArray[np.float64]
    depth: NDArray[np.float64]
    count: int

    def __add__(self, other: MeanImages) -> MeanImages:
        """Join two parts of the showers."""
        return MeanImages(self.lateral + other.lateral, self.depth + other.depth, self.count + other.count)


@dataclass(frozen=True)
class Scan:
    """What one pass over a file gives."""

    table: FeatureTable
    images: MeanImages


def scan(
    source: ShowerReader | Showers,
    geometry: Geometry,
    *,
    binning: Binning | None = None,
    offset: tuple[float, float] = (0.0, 0.0),
    start: int = 0,
    stop: int | None = None,
    record: CellRecorder | None = None,
    kept: KeptBlocks | None = None,
    threads: int | None = None,
) -> Scan:
    """Compute the features of showers ``start`` to ``stop``, streaming.

    Args:
        source: An open shower file, or showers.
        geometry: The read-out; points are projected onto it, cells must belong to it.
        binning: Bins shared by a comparison; derived from the source itself when not given.
        offset: Points are shifted by this before they are projected [mm]; the incident axis too.
        start: First shower.
        stop: Behind the last shower; all when None.
        record: Gets the cells too.
        kept: The first of these showers as ``derive_binning`` kept them; they are not read again.
        threads: Of reading and computing; by default one a core. Numbers do not depend on it.

    Raises:
        DataError: There are no showers, or none has energy and ``binning`` is not given.
        GeometryError: The cells belong to another geometry.
    """
    if binning is None:
        binning = derive_binning(source, geometry, offset=offset, start=start, stop=stop)
    count = (len(source) if stop is None else min(stop, len(source))) - start
    if count <= 0:
        raise DataError("There are no showers to compute features of.")
    blocks = cell_blocks(source, geometry, offset=offset, start=start, stop=stop, kept=kept)
    if record is not None:
        blocks = record.recording(blocks)

    def features(block: Showers) -> tuple[FeatureTable, NDArray[np.float64]]:
        hits = hits_of(block, geometry, offset=offset)
        return observables(hits, geometry, binning), _quantised_sums(hits, geometry)

    table, sums = TableBuilder(count), np.zeros(geometry.n_cells)
    for part, energies in pipelined(blocks, features, threads=threads):
        table.append(part)
        sums += energies
    return Scan(table.finish(), _images(sums, geometry, binning, count))


def feature_table(
    source: ShowerReader | Showers,
    geometry: Geometry,
    *,
    binning: Binning | None = None,
    offset: tuple[float, float] = (0.0, 0.0),
    start: int = 0,
    stop: int | None = None,
    record: CellRecorder | None = None,
    threads: int | None = None,
) -> FeatureTable:
    """The observables of showers ``start`` to ``stop``, see ``scan`` and ``FeatureTable``."""
    done = scan(
        source,
        geometry,
        binning=binning,
        offset=offset,
        start=start,
        stop=stop,
        record=record,
        threads=threads,
    )
    return done.table


def _quantised_sums(hits: Hits, geometry: Geometry) -> NDArray[np.float64]:
    """Energy of every cell in units of the quantum: whole numbers, which add up exactly in any order."""
    units = np.rint(hits.energy / ENERGY_QUANTUM)
    return np.asarray(np.bincount(hits.cell, weights=units, minlength=geometry.n_cells), dtype=np.float64)


def _images(units: NDArray[np.float64], geometry: Geometry, binning: Binning, count: int) -> MeanImages:
    first, second = geometry.cell_positions[:, :2].T.astype(np.float64)
    across, edges = first, binning.lateral[0]
    if has_rings_only(geometry):
        first, second = np.arctan2(second, first), np.hypot(first, second)
        across, edges = second, binning.lateral[1]
    layers = np.arange(geometry.n_layers + 1) - 0.5
    lateral = np.histogram2d(first, second, bins=binning.lateral, weights=units)[0]
    depth = np.histogram2d(across, geometry.cell_layer, bins=(edges, layers), weights=units)[0]
    return MeanImages(lateral * ENERGY_QUANTUM, depth * ENERGY_QUANTUM, count)
