"""The report: one HTML page that needs no other file, and the same figures as PNG and PDF files."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any

from caloforge.errors import OutputError
from caloforge.files import write_text
from caloforge.geometry import BoxGrid
from caloforge.report.answers import QUESTION, answers
from caloforge.report.details import details
from caloforge.report.drawing import draw_all
from caloforge.report.events import event_table
from caloforge.report.interactive import plotly_library
from caloforge.report.leaderboard import challenge_boards, cloud_boards, leaderboard, official_set
from caloforge.report.lines import model_styles
from caloforge.report.pages import render
from caloforge.report.tables import summary
from caloforge.report.verdicts import headline, verdict

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from caloforge.evaluation.outcome import Evaluation
    from caloforge.report.drawing import Picture
    from caloforge.report.leaderboard import BoardSet

__all__ = ["page_html", "write_report"]


def write_report(evaluation: Evaluation, folder: Path, *, vectors: bool = True) -> Path:
    """Write ``report.html`` and ``figures/`` into ``folder``.

    Args:
        evaluation: What to show.
        folder: It is there already.
        vectors: Write every figure as PDF too, which takes as long again as the PNGs.

    Returns:
        Path of the page.

    Raises:
        OutputError: A file cannot be written.
    """
    figures = folder / "figures"
    try:
        figures.mkdir(parents=True, exist_ok=True)
        page = folder / "report.html"
        write_text(page, page_html(evaluation, draw_all(evaluation, figures, vectors=vectors)))
    except OutputError:
        raise
    except OSError as error:
        msg = f"Cannot write the report into {folder}: {error.strerror}."
        raise OutputError(msg) from error
    return page


def page_html(evaluation: Evaluation, pictures: Iterable[Picture]) -> str:
    """The page as text, with its pictures inside."""
    sections: dict[str, list[Picture]] = defaultdict(list)
    for picture in pictures:
        sections[picture.section].append(picture)
    top = headline(evaluation)
    verdicts, sentence = verdict(evaluation, top.rows)
    official = official_set(evaluation)
    return render(
        "report.html",
        settings=evaluation.settings,
        geometry=evaluation.geometry,
        warnings=evaluation.warnings,
        models=_models(evaluation),
        question=QUESTION,
        answers=answers(evaluation),
        headline=top,
        verdicts=verdicts,
        sentence=sentence,
        summary=summary(evaluation),
        details=details(evaluation),
        sections=sections,
        official=challenge_boards(official, evaluation) if official else None,
        published_showers=leaderboard()["sets"][official]["showers"] if official else 0,
        context=_context(evaluation, official),
        turn_table=event_table(evaluation),
        library=plotly_library(),
    )


def _models(evaluation: Evaluation) -> list[dict[str, Any]]:
    styles = model_styles([sample.name for sample in evaluation.generated])
    return [
        {"name": s.name, "path": s.path, "showers": len(s.table), "colour": styles[s.name].colour}
        for s in evaluation.generated
    ]


def _context(evaluation: Evaluation, official: str) -> list[BoardSet]:
    """Published tables of other showers; the CaloClouds papers' for square cells only."""
    square = isinstance(evaluation.geometry.layers[0].grid, BoxGrid)
    challenge = [challenge_boards(name) for name in leaderboard()["sets"] if name != official]
    return [*([cloud_boards()] if square else []), *challenge]
