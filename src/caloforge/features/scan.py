"""One pass over a file: its feature table and mean images, block by block."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from caloforge.errors import DataError
from caloforge.features.binning import Binning, derive_binning
from caloforge.features.builder import TableBuilder
from caloforge.features.elsewhere import can_be_opened_elsewhere, parts_from
from caloforge.features.hits import cell_blocks
from caloforge.features.part import ENERGY_QUANTUM, part_of
from caloforge.features.pipeline import pipelined
from caloforge.features.rings import has_rings_only
from caloforge.formats import ShowerReader

if TYPE_CHECKING:
    from concurrent.futures import Executor

    from numpy.typing import NDArray

    from caloforge.features.cells import CellRecorder
    from caloforge.features.kept import KeptBlocks
    from caloforge.features.table import FeatureTable
    from caloforge.geometry import Geometry
    from caloforge.showers import Showers

__all__ = ["ENERGY_QUANTUM", "MeanImages", "Scan", "feature_table", "scan"]


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
    executor: Executor | None = None,
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
        executor: Workers of a cluster, which read and compute in place of threads where ``source`` is a file
            that they can open; ``kept`` is not needed then.

    Raises:
        CaloForgeError: The cluster is lost.
        DataError: There are no showers, or none has energy and ``binning`` is not given.
        GeometryError: The cells belong to another geometry.
    """
    if binning is None:
        binning = derive_binning(source, geometry, offset=offset, start=start, stop=stop)
    count = (len(source) if stop is None else min(stop, len(source))) - start
    if count <= 0:
        raise DataError("There are no showers to compute features of.")
    table, sums = TableBuilder(count), np.zeros(geometry.n_cells)
    if executor is not None and isinstance(source, ShowerReader) and can_be_opened_elsewhere(source):
        end = start + count
        parts = parts_from(
            executor, source, geometry, binning=binning, offset=offset, start=start, stop=end, record=record
        )
    else:
        blocks = cell_blocks(source, geometry, offset=offset, start=start, stop=stop, kept=kept)
        if record is not None:
            blocks = record.recording(blocks)
        work = partial(part_of, geometry=geometry, binning=binning, offset=offset)
        parts = pipelined(blocks, work, threads=threads)
    for part, energies in parts:
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
