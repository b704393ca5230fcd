"""Metrics of all models: values beside floors, comparisons between models, and what models cost."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from caloforge.evaluation.cost import cost_values
from caloforge.evaluation.matching import share_particles
from caloforge.evaluation.pair import Pair
from caloforge.evaluation.registry import MEMORISATION, comparisons_of, metrics_of
from caloforge.evaluation.results import MetricResult, sound

if TYPE_CHECKING:
    from collections.abc import Iterator

    from caloforge.evaluation.floors import Floor
    from caloforge.evaluation.loading import Samples
    from caloforge.evaluation.outcome import SampleData
    from caloforge.evaluation.registry import Comparison, Metric
    from caloforge.evaluation.results import Group, Value

__all__ = ["judge"]

_logger = logging.getLogger(__name__)


def judge(samples: Samples) -> dict[str, tuple[MetricResult, ...]]:
    """All metrics of the frame's level, by the models' names."""
    results = {s.name: list(_metrics(s, samples)) for s in samples.generated}
    for comparison in comparisons_of(samples.frame.level):
        for name, found in _compare(comparison, samples):
            results[name].append(found)
    for sample in samples.generated:
        results[sample.name] += _costs(sample, samples)
    return {name: tuple(found) for name, found in results.items()}


def _metrics(sample: SampleData, samples: Samples) -> Iterator[MetricResult]:
    shared = share_particles(samples.reference.table, sample.table)
    pair = Pair(samples.reference.observed, sample.observed, samples.frame, shared=shared)
    own = () if samples.frame.training is None else MEMORISATION
    for metric in (*metrics_of(samples.frame.level), *own):
        if min(pair.sizes) < metric.minimum:
            yield _too_few(metric, pair)
            continue
        _logger.info("%s: %s", sample.name, metric.name)
        values, made = metric.values(pair), samples.floors
        floors = made.floors(metric, pair.sizes[1], shared=shared) if made else {}
        for note in dict.fromkeys(value.note for value in values if value.value is None):
            _logger.info("%s: %s: %s", sample.name, metric.name, note)
        for value in values:
            yield _result(value, floors.get(value.name), metric.group, metric.version, pair)


def _compare(comparison: Comparison, samples: Samples) -> Iterator[tuple[str, MetricResult]]:
    models = {s.name: s.observed for s in samples.generated}
    pairs = {name: Pair(samples.reference.observed, m, samples.frame) for name, m in models.items()}
    if len(models) < 2:
        return
    if min(min(pair.sizes) for pair in pairs.values()) < comparison.minimum:
        yield from ((name, _too_few(comparison, pair)) for name, pair in pairs.items())
        return
    _logger.info("all models: %s", comparison.name)
    for name, values in comparison.compute(samples.reference.observed, models, samples.frame).items():
        for value in values:
            yield name, _result(sound(value), None, comparison.group, comparison.version, pairs[name])


def _costs(sample: SampleData, samples: Samples) -> Iterator[MetricResult]:
    pair = Pair(samples.reference.observed, sample.observed, samples.frame)
    for value in cost_values(sample.cost):
        yield _result(value, None, "cost", "1", pair)


def _result(value: Value, floor: Floor | None, group: Group, version: str, pair: Pair) -> MetricResult:
    settings = dict(value.settings)
    if floor is not None:
        settings["floor"] = floor.facts
    return MetricResult(
        name=value.name,
        title=value.title,
        group=value.group or group,
        value=value.value,
        error=value.error,
        floor=None if floor is None else floor.value,
        floor_error=None if floor is None else floor.error,
        n_reference=pair.sizes[0],
        n_generated=pair.sizes[1],
        seed=pair.frame.seed,
        settings=settings,
        version=version,
        note=value.note,
        better=value.better,
    )


def _too_few(metric: Metric | Comparison, pair: Pair) -> MetricResult:
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
