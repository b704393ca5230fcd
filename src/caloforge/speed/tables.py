"""A benchmark as tables, out of what its file tells: also one that an older version wrote."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

from caloforge.speed.stages import POST, SAMPLE, WRITE

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["Table", "as_markdown", "describe", "left_out", "tables", "with_error"]

_STAGES = (SAMPLE, POST, WRITE)


class Table(NamedTuple):
    """Words in columns."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def tables(content: Mapping[str, Any]) -> list[Table]:
    """Times, steps and parts.

    Args:
        content: As of ``Benchmark.as_dict``, or its file.
    """
    return [table for table in (_times(content), _stages(content), _parts(content)) if table.rows]


def left_out(content: Mapping[str, Any]) -> list[str]:
    """What was not measured, a sentence each."""
    reasons: dict[tuple[str, str, str], list[str]] = {}
    for model in content["models"]:
        for entry in model.get("left_out", ()):
            key = (model["name"], entry["backend"], entry["reason"])
            reasons.setdefault(key, []).append(f"{entry['batch_size']}")
    lines = []
    for (name, backend, reason), sizes in reasons.items():
        batches = " and ".join(dict.fromkeys(sizes))
        lines.append(f"{name}, {backend}, batches of {batches}: {reason}")
    return lines


def as_markdown(content: Mapping[str, Any]) -> str:
    """A page: the machine, the tables, what was left out, the protocol."""
    parts = [f"{describe(content)}."]
    for table in tables(content):
        lines = [table.columns, ["---"] * len(table.columns), *table.rows]
        parts.append(f"**{table.title}**")
        parts.append("\n".join(f"| {' | '.join(line)} |" for line in lines))
    parts += ["\n".join(f"- {line}" for line in left_out(content)), content["protocol"]]
    return "\n\n".join(part for part in parts if part) + "\n"


def describe(content: Mapping[str, Any]) -> str:
    """The machine in a line."""
    machine = content["machine"]
    gpu = f", {machine['gpu']}" if "gpu" in machine else ""
    load = content.get("load_before")
    busy = "" if load is None else f", {load:.1f} processes running before"
    return f"{machine['cpu']}, {machine['usable_cores']} cores{gpu}, torch {machine['torch']}{busy}"


def _rows(content: Mapping[str, Any]) -> Iterator[tuple[dict[str, Any], dict[str, Any], tuple[str, ...]]]:
    """Models, configurations, and the words that name both."""
    for model in content["models"]:
        for entry in model["configurations"]:
            device = entry.get("device", "cpu")
            backend = entry.get("backend", "eager")
            where = backend if device == "cpu" else f"{backend}, {device}"
            yield model, entry, (model["name"], where, str(entry["threads"]), str(entry["batch_size"]))


def _times(content: Mapping[str, Any]) -> Table:
    columns = ["model", "backend", "threads", "batch", "wall ms", "CPU ms", "load s", "MB", "MB over imports"]
    columns += ["NFE", "parameters"]
    rows = []
    for model, entry, names in _rows(content):
        memory, loading = entry["memory_mb"], entry.get("load_s")
        row = [*names, _mean(entry["wall_ms"]), _mean(entry["cpu_ms"])]
        row.append("-" if loading is None else f"{loading['wall']:.2g}")
        row += [f"{memory['peak']:.0f}", f"{memory['peak'] - memory['imported']:.0f}"]
        row += [str(max(model["evaluations"].values(), default=0)), str(model["parameters"])]
        rows.append([*row, _ratio(entry)])
    geant4 = dict.fromkeys(_geant4(model) for model in content["models"] if "geant4" in model)
    rows += [["Geant4", "", "1", "1", "", time, "", "", "", "", "", "1"] for time in geant4]
    if not geant4:
        rows = [row[:-1] for row in rows]
    names_of = (*columns, "speed-up") if geant4 else tuple(columns)
    return Table("Time per shower", names_of, tuple(map(tuple, rows)))


def _geant4(model: Mapping[str, Any]) -> str:
    cpu = model["geant4"]["cpu_ms"]
    return with_error(cpu["value"], cpu["error"])


def _ratio(entry: Mapping[str, Any]) -> str:
    return with_error(**entry["speed_up"]) if "speed_up" in entry else ""


def _stages(content: Mapping[str, Any]) -> Table:
    columns = ["model", "backend", "threads", "batch"]
    columns += [f"{stage}, {clock}" for stage in _STAGES for clock in ("wall", "CPU")]
    rows = [
        (*names, *(_mean(entry["stages_ms"][stage][clock]) for stage in _STAGES for clock in ("wall", "cpu")))
        for _, entry, names in _rows(content)
        if entry.get("stages_ms")
    ]
    return Table("Milliseconds per shower, step by step", tuple(columns), tuple(rows))


def _parts(content: Mapping[str, Any]) -> Table:
    found = [(names, entry["parts_cpu_ms"]) for _, entry, names in _rows(content)]
    labels = list(dict.fromkeys(label for _, parts in found for label in parts))
    rows = [(*names, *(_mean(p[label]) if label in p else "-" for label in labels)) for names, p in found]
    columns = ("model", "backend", "threads", "batch", *labels)
    return Table("CPU ms per shower, by part", columns, tuple(rows))


def _mean(spread: Mapping[str, Any]) -> str:
    return with_error(spread["mean"], spread["std"])


def with_error(value: float, error: float) -> str:
    """Value and error with two digits of the error."""
    digits = max(0, 1 - math.floor(math.log10(error))) if error > 0 else 2
    return f"{value:.{digits}f} ± {error:.{digits}f}"
