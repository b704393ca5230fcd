"""The tables of a sweep: for people on the screen and in Markdown, for programs as CSV."""

from __future__ import annotations

import csv
import io
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

from caloforge.errors import BusyError
from caloforge.files import waiting_for, write_text
from caloforge.sweeps.groups import groups_of, scatter_sentence
from caloforge.sweeps.results import gather, judged_by

if TYPE_CHECKING:
    from collections.abc import Sequence

    from caloforge.sweeps.outcomes import Number
    from caloforge.sweeps.record import Sweep
    from caloforge.sweeps.results import Judged, Row

__all__ = ["Table", "point_table", "seed_table", "write_tables"]

_MOST_STAGES = 4  # with a column each
_PATIENCE = 30.0  # seconds for other jobs that write the same tables

_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Table:
    """Texts in columns.

    Attributes:
        title: What it shows.
        columns: Their heads.
        rows: Texts.
    """

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    @property
    def markdown(self) -> str:
        """As Markdown."""
        lines = [self.columns, ("---",) * len(self.columns), *self.rows]
        cells = [" | ".join(text.replace("|", "\\|") for text in line) for line in lines]
        return f"{self.title}\n\n" + "".join(f"| {line} |\n" for line in cells)


def point_table(sweep: Sweep, rows: Sequence[Row], judged: Judged | None) -> Table:
    """All points, the best one first, those that are not judged last."""
    values = judged.values if judged else {}
    ordered = sorted(rows, key=lambda row: (row.number not in values, values.get(row.number, 0.0)))
    stages = _stages(rows)
    columns = ("point", *sweep.keys.values(), "seed", "state", "parameters", "steps", "CPU", "wall clock")
    shown = f"sorted by {judged.title}" if judged else "none is finished"
    return Table(
        f"{len(rows)} points, {shown}",
        (*columns, *_loss_columns(stages), *_area_columns(rows)),
        tuple(_cells(sweep, row, stages, rows) for row in ordered),
    )


def _cells(sweep: Sweep, row: Row, stages: list[str], rows: Sequence[Row]) -> tuple[str, ...]:
    values = tuple(row.point.values.get(key, "") for key in sweep.keys)
    state = "" if row.state == "trained" else row.state
    steps, time = sum(row.steps.values()), (_duration(row.cpu), _duration(row.wall))
    first = (
        f"{row.number}",
        *values,
        f"{row.point.seed}",
        state,
        _count(row.parameters),
        _count(steps),
        *time,
    )
    return (*first, *_losses(row, stages), *_areas(row, rows))


def _stages(rows: Sequence[Row]) -> list[str]:
    return list(dict.fromkeys(stage for row in rows for stage in row.losses))


def _loss_columns(stages: list[str]) -> tuple[str, ...]:
    if len(stages) > _MOST_STAGES:
        return (f"validation, mean of {len(stages)} stages",)
    return tuple(f"validation, {stage}" for stage in stages)


def _losses(row: Row, stages: list[str]) -> tuple[str, ...]:
    if len(stages) > _MOST_STAGES:
        whole = bool(row.losses) and set(row.losses) == set(stages)
        return (f"{sum(row.losses.values()) / len(stages):.5g}" if whole else "",)
    return tuple(f"{row.losses[stage]:.5g}" if stage in row.losses else "" for stage in stages)


def _seen(rows: Sequence[Row]) -> list[str]:
    return list(dict.fromkeys(name for row in rows if row.verdict for name in row.verdict.areas))


def _area_columns(rows: Sequence[Row]) -> tuple[str, ...]:
    return tuple(f"AUC, {name}" for name in _seen(rows))


def _areas(row: Row, rows: Sequence[Row]) -> tuple[str, ...]:
    areas = row.verdict.areas if row.verdict else {}
    return tuple(_number(areas.get(name)) for name in _seen(rows))


def _number(number: Number | None) -> str:
    if number is None:
        return ""
    return f"{number.value:.3f}" + ("" if number.error is None else f" ± {number.error:.3f}")


def seed_table(sweep: Sweep, rows: Sequence[Row], judged: Judged | None) -> Table | None:
    """The means over seeds of all configurations, the best one first; None without repetitions."""
    groups = groups_of(rows, judged) if judged else []
    if judged is None or all(group.scatter is None for group in groups):
        return None
    told = [
        (
            *(group.values.get(key, "") for key in sweep.keys),
            f"{len(group)}",
            f"{group.mean:.4g}",
            "" if group.scatter is None else f"{group.scatter:.2g}",
        )
        for group in groups
    ]
    columns = (*sweep.keys.values(), "seeds", f"{judged.title}, mean", "standard deviation")
    return Table(scatter_sentence(groups), columns, tuple(told))


def write_tables(sweep: Sweep) -> None:
    """Write ``results.csv`` and ``results.md`` into the folder of a sweep.

    Raises:
        OutputError: They cannot be written.
        TrainingError: The log of a point is damaged.
    """
    try:
        with waiting_for(sweep.out / "results.lock", of=sweep.out, seconds=_PATIENCE):
            rows = gather(sweep)
            write_text(sweep.out / "results.csv", _csv(sweep, rows))
            write_text(sweep.out / "results.md", markdown(sweep, rows))
    except BusyError:  # the next job that ends writes them
        _logger.debug("other jobs are writing the tables of %s", sweep.out)


def markdown(sweep: Sweep, rows: Sequence[Row]) -> str:
    """All tables, what failed, and the floors."""
    judged = judged_by(rows)
    tables = [seed_table(sweep, rows, judged), point_table(sweep, rows, judged)]
    failed = [f"- {row.number}: {row.sentence}\n" for row in rows if row.state == "failed"]
    parts = [table.markdown for table in tables if table is not None]
    if floors := floor_sentence(rows):
        parts.append(f"{floors}\n")
    if failed:
        parts.append("Failed:\n\n" + "".join(failed))
    head = f"# {sweep.request.preset}\n\n"
    return head + "\n".join(parts)


def floor_sentence(rows: Sequence[Row]) -> str:
    """What Geant4 against Geant4 gives."""
    verdict = next((row.verdict for row in rows if row.verdict and row.verdict.floors), None)
    if verdict is None:
        return ""
    told = ", ".join(f"{name} {_number(floor)}" for name, floor in verdict.floors.items())
    return f"Boosted trees, {verdict.showers} showers of each class; Geant4 against Geant4: {told}."


def _csv(sweep: Sweep, rows: Sequence[Row]) -> str:
    stages = list(dict.fromkeys(stage for row in rows for stage in row.steps))
    content = [_record(sweep, row, stages, _seen(rows)) for row in rows]
    file = io.StringIO()
    writer = csv.DictWriter(file, list(content[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(content)
    return file.getvalue()


def _record(sweep: Sweep, row: Row, stages: list[str], seen: list[str]) -> dict[str, object]:
    areas, floors = (row.verdict.areas, row.verdict.floors) if row.verdict else ({}, {})
    told: dict[str, object] = {"point": row.number, "folder": row.folder}
    told |= {key: row.point.values.get(key, "") for key in sweep.keys}
    told |= {"seed": row.point.seed, "state": row.state, "parameters": row.parameters or ""}
    told |= {"wall_seconds": row.wall, "cpu_seconds": row.cpu}
    told |= {f"steps.{stage}": row.steps.get(stage, "") for stage in stages}
    told |= {f"validation.{stage}": row.losses.get(stage, "") for stage in stages}
    for name in seen:
        for kind, numbers in (("auc", areas), ("floor", floors)):
            number = numbers.get(name)
            told[f"{kind}.{name}"] = "" if number is None else number.value
            told[f"{kind}.{name}.error"] = "" if number is None or number.error is None else number.error
    return {**told, "sentence": row.sentence}


def _count(number: int) -> str:
    return f"{number}" if number else ""


def _duration(seconds: float) -> str:
    if not seconds:
        return ""
    if seconds < 100:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.1f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"
