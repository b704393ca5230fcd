"""The summary of an evaluation: rows of metrics, columns of models, the floor beside."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any

import yaml

if TYPE_CHECKING:
    from caloforge.evaluation.outcome import Evaluation
    from caloforge.evaluation.results import Group, MetricResult

__all__ = ["Cell", "Row", "Section", "number", "published", "summary"]

_HEADINGS: dict[Group, tuple[str, str, float, int]] = {
    "separation": (
        "Separation power × 1000",
        "0: equal histograms, 1000: disjoint ones. Observables of layers: mean over the layers.",
        1000.0,
        1,
    ),
    "wasserstein": (
        "Wasserstein-1 distance × 100",
        "In hundredths of the reference's standard deviation; 0: equal.",
        1.0,
        1,
    ),
    "classifier": (
        "Classifier AUC",
        "0.5: generated and reference showers cannot be told apart, 1: always.",
        1.0,
        3,
    ),
}
_COMPATIBLE = 2.0
_MOST_DIGITS = 5


@dataclass(frozen=True)
class Cell:
    """One number of the table.

    Attributes:
        text: Value and error.
        best: Whether no other model is better in this row.
        compatible: Whether it lies within two standard deviations of the floor, or below it.
        note: More about it.
    """

    text: str
    best: bool = False
    compatible: bool = False
    note: str = ""


@dataclass(frozen=True)
class Row:
    """One metric: the floor, then the models."""

    title: str
    floor: str
    cells: tuple[Cell, ...]


@dataclass(frozen=True)
class Section:
    """Metrics of one kind."""

    title: str
    help: str
    rows: tuple[Row, ...]


def summary(evaluation: Evaluation) -> list[Section]:
    """The table: sections of rows; columns are in the order of ``evaluation.generated``."""
    models = [evaluation.results[sample.name] for sample in evaluation.generated]
    sections = []
    for group, (title, text, scale, digits) in _HEADINGS.items():
        names = list(dict.fromkeys(r.name for results in models for r in results if r.group == group))
        rows = [_row([_find(results, name) for results in models], scale, digits) for name in names]
        if rows:
            sections.append(Section(title, text, tuple(rows)))
    return sections


def number(value: float | None, error: float | None, digits: int) -> str:
    """Value and error; ``digits`` after the point, more when the error needs them; a dash for None."""
    if value is None or not math.isfinite(value):
        return "–"
    if error:
        digits = max(digits, min(math.ceil(-math.log10(error)), _MOST_DIGITS))
    text = f"{value:.{digits}f}"
    return text if error is None or not math.isfinite(error) else f"{text} ± {error:.{digits}f}"


@cache
def published() -> dict[str, Any]:
    """The published numbers shown for context: another data set, another geometry."""
    text = (resources.files("caloforge.report") / "published.yaml").read_text(encoding="utf-8")
    return dict(yaml.safe_load(text))


def _find(results: tuple[MetricResult, ...], name: str) -> MetricResult | None:
    return next((r for r in results if r.name == name), None)


def _row(results: list[MetricResult | None], scale: float, digits: int) -> Row:
    values = [r.value for r in results if r is not None and r.value is not None]
    best = min(values, default=None)
    first = next(r for r in results if r is not None)
    cells = tuple(
        _cell(r, scale, digits, best=r is not None and len(values) > 1 and r.value == best) for r in results
    )
    return Row(first.title, _text(first.floor, first.floor_error, scale, digits), cells)


def _cell(result: MetricResult | None, scale: float, digits: int, *, best: bool) -> Cell:
    if result is None:
        return Cell("–")
    text = _text(result.value, result.error, scale, digits)
    return Cell(text, best, _is_compatible(result), result.note)


def _text(value: float | None, error: float | None, scale: float, digits: int) -> str:
    scaled = [None if x is None else x * scale for x in (value, error)]
    return number(scaled[0], scaled[1], digits)


def _is_compatible(result: MetricResult) -> bool:
    if result.value is None or result.floor is None:
        return False
    noise = math.hypot(result.error or 0.0, result.floor_error or 0.0)
    return result.value - result.floor < _COMPATIBLE * noise
