"""The plain answer for every model: can a classifier tell its showers from Geant4's?"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from caloforge.report.numbers import number
from caloforge.report.style import REFERENCE
from caloforge.report.tables import COMPATIBLE, model_results

if TYPE_CHECKING:
    from collections.abc import Sequence

    from caloforge.evaluation.outcome import Evaluation
    from caloforge.evaluation.results import MetricResult

__all__ = ["QUESTION", "Answer", "answers"]

QUESTION = f"Can a classifier tell it from {REFERENCE}?"

_GUESS = 0.5
_DIGITS = 2


@dataclass(frozen=True)
class Answer:
    """What the classifiers say about one model.

    Attributes:
        model: Its name.
        told: Whether one of them tells its showers from Geant4's; None when none was trained.
        word: "Yes", "No" or "Not known".
        reason: The rest of the sentence, with the numbers.
    """

    model: str
    told: bool | None
    word: str
    reason: str


def answers(evaluation: Evaluation) -> list[Answer]:
    """The answers in the order of ``evaluation.generated``.

    The strongest judge is the one with the highest area. It tells a model when its area lies more than
    two standard deviations above both its floor and a guess, where a weaker judge may do as well; "no"
    holds for these classifiers and this number of showers only.
    """
    found = zip(evaluation.generated, model_results(evaluation), strict=True)
    return [_answer(sample.name, list(results.values())) for sample, results in found]


def _answer(model: str, results: Sequence[MetricResult]) -> Answer:
    areas = [r for r in results if r.group == "classifier" and r.name.startswith("auc.")]
    known = sorted((r for r in areas if _value(r) is not None), key=lambda r: -(r.value or 0.0))
    if not known:
        note = next((r.note for r in areas if r.note), "no classifier was asked.")
        return Answer(model, None, "Not known", f": {note[:1].lower()}{note[1:]}")
    judge = next((r for r in known if _tells(r)), None)
    if judge is not None:
        return Answer(model, True, "Yes", f": {_numbers(judge)}.")
    judges = "this classifier" if len(known) == 1 else f"these {len(known)} classifiers"
    showers = min(known[0].n_reference, known[0].n_generated)
    return Answer(
        model, False, "No", f", not with {judges} at {showers} showers of each: {_numbers(known[0])}."
    )


def _value(result: MetricResult) -> float | None:
    return result.value if result.value is not None and math.isfinite(result.value) else None


def _tells(result: MetricResult) -> bool:
    floor = _GUESS if result.floor is None else max(result.floor, _GUESS)
    noise = math.hypot(result.error or 0.0, result.floor_error or 0.0)
    return (result.value or 0.0) - floor > COMPATIBLE * noise


def _numbers(result: MetricResult) -> str:
    area = f"AUC {number(result.value, result.error, _DIGITS)} ({result.title})"
    if result.floor is None:
        return f"{area}, without a floor"
    return f"{area}, {REFERENCE} floor {number(result.floor, result.floor_error, _DIGITS)}"
