"""What the points of a sweep have come to: rows of a table, read from their folders."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from caloforge.errors import TrainingError
from caloforge.sweeps.outcomes import read_outcome
from caloforge.training.stage_folder import StageFolder

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from caloforge.sweeps.outcomes import Verdict
    from caloforge.sweeps.points import Point
    from caloforge.sweeps.record import Sweep

__all__ = ["Judged", "Row", "State", "gather", "judged_by"]

_HOPELESS = 0.99  # areas that say no more than that all points are bad

State = Literal["trained", "failed", "begun", "waiting"]


@dataclass(frozen=True)
class Row:
    """One point.

    Attributes:
        number: In the sweep.
        point: What is varied, and the seed.
        folder: Name of its run folder.
        state: How far it is.
        sentence: Why it failed.
        parameters: That are learnt; 0 while it is not trained.
        steps: Done, by stage.
        losses: The best validation, by stage: the merit, or where there is none the loss.
        wall: Seconds.
        cpu: Seconds of CPU.
        verdict: How it was judged.
    """

    number: int
    point: Point
    folder: str
    state: State
    sentence: str
    parameters: int
    steps: dict[str, int] = field(default_factory=dict)
    losses: dict[str, float] = field(default_factory=dict)
    wall: float = 0.0
    cpu: float = 0.0
    verdict: Verdict | None = None


@dataclass(frozen=True)
class Judged:
    """The number by which points are compared; lower is better.

    Attributes:
        title: What it is.
        values: By the number of the point.
        errors: Standard deviations that the number of showers allows, by the number of the point.
        floor: What Geant4 against Geant4 gives, and its standard deviation.
    """

    title: str
    values: dict[int, float]
    errors: dict[int, float] = field(default_factory=dict)
    floor: tuple[float, float] | None = None


def gather(sweep: Sweep) -> list[Row]:
    """All points, in order.

    Raises:
        TrainingError: The log of one is damaged.
    """
    return [_row(sweep, number) for number in range(len(sweep.points))]


def _row(sweep: Sweep, number: int) -> Row:
    folder, outcome = sweep.folder(number), read_outcome(sweep.record(number))
    steps, losses = _logs(folder)
    state: State = outcome.state if outcome.state != "begun" or steps else "waiting"
    if state == "trained" and not (folder / "model" / "config.json").is_file():
        state = "begun" if steps else "waiting"
    return Row(
        number,
        sweep.points[number],
        folder.name,
        state,
        outcome.sentence if state == "failed" else "",
        outcome.parameters,
        steps,
        losses,
        outcome.wall,
        outcome.cpu,
        outcome.verdict if state == "trained" else None,
    )


def _logs(folder: Path) -> tuple[dict[str, int], dict[str, float]]:
    """Steps and best validations by stage, in the order in which the stages began."""
    steps: dict[str, int] = {}
    losses: dict[str, float] = {}
    for path in sorted(folder.glob("stages/*/log.jsonl"), key=_begin):
        for line in _lines(path):
            stage = line["stage"]
            if "step" in line:
                steps[stage] = max(steps.get(stage, 0), line["step"])
            found = line.get("validation_merit", line.get("validation_loss"))
            if found is not None and math.isfinite(found):
                losses[stage] = min(losses.get(stage, math.inf), found)
    return steps, losses


def _lines(path: Path) -> list[dict[str, Any]]:
    try:
        return StageFolder(path.parent, {}).read_log()
    except TrainingError:  # its last line is being written
        return []


def _begin(path: Path) -> float:
    lines = _lines(path)
    return float(lines[0].get("time", math.inf)) if lines else math.inf


def judged_by(rows: Sequence[Row]) -> Judged | None:
    """What the points are compared by: trees that see whole showers, or else the validation.

    Trees that see layers alone where those tell the showers of every point without fault. Losses of stages
    that are trained one after the other do not add up: it is that of the last stage.
    """
    verdicts = {row.number: row.verdict for row in rows if row.verdict is not None}
    for seen in ("showers", "layers"):
        judged = _by_area(seen, verdicts)
        if judged.values and min(judged.values.values()) < _HOPELESS:
            return judged
    done = [row for row in rows if row.state == "trained" and row.losses]
    if not done:
        return None
    stage = list(done[0].losses)[-1]
    values = {row.number: row.losses[stage] for row in done if stage in row.losses}
    return Judged(f"validation, {stage}", values)


def _by_area(seen: str, verdicts: dict[int, Verdict]) -> Judged:
    areas = {number: v.areas[seen] for number, v in verdicts.items() if seen in v.areas}
    floors = [v.floors[seen] for v in verdicts.values() if seen in v.floors]
    floor = (floors[0].value, floors[0].error or 0.0) if floors else None
    errors = {number: area.error for number, area in areas.items() if area.error is not None}
    return Judged(f"AUC, {seen}", {number: area.value for number, area in areas.items()}, errors, floor)
