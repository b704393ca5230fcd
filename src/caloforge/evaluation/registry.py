"""The metrics by name: one line each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

from caloforge.errors import ConfigError, did_you_mean
from caloforge.evaluation.classifiers import boosted_metric, network_metric
from caloforge.evaluation.separation import separation_metric
from caloforge.evaluation.wasserstein import wasserstein_metric

if TYPE_CHECKING:
    from collections.abc import Callable

    from caloforge.evaluation.pair import Pair
    from caloforge.evaluation.results import Group, Value

__all__ = ["LEVELS", "METRICS", "Level", "Metric", "metrics_of"]

Level = Literal["fast", "standard"]
LEVELS: tuple[Level, ...] = get_args(Level)


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
        floor_pairs: Pairs of reference samples that the floor is averaged over.
        noise: The value for two samples of one origin goes as (1/n + 1/m) to this power; None: to a
            power between 0 and 1 that must be measured.
    """

    name: str
    group: Group
    compute: Callable[[Pair], list[Value]]
    level: Level
    version: str
    minimum: int
    floor_pairs: int
    noise: float | None


METRICS: tuple[Metric, ...] = (
    Metric("separation", "separation", separation_metric, "fast", "1", 100, 5, None),
    Metric("wasserstein", "wasserstein", wasserstein_metric, "fast", "1", 50, 5, 0.5),
    Metric("boosted", "classifier", boosted_metric, "fast", "1", 200, 1, 0.0),
    Metric("network", "classifier", network_metric, "standard", "1", 200, 1, 0.0),
)


def metrics_of(level: str) -> tuple[Metric, ...]:
    """The metrics of a level and of those before it.

    Raises:
        ConfigError: There is no such level.
    """
    if level not in LEVELS:
        msg = f"Unknown level of metrics {level!r}: {did_you_mean(level, LEVELS)}."
        raise ConfigError(msg)
    reached = LEVELS[: LEVELS.index(level) + 1]
    return tuple(metric for metric in METRICS if metric.level in reached)
