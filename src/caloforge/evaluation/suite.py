"""A whole evaluation: several models against one reference, with floors."""

from __future__ import annotations

import logging
import time
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from caloforge import __version__
from caloforge.errors import ConfigError, OutputError
from caloforge.evaluation.baseline import BASELINE, PointPool, ResampledReader
from caloforge.evaluation.floors import FloorMaker
from caloforge.evaluation.outcome import Evaluation, SampleData, write_metrics
from caloforge.evaluation.pair import Frame, Pair
from caloforge.evaluation.registry import metrics_of
from caloforge.evaluation.results import MetricResult
from caloforge.evaluation.sources import (
    Source,
    check_particles,
    energy_warning,
    geometry_of,
    open_reader,
    open_source,
    part_range,
)
from caloforge.features import FeatureTable, derive_binning, feature_table, read_out, scan
from caloforge.files import filling
from caloforge.formats import ShowerReader
from caloforge.geometry import Geometry, load_geometry
from caloforge.showers import Showers

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from numpy.typing import NDArray

    from caloforge.evaluation.floors import Floor
    from caloforge.evaluation.registry import Metric
    from caloforge.evaluation.results import Value

__all__ = ["Given", "evaluate"]

Given = str | Path | ShowerReader | Showers

_EXAMPLES = (0.15, 0.5, 0.9)
_SPARE_SAMPLES = 5
_logger = logging.getLogger(__name__)


def evaluate(
    reference: Given,
    generated: Mapping[str, Given],
    *,
    out: str | Path | None = None,
    metrics: str = "fast",
    geometry: str | Path | Geometry | None = None,
    offset: tuple[float, float] = (0.0, 0.0),
    part: str = "all",
    baseline: str | Path | None = None,
    count: int | None = None,
    seed: int = 1,
    force: bool = False,
) -> Evaluation:
    """Compare generated showers with a reference.

    Args:
        reference: File, open reader, or showers.
        generated: Models by name: files, open readers, or showers. At most as many showers of each
            are used as the reference has.
        out: Folder for ``metrics.json``, ``report.html`` and ``figures/``; nothing is written when None.
        metrics: Level, "fast" or "standard".
        geometry: Name, file or geometry of the read-out; by default what the reference tells.
        offset: Points are shifted by this before they are projected [mm], in all samples.
        part: Part of the reference: "all", "train", "tune" or "report" (70, 10, 20 % by index).
        baseline: File to draw points from for the resampling baseline, which is added as a model;
            only its train part when it is the reference's own file.
        count: At most so many showers of each sample.
        seed: Of all random choices.
        force: Replace the files of ``out``.

    Raises:
        ConfigError: Nothing to compare, or an unknown level, part or geometry.
        DataError: Samples that cannot be compared, or without showers.
        FormatError: A file cannot be read.
        GeometryError: Samples of different geometries.
        OutputError: ``out`` holds an evaluation and ``force`` is not given.
    """
    options = _Options(_geometry(geometry), offset, part, count, seed)
    if out is None:
        return _evaluation(reference, generated, baseline, options, metrics)
    with _folder(Path(out), force=force) as folder:
        evaluation = _evaluation(reference, generated, baseline, options, metrics)
        _write(evaluation, folder)
    return evaluation


def _evaluation(
    reference: Given,
    generated: Mapping[str, Given],
    baseline: str | Path | None,
    options: _Options,
    level: str,
) -> Evaluation:
    begin, chosen = time.monotonic(), metrics_of(level)
    with ExitStack() as stack:
        sources = _open(stack, reference, generated, baseline, options)
        samples = _load(sources, options)
    warnings = _warnings(samples, chosen)
    results = {s.name: tuple(_results(s, samples, chosen)) for s in samples.generated}
    return Evaluation(
        geometry=samples.frame.geometry,
        binning=samples.frame.binning,
        reference=samples.reference,
        generated=samples.generated,
        results=results,
        settings={**_settings(sources, options, samples), "metrics": level, "seconds": _since(begin)},
        warnings=warnings,
    )


@dataclass(frozen=True)
class _Options:
    geometry: Geometry | None
    offset: tuple[float, float]
    part: str
    count: int | None
    seed: int


@dataclass(frozen=True)
class _Samples:
    frame: Frame
    reference: SampleData
    generated: tuple[SampleData, ...]
    floors: FloorMaker


def _geometry(given: str | Path | Geometry | None) -> Geometry | None:
    return load_geometry(given) if isinstance(given, (str, Path)) else given


@contextmanager
def _folder(out: Path, *, force: bool) -> Iterator[Path]:
    """The folder, made before the work; when that fails and nothing is in it, it goes away again."""
    if (out / "metrics.json").exists() and not force:
        msg = f"{out} holds an evaluation already: choose another folder, or give --force to replace it."
        raise OutputError(msg)
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        msg = f"Cannot create the folder {out}: {error.strerror}."
        raise OutputError(msg) from error
    try:
        yield out
    except BaseException:
        if not any(out.iterdir()):
            out.rmdir()
        raise


def _open(
    stack: ExitStack,
    reference: Given,
    generated: Mapping[str, Given],
    baseline: str | Path | None,
    options: _Options,
) -> list[Source]:
    """Open the reference and the models, checked against each other."""
    if not generated and baseline is None:
        raise ConfigError("There is nothing to compare with the reference: give at least one generated file.")
    first = open_source(
        "reference", reference, geometry=options.geometry, part=options.part, count=options.count
    )
    _close_later(stack, reference, first)
    geometry = geometry_of(first, options.geometry)
    sources = [first]
    for name, given in generated.items():
        sources.append(open_source(name, given, geometry=geometry, count=len(first)))
        _close_later(stack, given, sources[-1])
    if baseline is not None:
        sources.append(_baseline(first, baseline, geometry, options))
    for source in sources:
        check_particles(first, source, geometry)
    return sources


def _close_later(stack: ExitStack, given: Given, source: Source) -> None:
    if isinstance(given, (str, Path)) and isinstance(source.showers, ShowerReader):
        stack.enter_context(source.showers)


def _baseline(first: Source, path: str | Path, geometry: Geometry, options: _Options) -> Source:
    if not isinstance(first.showers, ShowerReader):
        raise ConfigError("The resampling baseline needs a reference in a file.")
    same = Path(first.path).resolve() == Path(path).resolve()
    with open_reader(path, geometry) as pool:
        start, stop = part_range("train" if same else "all", len(pool))
        if same and first.start < stop:
            msg = (
                f"The baseline would draw points from showers of the reference ({path}): "
                "compare with --part report, or give another file to --baseline."
            )
            raise ConfigError(msg)
        points = PointPool.read(pool, geometry, start=start, stop=stop)
    reader = ResampledReader(first.showers, points, seed=options.seed)
    return Source(BASELINE, reader, first.start, first.stop)


def _load(sources: list[Source], options: _Options) -> _Samples:
    first = sources[0]
    geometry = geometry_of(first, options.geometry)
    _logger.info("bins from %d showers of %s", len(first), first.path)
    binning = derive_binning(
        first.showers, geometry, offset=options.offset, start=first.start, stop=first.stop
    )

    energies = np.quantile(first.incident().energy, _EXAMPLES)

    def load(source: Source) -> SampleData:
        _logger.info("features of %d showers: %s", len(source), source.name)
        done = scan(
            source.showers,
            geometry,
            binning=binning,
            offset=options.offset,
            start=source.start,
            stop=source.stop,
        )
        chosen = _nearest(done.table["energy"], energies)
        examples = [read_out(source.read(i, i + 1), geometry, offset=options.offset) for i in chosen]
        return SampleData(source.name, source.path, done.table, done.images, tuple(examples))

    reference, *generated = (load(source) for source in sources)
    frame = Frame(geometry, binning, reference.table, options.seed)
    spare = _spare(first, frame, options, _SPARE_SAMPLES * max(len(s.table) for s in generated))
    return _Samples(frame, reference, tuple(generated), FloorMaker(frame, reference.table, spare))


def _nearest(energies: NDArray[np.float64], wanted: NDArray[np.float64]) -> list[int]:
    """A shower near each wanted energy; different ones even when all showers have one energy."""
    orders = [np.argsort(np.abs(energies - energy), kind="stable") for energy in wanted]
    return [int(order[min(k, len(order) - 1)]) for k, order in enumerate(orders)]


def _spare(first: Source, frame: Frame, options: _Options, wanted: int) -> FeatureTable | None:
    """Features of showers of the reference's file that the comparison does not use."""
    tables: list[FeatureTable] = []
    for start, stop in ((0, first.start), (first.stop, len(first.showers))):
        end = min(stop, start + wanted - sum(len(t) for t in tables))
        if end > start:
            table = feature_table(
                first.showers,
                frame.geometry,
                binning=frame.binning,
                offset=options.offset,
                start=start,
                stop=end,
            )
            tables.append(table)
    return FeatureTable.concatenate(tables) if tables else None


def _results(sample: SampleData, samples: _Samples, metrics: tuple[Metric, ...]) -> Iterator[MetricResult]:
    pair = Pair(samples.reference.table, sample.table, samples.frame)
    for metric in metrics:
        if min(pair.sizes) < metric.minimum:
            yield _too_few(metric, pair)
            continue
        _logger.info("%s: %s", sample.name, metric.name)
        values, floors = metric.compute(pair), samples.floors.floors(metric, pair.sizes[1])
        for value in values:
            yield _result(value, floors.get(value.name), metric, pair)


def _result(value: Value, floor: Floor | None, metric: Metric, pair: Pair) -> MetricResult:
    settings = dict(value.settings)
    if floor is not None:
        settings["floor"] = {"sizes": list(floor.sizes), "factor": floor.factor, "pairs": floor.pairs}
    return MetricResult(
        name=value.name,
        title=value.title,
        group=metric.group,
        value=value.value,
        error=value.error,
        floor=None if floor is None else floor.value,
        floor_error=None if floor is None else floor.error,
        n_reference=pair.sizes[0],
        n_generated=pair.sizes[1],
        seed=pair.frame.seed,
        settings=settings,
        version=metric.version,
        note=value.note,
    )


def _too_few(metric: Metric, pair: Pair) -> MetricResult:
    note = f"Too few showers: {min(pair.sizes)} in the smaller sample, {metric.minimum} are needed."
    return MetricResult(
        name=metric.name,
        title=metric.name,
        group=metric.group,
        value=None,
        error=None,
        floor=None,
        floor_error=None,
        n_reference=pair.sizes[0],
        n_generated=pair.sizes[1],
        seed=pair.frame.seed,
        settings={},
        version=metric.version,
        note=note,
    )


def _settings(sources: list[Source], options: _Options, samples: _Samples) -> dict[str, Any]:
    first, geometry = sources[0], samples.frame.geometry
    return {
        "reference": {
            "path": first.path,
            "showers": len(first),
            "first": first.start,
            "part": options.part,
        },
        "generated": {s.name: {"path": s.path, "showers": len(s)} for s in sources[1:]},
        "geometry": {
            "name": geometry.name,
            "fingerprint": geometry.fingerprint,
            "threshold_mev": geometry.threshold,
            "sampling_fraction": geometry.sampling_fraction,
        },
        "offset_mm": list(options.offset),
        "seed": options.seed,
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": {
            "caloforge": __version__,
            **{name: version(name) for name in ("numpy", "scipy", "scikit-learn", "torch")},
        },
    }


def _warnings(samples: _Samples, metrics: tuple[Metric, ...]) -> tuple[str, ...]:
    reference = samples.reference.table
    found = [energy_warning(s.name, reference, s.table) for s in samples.generated]
    found += [_size_warning(s.name, min(len(reference), len(s.table)), metrics) for s in samples.generated]
    warnings = tuple(filter(None, found))
    for warning in warnings:
        _logger.warning(warning)
    return warnings


def _size_warning(name: str, count: int, metrics: tuple[Metric, ...]) -> str:
    missing = [metric for metric in metrics if count < metric.minimum]
    if not missing:
        return ""
    return (
        f"There are too few showers for {', '.join(metric.name for metric in missing)} of {name!r}: "
        f"{count} in the smaller sample, {max(metric.minimum for metric in missing)} are needed."
    )


def _since(begin: float) -> float:
    return round(time.monotonic() - begin, 1)


def _write(evaluation: Evaluation, folder: Path) -> None:
    from caloforge.report import write_report

    with filling(folder) as part:
        write_metrics(evaluation, part / "metrics.json")
        _logger.info("drawing the report")
        write_report(evaluation, part)
