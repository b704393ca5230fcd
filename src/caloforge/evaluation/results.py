"""What a metric returns: a value with its error, its floor and everything needed to repeat it."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Better", "Group", "MetricResult", "Value", "excess", "sound"]

Group = Literal[
    "separation",
    "wasserstein",
    "classifier",
    "distance",
    "coverage",
    "memorisation",
    "physics",
    "downstream",
    "cost",
]
"""How a number is read: separation powers; Wasserstein distances; areas under ROC curves; FPD, KPD and
divergences; precision, density, recall and coverage; copies of training showers; quantities of the papers'
figures; networks trained on one sample and used on the other; time, memory and size of the model."""

Better = Literal["lower", "higher", "floor"]
"""Which numbers are better: lower or higher ones, or those nearest to Geant4's own."""


@dataclass(frozen=True)
class Value:
    """One number that a metric computed from one pair of samples.

    Attributes:
        name: Unique over all metrics, such as ``separation.layer_energy``.
        title: For people.
        value: The number, or None when it cannot be had (``note`` says why).
        error: One standard deviation, when it was estimated.
        settings: Bins, windows, networks, per-layer values and the like, as JSON types.
        note: One sentence on how to read this number.
        better: Which numbers are better.
        group: When it is not that of the metric.
    """

    name: str
    title: str
    value: float | None
    error: float | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    note: str = ""
    better: Better = "lower"
    group: Group | None = None


def sound(value: Value) -> Value:
    """The value, whose number and error are finite; without a number it has a note that says why."""
    if value.value is not None and not math.isfinite(value.value):
        value = replace(value, value=None, error=None)
    if value.value is None and not value.note:
        value = replace(value, note="It cannot be computed from these showers.")
    if value.error is not None and not math.isfinite(value.error):
        value = replace(value, error=None)
    return value


@dataclass(frozen=True)
class MetricResult:
    """One number of a comparison with all that is needed to judge and to repeat it.

    Attributes:
        name: As in ``Value``.
        title: For people.
        group: Kind of metric: it decides how the number is read.
        value: The number, or None when it cannot be had (``note`` says why).
        error: One standard deviation.
        floor: The same number for Geant4 against Geant4, at these numbers of showers.
        floor_error: One standard deviation of the floor.
        n_reference: Showers of the reference.
        n_generated: Showers of the model.
        seed: Of all random choices.
        settings: As in ``Value``, and how the floor was made.
        version: Of the metric's definition.
        note: One sentence on how to read this number.
        better: As in ``Value``.
    """

    name: str
    title: str
    group: Group
    value: float | None
    error: float | None
    floor: float | None
    floor_error: float | None
    n_reference: int
    n_generated: int
    seed: int
    settings: Mapping[str, Any]
    version: str
    note: str = ""
    better: Better = "lower"

    @property
    def excess(self) -> float | None:
        """How many errors of both it is worse than its floor; None without a floor or errors."""
        return excess(asdict(self))

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready content."""
        return {**asdict(self), "settings": dict(self.settings)}


def excess(number: Mapping[str, Any]) -> float | None:
    """How many errors of both a number of ``metrics.json`` is worse than its floor.

    >>> excess({"value": 0.7, "error": 0.03, "floor": 0.5, "floor_error": 0.04, "better": "lower"})
    4.0

    Numbers without a better end count by their distance from the floor. None where there is no number, no
    floor, or no error.
    """
    value, floor = number["value"], number["floor"]
    if value is None or floor is None:
        return None
    error = math.hypot(number["error"] or 0.0, number["floor_error"] or 0.0)
    if error == 0:
        return None
    better = number.get("better", "lower")
    worse = {"lower": value - floor, "higher": floor - value, "floor": abs(value - floor)}[better]
    return round(float(worse / error), 9)
