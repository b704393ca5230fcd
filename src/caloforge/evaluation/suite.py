"""A whole evaluation: several models against one reference, with floors."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np

from caloforge import __version__
from caloforge.errors import ConfigError, bad, shown
from caloforge.evaluation.baselines import BASELINE, ResampledReader, read_pool
from caloforge.evaluation.checksums import checksums
from caloforge.evaluation.judging import judge
from caloforge.evaluation.loading import Options, load_samples, without_cells
from caloforge.evaluation.memorisation.reading import read_training
from caloforge.evaluation.outcome import Evaluation
from caloforge.evaluation.recut import recut
from caloforge.evaluation.registry import MEMORISATION, comparisons_of, level_named, metrics_of
from caloforge.evaluation.sources import (
    Source,
    check_particles,
    energy_warning,
    geometry_of,
    open_reader,
    open_source,
    select,
    threshold_warning,
)
from caloforge.formats import ShowerReader
from caloforge.formats.joined import JoinedReader
from caloforge.geometry import Geometry, load_geometry
from caloforge.geometry.challenge import cut_geometry
from caloforge.optional import versions
from caloforge.showers import Showers
from caloforge.split import Split, check_part

if TYPE_CHECKING:
    from collections.abc import Mapping
    from concurrent.futures import Executor

    from caloforge.evaluation.loading import Samples
    from caloforge.evaluation.memorisation.training import Training
    from caloforge.evaluation.registry import Comparison, Metric

__all__ = ["Given", "evaluate"]

Given = str | Path | ShowerReader | Showers | Sequence[str | Path]

_logger = logging.getLogger(__name__)


def evaluate(
    reference: Given,
    generated: Mapping[str, Given],
    *,
    metrics: str = "fast",
    geometry: str | Path | Geometry | None = None,
    offset: tuple[float, float] = (0.0, 0.0),
    part: str = "all",
    baseline: str | Path | None = None,
    training: str | Path | None = None,
    count: int | None = None,
    regimes: tuple[float, float] | None = None,
    threshold: float | None = None,
    seed: int = 1,
    device: str = "cpu",
    threads: int | None = None,
    executor: Executor | None = None,
    floors: bool = True,
) -> Evaluation:
    """Compare generated showers with a reference; ``caloforge.report.write_evaluation`` writes it down.

    Args:
        reference: File, open reader, or showers; several files are read as one.
        generated: Models by name, each given like the reference. At most as many showers of each are
            used as the reference has.
        metrics: Level, "quick" (boosted trees alone), "fast", "standard" or "official".
        geometry: Name, file or geometry of the read-out; by default what the reference tells.
        offset: Points are shifted by this before they are projected [mm], in all samples.
        part: Part of the reference: "all", "train", "tune" or "report" (70, 10, 20 %, see ``Split``).
        baseline: File to draw points from for the resampling baseline, which is added as a model;
            only its train part when it is the reference's own file.
        training: File that the models were trained on; its train part is compared with them, which must not
            have showers of the reference: do they copy?
        count: At most so many showers of each file.
        regimes: Cell energies [MeV] between the three regimes of CaloPointFlow's numbers; by default
            half and nine tenths of the reference's cells lie below them.
        threshold: Cut on the cell energy in all samples [MeV]; by default the read-out's own, or that of
            the CaloChallenge's data set whose voxels and energies these are.
        seed: Of all random choices.
        device: Where networks are trained: ``cpu``, ``cuda`` or ``auto``.
        threads: Of reading, and trainings at once on the CPU; by default one a core. Numbers do not
            depend on it.
        executor: Of a cluster, whose workers read files and compute features in place of threads; they must
            share the disk. Numbers do not depend on it. See ``caloforge.cluster``.
        floors: Also compare Geant4 with Geant4; several evaluations with one reference need that once.

    Raises:
        ConfigError: Nothing to compare, an unknown level, part, geometry or device, or no cut.
        DataError: Samples that cannot be compared, or without showers.
        FormatError: A file cannot be read.
        GeometryError: Samples of different geometries.
    """
    check_part(part)
    _check_threshold(threshold)
    options = Options(
        _geometry(geometry),
        offset,
        part,
        count,
        seed,
        level_named(metrics),
        threshold=threshold,
        regimes=regimes,
        device=_checked(device),
        workers=threads,
        training=None if training is None else Path(training),
        executor=executor,
        floors=floors,
    )
    return _evaluation(reference, generated, baseline, options)


def _evaluation(
    reference: Given,
    generated: Mapping[str, Given],
    baseline: str | Path | None,
    options: Options,
) -> Evaluation:
    begin = time.monotonic()
    chosen: tuple[Metric | Comparison, ...]
    own = () if options.training is None else MEMORISATION
    chosen = (*metrics_of(options.level), *own, *comparisons_of(options.level))
    with ExitStack() as stack:
        if any(metric.cells for metric in chosen):
            folder = stack.enter_context(TemporaryDirectory(prefix="caloforge-"))
            options = replace(options, cells=Path(folder))
        with ExitStack() as files:
            sources, geometry = _open(files, reference, generated, baseline, options)
            training = _training(sources[0], options, geometry)
            options = replace(options, geometry=geometry)
            samples = load_samples(sources, options, training=training)
            cuts = [threshold_warning(source, geometry) for source in sources]
        warnings = _warnings(samples, chosen, cuts)
        results = judge(samples)
        reference_data, *models = (without_cells(s) for s in (samples.reference, *samples.generated))
    return Evaluation(
        geometry=samples.frame.geometry,
        binning=samples.frame.binning,
        reference=reference_data,
        generated=tuple(models),
        results=results,
        settings={**_settings(sources, options, samples), "seconds": _since(begin)},
        warnings=warnings,
    )


def _checked(device: str) -> str:
    """The name of a device that is here, before anything is read."""
    if device == "cpu":
        return device  # no need of torch
    from caloforge.devices import find_device

    return str(find_device(device))


def _geometry(given: str | Path | Geometry | None) -> Geometry | None:
    return load_geometry(given) if isinstance(given, (str, Path)) else given


def _check_threshold(threshold: float | None) -> None:
    if threshold is not None and not 0 <= threshold < math.inf:
        expected = "an energy in MeV that is not negative"
        raise ConfigError(bad("the threshold", got=f"{threshold:g}", expected=expected))


def _open(
    stack: ExitStack,
    reference: Given,
    generated: Mapping[str, Given],
    baseline: str | Path | None,
    options: Options,
) -> tuple[list[Source], Geometry]:
    """Open the reference and the models, checked against each other; and the read-out with its cut."""
    if not generated and baseline is None:
        raise ConfigError("There is nothing to compare with the reference: give at least one generated file.")
    first = open_source(
        "reference", reference, geometry=options.geometry, part=options.part, count=options.count
    )
    _close_later(stack, reference, first)
    geometry = geometry_of(first, options.geometry)
    cut = cut_geometry(geometry, first.incident().energy, options.threshold)
    if cut is not geometry:
        _logger.info("cells are cut at %.4g MeV", cut.threshold)
    sources = [first]
    for name, given in generated.items():
        sources.append(open_source(name, given, geometry=geometry, like=first))
        _close_later(stack, given, sources[-1])
    if cut is not geometry:
        sources = [source.recut(geometry, cut) for source in sources]
    if baseline is not None:
        sources.append(_baseline(sources[0], baseline, (geometry, cut), options))
    for source in sources:
        check_particles(sources[0], source, cut)
    return sources, cut


def _close_later(stack: ExitStack, given: Given, source: Source) -> None:
    if not isinstance(given, (ShowerReader, Showers)) and isinstance(source.showers, ShowerReader):
        stack.enter_context(source.showers)


def _baseline(
    first: Source, path: str | Path, geometries: tuple[Geometry, Geometry], options: Options
) -> Source:
    """Points or cells drawn from a file that is opened with the first geometry and compared at the second."""
    if not isinstance(first.showers, ShowerReader) or isinstance(first.showers, JoinedReader):
        raise ConfigError("The resampling baseline needs a reference in one file.")
    same = Path(first.path).resolve() == Path(path).resolve()
    with open_reader(path, geometries[0]) as pool:
        split = Split.of(pool.incident())
        rows = split.rows("train" if same else "all")
        if same and np.isin(first.places, rows).any():
            msg = (
                f"The baseline would draw points from showers of the reference ({path}): "
                "compare with --part report, or give another file to --baseline."
            )
            raise ConfigError(msg)
        source = recut(select(pool, rows), *geometries)
        drawn = read_pool(source, geometries[1])
    reader = ResampledReader(first.showers, drawn, seed=options.seed)
    return Source(BASELINE, reader, first.start, first.stop)


def _training(reference: Source, options: Options, cut: Geometry) -> Training | None:
    """The showers of training, if they were given; the options have a folder for them then."""
    if options.training is None or options.cells is None:
        return None
    return read_training(
        options.training,
        reference,
        options.geometry,
        cut=cut,
        folder=options.cells,
        offset=options.offset,
    )


def _settings(sources: list[Source], options: Options, samples: Samples) -> dict[str, Any]:
    first, geometry = sources[0], samples.frame.geometry
    return {
        "reference": {
            "path": first.path,
            "showers": len(first),
            "first": int(first.places[0]),
            "part": options.part,
            **({} if first.split is None else first.split.facts()),
            "md5": checksums(first, known=samples.frame.challenge is not None),
        },
        **_told(samples.frame.training),
        "generated": {s.name: {"path": s.path, "showers": len(s)} for s in sources[1:]},
        "geometry": {
            "name": geometry.name,
            "data_set": samples.frame.challenge.name if samples.frame.challenge else "",
            "fingerprint": geometry.fingerprint,
            "threshold_mev": geometry.threshold,
            "sampling_fraction": geometry.sampling_fraction,
        },
        "metrics": options.level,
        "offset_mm": list(options.offset),
        "seed": options.seed,
        "device": options.device,
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": {"caloforge": __version__, **versions("numpy", "scipy", "torch")},
    }


def _told(training: Training | None) -> dict[str, Any]:
    return {} if training is None else {"training": {"path": training.path, "showers": len(training)}}


def _warnings(samples: Samples, metrics: tuple[Metric | Comparison, ...], more: list[str]) -> tuple[str, ...]:
    reference = samples.reference.table
    found = [energy_warning(s.name, reference, s.table) for s in samples.generated]
    found += [_size_warning(s.name, min(len(reference), len(s.table)), metrics) for s in samples.generated]
    warnings = tuple(filter(None, [*found, *more]))
    for warning in warnings:
        _logger.warning(warning)
    return warnings


def _size_warning(name: str, count: int, metrics: tuple[Metric | Comparison, ...]) -> str:
    missing = [metric for metric in metrics if count < metric.minimum]
    if not missing:
        return ""
    return (
        f"There are too few showers for {', '.join(metric.name for metric in missing)} of {shown(name)}: "
        f"{count} in the smaller sample, {max(metric.minimum for metric in missing)} are needed."
    )


def _since(begin: float) -> float:
    return round(time.monotonic() - begin, 1)
