"""The metrics by name: one line each."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any

from caloforge.errors import ConfigError, did_you_mean, shown
from caloforge.evaluation.classify.folded import boosted_metric
from caloforge.evaluation.coverage import coverage_metric
from caloforge.evaluation.frechet import frechet_metric
from caloforge.evaluation.kernel import kernel_metric
from caloforge.evaluation.memorisation import copy_metric, repeat_metric
from caloforge.evaluation.pair import LEVELS
from caloforge.evaluation.papers import (
    angle_metric,
    bin_metric,
    energy_metric,
    gan_shape_metric,
    hit_pattern_metric,
    kind_metric,
    layer_correlation_metric,
    mip_metric,
    profile_metric,
    rare_metric,
    regime_metric,
)
from caloforge.evaluation.physics import (
    border_metric,
    broken_metric,
    hit_texture_metric,
    layer_metric,
    response_metric,
    shape_metric,
)
from caloforge.evaluation.results import sound
from caloforge.evaluation.separation import separation_metric
from caloforge.evaluation.wasserstein import wasserstein_metric

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from caloforge.evaluation.pair import Frame, Level, Observed, Pair
    from caloforge.evaluation.results import Group, Value

__all__ = [
    "COMPARISONS",
    "MEMORISATION",
    "METRICS",
    "Comparison",
    "Metric",
    "comparisons_of",
    "level_named",
    "metrics_of",
]


@dataclass(frozen=True)
class Metric:
    """A registered metric.

    Attributes:
        name: Unique.
        group: Kind of numbers, which decides how they are shown.
        compute: From a pair of samples to one or several values.
        level: The cheapest level that includes it; levels include those before them.
        version: Of the definition: changes when numbers are not comparable any more.
        minimum: Showers that both samples need.
        floor_pairs: Pairs of reference samples that the floor is averaged over; 0 where the reference itself
            stands in the model's place, because other showers of its file may be those of training.
        noise: The value for two samples of one origin goes as (1/n + 1/m) to this power; None: to a
            power between 0 and 1 that must be measured.
        cells: Whether it looks at single cells (``Pair.cells``), not only at features.
    """

    name: str
    group: Group
    compute: Callable[[Pair], list[Value]]
    level: Level
    version: str
    minimum: int
    floor_pairs: int
    noise: float | None
    cells: bool = False

    def values(self, pair: Pair) -> list[Value]:
        """What it computes: finite numbers, or none and the reason."""
        return [sound(value) for value in self.compute(pair)]


@dataclass(frozen=True)
class Comparison:
    """A registered metric that compares several models with each other.

    Attributes:
        name: Unique.
        group: As of ``Metric``.
        compute: From the reference and at least two models by name, to the values of each.
        level: As of ``Metric``.
        version: As of ``Metric``.
        minimum: Showers that all samples need.
        cells: As of ``Metric``.
    """

    name: str
    group: Group
    compute: Callable[[Observed, Mapping[str, Observed], Frame], Mapping[str, list[Value]]]
    level: Level
    version: str
    minimum: int
    cells: bool = False


def _later(module: str, function: str) -> Callable[..., Any]:
    """A function of networks, which is imported, with torch, when it is called."""

    def call(*arguments: Any) -> Any:
        return getattr(import_module(f"caloforge.evaluation.{module}"), function)(*arguments)

    return call


def _network(
    name: str, level: Level, version: str, *, function: str | None = None, cells: bool = False
) -> Metric:
    """A classifier that is a network."""
    compute = _later("classify.metrics", function or f"{name}_metric")
    return Metric(name, "classifier", compute, level, version, 200, 1, 0.0, cells=cells)


METRICS: tuple[Metric, ...] = (
    Metric("separation", "separation", separation_metric, "fast", "1", 100, 5, None),
    Metric("wasserstein", "wasserstein", wasserstein_metric, "fast", "1", 50, 5, 0.5),
    Metric("boosted", "classifier", boosted_metric, "quick", "2", 200, 3, 0.0),
    _network("cloud_mlp", "standard", "1", function="cloud_metric"),
    _network("high", "standard", "1"),
    _network("low", "standard", "1", cells=True),
    _network("low_normed", "standard", "1", cells=True),
    _network("resnet", "standard", "2", cells=True),
    _network("texture", "standard", "1", cells=True),
    _network("pattern", "standard", "1", cells=True),
    _network("conv", "official", "1", cells=True),
    Metric("frechet", "distance", frechet_metric, "standard", "1", 200, 1, 1.0),
    Metric("kernel", "distance", kernel_metric, "standard", "1", 200, 1, 1.0),
    Metric("coverage", "coverage", coverage_metric, "standard", "1", 100, 1, 0.0, cells=True),
    Metric("mip", "physics", mip_metric, "fast", "1", 50, 5, 0.5),
    Metric("linearity", "physics", energy_metric, "fast", "1", 100, 5, 0.5),
    Metric("profiles", "physics", profile_metric, "fast", "1", 50, 5, 0.5),
    Metric("angles", "physics", angle_metric, "fast", "1", 100, 5, 0.5),
    Metric("bins", "physics", bin_metric, "fast", "2", 100, 5, None),
    Metric("gan_shapes", "physics", gan_shape_metric, "fast", "1", 100, 5, 0.5),
    Metric("kinds", "physics", kind_metric, "fast", "1", 100, 5, 0.5),
    Metric("rare", "physics", rare_metric, "fast", "2", 200, 5, 0.5),
    Metric("regimes", "physics", regime_metric, "fast", "1", 50, 5, 0.5),
    Metric("layers", "physics", layer_correlation_metric, "fast", "1", 50, 5, 0.5),
    Metric("hit_patterns", "physics", hit_pattern_metric, "standard", "1", 200, 1, 0.5, cells=True),
    Metric("response", "physics", response_metric, "fast", "1", 100, 5, 0.5),
    Metric("broken", "physics", broken_metric, "fast", "1", 200, 5, 1.0),
    Metric("shapes", "physics", shape_metric, "fast", "1", 100, 5, 0.5),
    Metric("layer_residuals", "physics", layer_metric, "fast", "1", 100, 5, 0.5),
    Metric("hit_texture", "physics", hit_texture_metric, "fast", "1", 100, 5, 0.5),
    Metric("borders", "physics", border_metric, "fast", "1", 100, 5, 0.5),
    Metric(
        "downstream",
        "downstream",
        _later("downstream.metric", "downstream_metric"),
        "standard",
        "1",
        300,
        1,
        0.0,
        cells=True,
    ),
)

MEMORISATION: tuple[Metric, ...] = (
    Metric("copies", "memorisation", copy_metric, "fast", "1", 200, 0, 0.0, cells=True),
    Metric("repeats", "memorisation", repeat_metric, "fast", "1", 200, 0, 0.0, cells=True),
)
"""Those that need the showers of training (``Frame.training``), at all levels."""

COMPARISONS: tuple[Comparison, ...] = (
    Comparison(
        "high_posterior", "classifier", _later("classify.posterior", "high_posterior"), "standard", "1", 200
    ),
    Comparison(
        "low_posterior",
        "classifier",
        _later("classify.posterior", "low_posterior"),
        "standard",
        "1",
        200,
        cells=True,
    ),
    Comparison(
        "resnet_posterior",
        "classifier",
        _later("classify.posterior", "resnet_posterior"),
        "official",
        "1",
        200,
        cells=True,
    ),
)


def metrics_of(level: str) -> tuple[Metric, ...]:
    """The metrics of a level and of those before it.

    Raises:
        ConfigError: There is no such level.
    """
    reached = _reached(level)
    return tuple(metric for metric in METRICS if metric.level in reached)


def comparisons_of(level: str) -> tuple[Comparison, ...]:
    """The comparisons of several models, of a level and of those before it.

    Raises:
        ConfigError: There is no such level.
    """
    reached = _reached(level)
    return tuple(comparison for comparison in COMPARISONS if comparison.level in reached)


def level_named(name: str) -> Level:
    """A level by its name.

    Raises:
        ConfigError: There is no such level.
    """
    for level in LEVELS:
        if level == name:
            return level
    msg = f"Unknown level of metrics {shown(name)}: {did_you_mean(name, LEVELS)}."
    raise ConfigError(msg)


def _reached(name: str) -> tuple[Level, ...]:
    return LEVELS[: LEVELS.index(level_named(name)) + 1]
