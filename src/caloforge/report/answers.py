"""The plain answer for every model: can a classifier tell its showers from Geant4's?"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from caloforge.report.lines import REFERENCE
from caloforge.report.numbers import number
from caloforge.report.tables import model_results

if TYPE_CHECKING:
    from collections.abc import Sequence

    from caloforge.evaluation.outcome import Evaluation
    from caloforge.evaluation.results import MetricResult

__all__ = ["QUESTION", "Answer", "answers"]

QUESTION = f"Can a classifier tell it from {REFERENCE}?"

_GUESS = 0.5
_DIGITS = 3
_SURE = 3.0  # of half a dozen classifiers one is two standard deviations off by chance


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

    The judge that is named is the worst for the model: the highest area that lies more than three standard
    deviations above both its floor and a guess. Without one the answer is "no", with the highest area of
    all; it holds for these classifiers and this number of showers only.
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
    judges = "not this classifier" if len(known) == 1 else f"none of these {len(known)} classifiers"
    showers = min(known[0].n_reference, known[0].n_generated)
    reason = f", {judges} with {showers} showers of each; the worst: {_numbers(known[0])}."
    return Answer(model, False, "No", reason)


def _value(result: MetricResult) -> float | None:
    return result.value if result.value is not None and math.isfinite(result.value) else None


def _tells(result: MetricResult) -> bool:
    floor = _GUESS if result.floor is None else max(result.floor, _GUESS)
    noise = math.hypot(result.error or 0.0, result.floor_error or 0.0)
    return (result.value or 0.0) - floor > _SURE * noise


def _numbers(result: MetricResult) -> str:
    area = f"{result.name} {number(result.value, result.error, _DIGITS)}"
    if result.floor is None:
        return f"{area}, without a floor ({result.title})"
    return f"{area}, floor {number(result.floor, result.floor_error, _DIGITS)} ({result.title})"
