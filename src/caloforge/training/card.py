"""What a trained model tells about its making: data, settings, last numbers, learning curves."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from caloforge.formats.simulated import simulated_by

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from caloforge.training.config import TrainConfig
    from caloforge.training.data import TrainingData

__all__ = ["facts_of", "training_card"]

_CURVES = ("loss", "validation_loss", "validation_merit")
_POINTS = 40  # of a curve, about


def facts_of(data: TrainingData, *, seed: int, start: Mapping[str, Any]) -> dict[str, Any]:
    """What a run is made from, beside its configuration; ``start`` says from which weights."""
    return {
        "seed": seed,
        "data": {
            "files": [path.name for path in data.sources],
            "fingerprint": data.fingerprint,
            "showers": len(data),
            "trained_on": data.size("train"),
            "tuned_on": data.size("tune"),
            "reported": data.size("report"),
            **_splits(data),
            "simulated": simulated_by(data.sources),
        },
        "geometry_fingerprint": data.geometry.fingerprint,
        **start,
    }


def _splits(data: TrainingData) -> dict[str, Any]:
    """How the files were split, where that was not by index."""
    files = {path.name: s.facts() for path, s in zip(data.sources, data.splits, strict=True)}
    return {"splits": files} if any(split.permuted for split in data.splits) else {}


def training_card(
    config: TrainConfig,
    log: Iterable[Mapping[str, Any]],
    facts: Mapping[str, Any],
    before: Mapping[str, Any],
    sections: Mapping[str, str] = MappingProxyType({}),
) -> dict[str, Any]:
    """The card of a trained model.

    Args:
        config: How it was trained.
        log: Lines of its log, stage by stage.
        facts: What it is made from.
        before: The card of the model that it started from; of stages that came along, it tells.
        sections: Sections of stages that have not their own name.
    """
    last: dict[str, dict[str, Any]] = {}
    curves: dict[str, dict[str, list[tuple[int, float]]]] = {}
    for line in log:
        stage = line["stage"]
        numbers = {k: v for k, v in line.items() if k != "time" and not isinstance(v, str)}
        last.setdefault(stage, {}).update(numbers)
        for name in filter(_is_curve, numbers):
            curves.setdefault(stage, {}).setdefault(name, []).append((line["step"], line[name]))
    thinned = {s: {n: _thin(points) for n, points in c.items()} for s, c in curves.items()}
    there = {sections.get(stage, stage) for stage in last}
    training = {n: s.model_dump(mode="json") for n, s in config.training.items() if n in there}
    told = {"training": training, "stages": last, "learning_curve": thinned}
    return {**facts, **{k: {**before.get(k, {}), **v} for k, v in told.items()}}


def _is_curve(name: str) -> bool:
    """Losses, those of single turns too, and what rules which weights are kept."""
    return name in _CURVES or name.endswith(".loss")


def _thin(points: list[tuple[int, float]]) -> list[tuple[int, float]]:
    """At most about forty points of a curve, the last one among them."""
    step = -(-len(points) // _POINTS)
    return [(n, round(value, 5)) for n, value in points[::-1][::step][::-1]]
