"""The tables of an evaluation: rows of metrics, columns of models, the floor beside."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from string import ascii_lowercase
from typing import TYPE_CHECKING

from caloforge.evaluation.baselines import BASELINE
from caloforge.report.numbers import number

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from caloforge.evaluation.outcome import Evaluation
    from caloforge.evaluation.results import Better, Group, MetricResult

__all__ = [
    "COMPATIBLE",
    "Cell",
    "Row",
    "Section",
    "model_results",
    "ranked_models",
    "row",
    "sections",
    "summary",
]


@dataclass(frozen=True)
class _Heading:
    """How the numbers of a group are shown; ``digits`` None: as many as the error needs."""

    title: str
    help: str
    scale: float = 1.0
    digits: int | None = None


_HEADINGS: dict[Group, _Heading] = {
    "separation": _Heading(
        "Separation power × 1000",
        "0: equal histograms, 1000: disjoint ones. Observables of layers: mean over the layers.",
        1000.0,
        1,
    ),
    "wasserstein": _Heading(
        "Wasserstein-1 distance × 100",
        "In hundredths of the reference's standard deviation; 0: equal.",
        1.0,
        1,
    ),
    "classifier": _Heading(
        "Classifiers",
        "Networks and trees that learn to tell generated from reference showers. AUC 0.5: they cannot, "
        "1: always.",
        1.0,
        3,
    ),
    "distance": _Heading(
        "Distances of distributions",
        "Between the feature vectors of all showers; 0: equal.",
    ),
    "coverage": _Heading(
        "Precision, density, recall, coverage",
        "Precision and density: generated showers lie where the reference has some. Recall and coverage: "
        "the reference's variety is there. Geant4's own values are the aim.",
        1.0,
        3,
    ),
    "memorisation": _Heading(
        "Copies of training showers",
        "Nearer to a training shower than half (or a hundredth) of Geant4's: 0.5 (0.01) is right, 1: copies. "
        "Blocks that are the same as others: Geant4's own share is the aim.",
        1.0,
        4,
    ),
    "physics": _Heading(
        "Physics",
        "Response, resolution, angles, moments and correlations, as the papers of the models report them.",
    ),
    "downstream": _Heading(
        "Trained on one, used on the other",
        "What reconstruction networks lose when they learn from generated showers.",
    ),
    "cost": _Heading(
        "Cost",
        "As the models' files tell: sizes, and times of a recorded benchmark. Nothing is measured here.",
    ),
}
_SCALES = {
    name: (1000.0, "× 1000")
    for kind in ("fpd", "kpd")
    for name in (f"distance.{kind}", f"distance.{kind}_mended")
}
COMPATIBLE = 2.0
"""Standard deviations within which two numbers agree."""


@dataclass(frozen=True)
class Cell:
    """One number of the table.

    Attributes:
        text: Value and error.
        value: What to sort by.
        best: Whether no model is better by more than the combined error of the two, and one is worse.
        compatible: Whether it lies within two standard deviations of a fair floor (``Floor.particles``):
            this metric does not tell it from Geant4.
        note: More about it.
        mark: Letter of the note among those of its section.
    """

    text: str
    value: float | None = None
    best: bool = False
    compatible: bool = False
    note: str = ""
    mark: str = ""


@dataclass(frozen=True)
class Row:
    """One metric: the floor, then the models.

    Attributes:
        title: For people.
        floor: The same number for Geant4 against Geant4.
        cells: One per model.
        name: Of the metric's value.
        group: Kind of metric.
        better: Which numbers are better.
        has_floor: Whether there is a floor to compare with.
        note: Why no model has a number.
        hint: Version and numbers of showers.
    """

    title: str
    floor: str
    cells: tuple[Cell, ...]
    name: str = ""
    group: Group = "separation"
    better: Better = "lower"
    has_floor: bool = False
    note: str = ""
    hint: str = ""

    @property
    def family(self) -> str:
        """The paper that the metric is from, where its title tells one."""
        return self.title.partition(": ")[0] if self._has_family else ""

    @property
    def label(self) -> str:
        """The title without the family."""
        return self.title.partition(": ")[2] if self._has_family else self.title

    @property
    def _has_family(self) -> bool:
        return self.group == "physics" and ": " in self.title


@dataclass(frozen=True)
class Section:
    """Metrics of one kind.

    Attributes:
        title: Heading.
        help: How to read them.
        rows: The metrics.
        notes: Of single numbers, by the letters of their cells.
    """

    title: str
    help: str
    rows: tuple[Row, ...]
    notes: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, title: str, words: str, rows: Sequence[Row]) -> Section:
        """Give every note of a number a letter."""
        found = dict.fromkeys(cell.note for row in rows for cell in row.cells if cell.note and not row.note)
        letters = dict(zip(found, ascii_lowercase, strict=False))
        marked = [
            row if row.note else replace(row, cells=tuple(_lettered(cell, letters) for cell in row.cells))
            for row in rows
        ]
        return cls(title, words, tuple(marked), {letter: note for note, letter in letters.items()})


def summary(evaluation: Evaluation) -> list[Section]:
    """All metrics: sections of rows; columns are in the order of ``evaluation.generated``."""
    return sections(model_results(evaluation), ranked=ranked_models(evaluation))


def sections(
    models: Sequence[Mapping[str, MetricResult]], *, ranked: Sequence[bool] | None = None
) -> list[Section]:
    """All metrics of some models, each given as its results by name; ``ranked`` as of ``row``."""
    found = []
    for group, heading in _HEADINGS.items():
        names = dict.fromkeys(r.name for results in models for r in results.values() if r.group == group)
        rows = [row([results.get(name) for results in models], ranked=ranked) for name in names]
        if rows:
            found.append(Section.of(heading.title, heading.help, rows))
    return found


def model_results(evaluation: Evaluation) -> list[dict[str, MetricResult]]:
    """Results of every model by name, in the order of ``evaluation.generated``."""
    return [{r.name: r for r in evaluation.results[sample.name]} for sample in evaluation.generated]


def ranked_models(evaluation: Evaluation) -> list[bool]:
    """Which samples compete: the baseline does not, it copies much of the real showers."""
    return [sample.name != BASELINE for sample in evaluation.generated]


def row(results: Sequence[MetricResult | None], *, ranked: Sequence[bool] | None = None) -> Row:
    """One metric of all models; at least one of them has a result.

    Args:
        results: Of every model.
        ranked: Whether each may be the best one; all when None.
    """
    first = next(r for r in results if r is not None)
    heading = _HEADINGS[first.group]
    scale, unit = _SCALES.get(first.name, (heading.scale, ""))
    cells = tuple(_cell(result, scale, heading.digits) for result in results)
    return Row(
        title=f"{first.title} {unit}".strip(),
        floor=_text(first.floor, first.floor_error, scale, heading.digits),
        cells=_ranked(cells, results, ranked or [True] * len(results)),
        name=first.name,
        group=first.group,
        better=first.better,
        has_floor=first.floor is not None,
        note=next((r.note for r in results if r is not None and r.note), "") if _is_empty(cells) else "",
        hint=_hint(first),
    )


def _lettered(cell: Cell, letters: Mapping[str, str]) -> Cell:
    return replace(cell, mark=letters.get(cell.note, ""))


def _is_empty(cells: Sequence[Cell]) -> bool:
    return all(cell.value is None for cell in cells)


def _hint(result: MetricResult) -> str:
    arrow = {"lower": "lower is better", "higher": "higher is better", "floor": "nearest to Geant4 is best"}
    sizes = f"{result.n_reference} and {result.n_generated} showers"
    return f"{result.name}, version {result.version}; {sizes}; {arrow[result.better]}"


def _cell(result: MetricResult | None, scale: float, digits: int | None) -> Cell:
    if result is None:
        return Cell("–")
    text = _text(result.value, result.error, scale, digits)
    value = None if result.value is None or not math.isfinite(result.value) else result.value * scale
    return Cell(text, value, compatible=_is_compatible(result), note=result.note)


def _text(value: float | None, error: float | None, scale: float, digits: int | None) -> str:
    scaled = [None if x is None else x * scale for x in (value, error)]
    return number(scaled[0], scaled[1], digits)


def _ranked(
    cells: tuple[Cell, ...], results: Sequence[MetricResult | None], ranked: Sequence[bool]
) -> tuple[Cell, ...]:
    """Mark the best cell and those that cannot be told from it; none where that holds for all."""
    scores = {
        i: _badness(r)
        for i, r in enumerate(results)
        if r is not None and cells[i].value is not None and ranked[i]
    }
    if not scores:
        return cells
    first = min(scores, key=lambda i: scores[i])
    best = {i for i in scores if _is_tied(results, scores, i, first)}
    if len(best) == len(scores):
        return cells
    return tuple(replace(cell, best=i in best) for i, cell in enumerate(cells))


def _badness(result: MetricResult) -> float:
    value = result.value or 0.0
    if result.better == "floor" and result.floor is not None:
        return abs(value - result.floor)
    return -value if result.better == "higher" else value


def _is_tied(results: Sequence[MetricResult | None], scores: dict[int, float], one: int, best: int) -> bool:
    found = [results[i] for i in (one, best)]
    noise = math.hypot(*(0.0 if r is None else r.error or 0.0 for r in found))
    return scores[one] - scores[best] <= noise


def _is_compatible(result: MetricResult) -> bool:
    if result.value is None or result.floor is None or not math.isfinite(result.value):
        return False
    if "particles" not in result.settings.get("floor", {}):  # an older evaluation: is it fair?
        return False
    noise = math.hypot(result.error or 0.0, result.floor_error or 0.0)
    return abs(result.value - result.floor) <= COMPATIBLE * noise
