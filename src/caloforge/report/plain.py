"""The tables of an evaluation as Markdown, which is read without a browser and needs no package."""

from __future__ import annotations

from typing import TYPE_CHECKING

from caloforge.report.answers import QUESTION, answers
from caloforge.report.lines import REFERENCE
from caloforge.report.tables import summary

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from caloforge.evaluation.outcome import Evaluation
    from caloforge.report.tables import Section

__all__ = ["BEST", "plain_text", "shown_rows"]

BEST = "*: no model is better by more than the combined error; none where that holds for all"


def plain_text(evaluation: Evaluation) -> str:
    """Answers, warnings and the tables of ``summary``, with floors."""
    return "\n".join(_lines(evaluation)) + "\n"


def shown_rows(section: Section) -> list[list[str]]:
    """Rows of a table for people: title, numbers of the models, floor; those without numbers are left out."""
    known = [row for row in section.rows if any(cell.value is not None for cell in row.cells)]
    return [
        [row.title, *(f"{c.text} *" if c.best else c.text for c in row.cells), row.floor] for row in known
    ]


def _lines(evaluation: Evaluation) -> Iterator[str]:
    names = [sample.name for sample in evaluation.generated]
    yield f"# {', '.join(names)} and {REFERENCE}"
    yield from ("", QUESTION, "")
    yield from (f"- {answer.model}: {answer.word}{answer.reason}" for answer in answers(evaluation))
    if evaluation.warnings:
        yield from ("", "To know before trusting the numbers:", "")
        yield from (f"- {warning}" for warning in evaluation.warnings)
    for section in summary(evaluation):
        if rows := shown_rows(section):
            yield from ("", f"## {section.title}", "")
            yield from _table(["", *names, f"{REFERENCE} floor"], rows)
    yield from ("", BEST.replace("*", "\\*"))


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    yield _row(columns)
    yield _row(["---", *["---:"] * (len(columns) - 1)])
    yield from map(_row, rows)


def _row(cells: Sequence[str]) -> str:
    safe = (cell.replace("|", r"\|").replace("*", r"\*") for cell in cells)
    return f"| {' | '.join(safe)} |"
