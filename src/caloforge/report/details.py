"""What a reader needs to repeat a number: versions, showers, seeds and settings of every metric."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from caloforge.report.tables import model_results

if TYPE_CHECKING:
    from caloforge.evaluation.outcome import Evaluation
    from caloforge.evaluation.results import MetricResult

__all__ = ["Detail", "details"]

_LONG = 8
_WORDS = 300


@dataclass(frozen=True)
class Detail:
    """One metric.

    Attributes:
        name: Of its value.
        version: Of its definition.
        showers: Of the reference and of the models.
        floor: How the floor was made.
        settings: In a few words; ``metrics.json`` has all.
    """

    name: str
    version: str
    showers: str
    floor: str
    settings: str


def details(evaluation: Evaluation) -> list[Detail]:
    """All metrics, as the first model that has each tells them."""
    found: dict[str, MetricResult] = {}
    for results in model_results(evaluation):
        for name, result in results.items():
            found.setdefault(name, result)
    return [_detail(result) for result in found.values()]


def _detail(result: MetricResult) -> Detail:
    settings = dict(result.settings)
    floor = settings.pop("floor", None)
    return Detail(
        result.name,
        result.version,
        f"{result.n_reference} / {result.n_generated}",
        "" if floor is None else _floor(floor),
        _short(settings),
    )


def _floor(floor: Mapping[str, Any]) -> str:
    sizes = " / ".join(str(size) for size in floor["sizes"])
    pairs = f"{floor['pairs']} pair{'s' if floor['pairs'] > 1 else ''}"
    scaled = "" if floor["factor"] == 1 else f", scaled by {floor['factor']:.3g}"
    return f"{sizes}, {pairs}{scaled}{_particles(floor)}"


def _particles(floor: Mapping[str, Any]) -> str:
    """How near the particles of the two sides are, where they were matched."""
    if floor.get("particles") != "matched":
        return ""
    median, largest = (floor[f"{which}_energy_difference"] for which in ("median", "largest"))
    angles = f", directions to {floor['largest_angle_rad']:.2g} rad" if "largest_angle_rad" in floor else ""
    return f", energies matched to {median:.2%} (largest {largest:.2%}){angles}"


def _short(settings: Mapping[str, Any]) -> str:
    text = ", ".join(f"{key}: {_words(value)}" for key, value in settings.items())
    return text if len(text) <= _WORDS else f"{text[:_WORDS]} …"


def _words(value: Any) -> str:
    if isinstance(value, (list, tuple)) and len(value) > _LONG:
        return f"[{len(value)} entries]"
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key}: {_words(inner)}" for key, inner in value.items()) + "}"
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(_words(inner) for inner in value) + "]"
    return value if isinstance(value, str) else json.dumps(value)
