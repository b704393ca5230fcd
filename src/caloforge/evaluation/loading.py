"""Samples of an evaluation: one pass over every file, with features, images, examples and cells."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from caloforge.evaluation.floors import FloorMaker
from caloforge.evaluation.outcome import SampleData
from caloforge.evaluation.pair import Frame, Level, Observed
from caloforge.evaluation.papers.gan_kinds import kinds_of
from caloforge.evaluation.physics import worst_showers
from caloforge.evaluation.sources import geometry_of
from caloforge.features import (
    CellRecorder,
    KeptBlocks,
    concatenated,
    derive_binning,
    feature_table,
    read_out,
    scan,
)

if TYPE_CHECKING:
    from concurrent.futures import Executor
    from pathlib import Path

    from caloforge.evaluation.memorisation.training import Training
    from caloforge.evaluation.sources import Source
    from caloforge.features import CellStore, FeatureTable
    from caloforge.geometry import Geometry
    from caloforge.showers import Incident

__all__ = ["Options", "Samples", "load_samples", "without_cells"]

_EXAMPLES = (0.15, 0.5, 0.9)
_SPARE_SAMPLES = 5
_ODD = 3
_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Options:
    """How the files are read.

    Attributes:
        geometry: Read-out, when it is not the reference's own.
        offset: Points are shifted by this before they are projected [mm].
        part: Part of the reference.
        count: At most so many showers of each file.
        seed: Of all random choices.
        level: Of the metrics.
        threshold: Cut on the cell energies [MeV], when it is not that of the read-out.
        cells: Folder for the cells of all samples, when a metric needs them.
        regimes: Cell energies [MeV] between three regimes; by default from the reference.
        device: Where networks are trained.
        workers: Threads that read and compute, and trainings at once.
        training: File that the models were trained on.
        executor: Of a cluster, whose workers read and compute in place of threads.
        floors: Whether floors are wanted, which other showers of the reference's file are read for.
    """

    geometry: Geometry | None
    offset: tuple[float, float]
    part: str
    count: int | None
    seed: int
    level: Level
    threshold: float | None = None
    cells: Path | None = None
    regimes: tuple[float, float] | None = None
    device: str = "cpu"
    workers: int | None = None
    training: Path | None = None
    executor: Executor | None = None
    floors: bool = True


@dataclass(frozen=True)
class Samples:
    """All samples of an evaluation."""

    frame: Frame
    reference: SampleData
    generated: tuple[SampleData, ...]
    floors: FloorMaker | None


def load_samples(sources: list[Source], options: Options, *, training: Training | None = None) -> Samples:
    """Read the reference and the models, each in one pass after that for the bins.

    Args:
        sources: The reference, then the models.
        options: How to read them.
        training: Goes into the frame.
    """
    first = sources[0]
    geometry = geometry_of(first, options.geometry)
    _logger.info("bins from %d showers of %s", len(first), first.path)
    kept = KeptBlocks()
    binning = derive_binning(
        first.showers,
        geometry,
        offset=options.offset,
        start=first.start,
        stop=first.stop,
        regimes=options.regimes,
        keep=kept,
        threads=options.workers,
    )
    wanted = _wanted(first.incident())

    def load(number: int, source: Source) -> SampleData:
        _logger.info("features of %d showers: %s", len(source), source.name)
        record = _recorder(options, f"sample{number}", geometry)
        done = scan(
            source.showers,
            geometry,
            binning=binning,
            offset=options.offset,
            start=source.start,
            stop=source.stop,
            record=record,
            kept=None if number else kept,
            threads=options.workers,
            executor=options.executor,
        )
        chosen = _nearest(source.incident(), wanted)
        *examples, early = (
            read_out(source.read(i, i + 1), geometry, offset=options.offset)
            for i in (*chosen, _earliest(done.table))
        )
        return SampleData(
            source.name,
            source.path,
            done.table,
            done.images,
            tuple(examples),
            early=early,
            cells=None if record is None else record.finish(),
            cost=source.cost,
        )

    reference, *loaded = (load(*numbered) for numbered in enumerate(sources))
    generated = [_with_odd(s, reference, x, options) for s, x in zip(loaded, sources[1:], strict=True)]
    frame = Frame(
        geometry,
        binning,
        reference.table,
        options.seed,
        options.level,
        device=options.device,
        workers=options.workers,
        training=training,
    )
    if not options.floors:
        return Samples(frame, reference, tuple(generated), None)
    spare = _spare(first, frame, options, _SPARE_SAMPLES * max(len(s.table) for s in generated))
    floors = FloorMaker(frame, reference.observed, spare)
    return Samples(frame, reference, tuple(generated), floors)


def _with_odd(sample: SampleData, reference: SampleData, source: Source, options: Options) -> SampleData:
    """The sample with its showers furthest outside of the reference's range, read once more."""
    geometry = geometry_of(source, options.geometry)
    found = worst_showers(reference.table, sample.table, _ODD)
    showers = [source.read(odd.number, odd.number + 1) for odd in found]
    cells = [read_out(shower, geometry, offset=options.offset) for shower in showers]
    return replace(sample, odd=tuple(zip(found, cells, strict=True)))


def without_cells(sample: SampleData) -> SampleData:
    """The sample when its cells, which lie in a temporary folder, go away."""
    return replace(sample, cells=None)


def _recorder(options: Options, name: str, geometry: Geometry) -> CellRecorder | None:
    return None if options.cells is None else CellRecorder(options.cells, name, geometry)


def _nearest(incident: Incident, wanted: Incident) -> list[int]:
    """A shower near each wanted one in energy and direction, of its kind if there is any.

    Different ones even when all showers have one energy.
    """
    chosen: list[int] = []
    for number in range(len(wanted)):
        energy = np.abs(incident.energy / wanted.energy[number] - 1.0)
        aside = np.linalg.norm(incident.direction - wanted.direction[number], axis=1)
        other = incident.pdg != wanted.pdg[number]
        order = np.lexsort((energy + aside, other)).tolist()
        chosen.append(next((row for row in order if row not in chosen), order[0]))
    return chosen


def _wanted(incident: Incident) -> Incident:
    """Particles of the reference of low, middle and high energy."""
    energies = np.quantile(incident.energy, _EXAMPLES)
    return incident[np.array([np.argmin(np.abs(incident.energy - energy)) for energy in energies])]


def _earliest(table: FeatureTable) -> int:
    """The shower of the first kind and the upper half of energies with the largest share in front.

    Charged pions that do not shower have equal shares in all layers.
    """
    own = table["pdg"] == kinds_of(table)[0]
    high = np.flatnonzero(own & (table["energy"] >= np.median(table["energy"][own])))
    return int(high[np.argmax(table["early_share"][high])])


def _spare(first: Source, frame: Frame, options: Options, wanted: int) -> Observed | None:
    """Showers of the reference's file that the comparison does not use."""
    record = _recorder(options, "spare", frame.geometry)
    tables = [
        feature_table(
            showers,
            frame.geometry,
            binning=frame.binning,
            offset=options.offset,
            start=start,
            stop=stop,
            record=record,
            threads=options.workers,
        )
        for showers, start, stop in first.spare(wanted)
    ]
    if not tables:
        return None
    cells: CellStore | None = None if record is None else record.finish()
    spare = Observed(concatenated(tables), cells)
    if first.rows is None:
        return spare
    return spare.select(frame.rng("spare").permutation(len(spare)))  # they came in the order of the file
