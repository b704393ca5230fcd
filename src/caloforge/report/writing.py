"""An evaluation in a folder: numbers, tables, and with the extra ``report`` page and figures."""

from __future__ import annotations

import logging
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from caloforge.errors import MissingDependencyError
from caloforge.evaluation.outcome import write_metrics
from caloforge.files import check_folder, filling, made, write_text
from caloforge.names import EVALUATION
from caloforge.optional import REPORT, check_installed
from caloforge.report.plain import plain_text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from caloforge.evaluation.outcome import Evaluation

__all__ = ["evaluation_folder", "write_evaluation", "write_files"]

_logger = logging.getLogger(__name__)


@contextmanager
def evaluation_folder(out: str | Path, *, force: bool = False) -> Iterator[Path]:
    """A folder for ``write_files``, whose content moves into ``out`` in the end.

    ``out`` is made, and looked at, before the work that is done inside of the ``with`` block.

    Raises:
        OutputError: ``out`` holds an evaluation, or files of the same names, and ``force`` is not given.
    """
    folder = Path(out)
    with made(folder), filling(folder) as part:
        check_folder(folder, without=EVALUATION, force=force)
        yield part


def write_files(evaluation: Evaluation, folder: Path, *, vectors: bool = True) -> str:
    """Write ``metrics.json``, ``summary.md``, ``report.html`` and ``figures/``.

    The last two need the packages of the extra ``report``; without them a warning says so.

    Args:
        evaluation: What to write.
        folder: It is there already.
        vectors: Write every figure as PDF too.

    Returns:
        Name of the file to read.

    Raises:
        OutputError: A file cannot be written.
    """
    write_metrics(evaluation, folder / "metrics.json")
    write_text(folder / "summary.md", plain_text(evaluation))
    try:
        check_installed(*REPORT, extra="report", what="The report's page and figures")
    except MissingDependencyError as error:
        _logger.warning("%s", error)
        return "summary.md"
    from caloforge.report.page import write_report

    _logger.info("drawing the report")
    return write_report(evaluation, folder, vectors=vectors).name


def write_evaluation(
    evaluation: Evaluation, out: str | Path, *, vectors: bool = True, force: bool = False
) -> None:
    """Write an evaluation into a folder, all of it or nothing.

    Args:
        evaluation: What to write.
        out: The folder; it is made.
        vectors: Write every figure as PDF too.
        force: Replace the evaluation in it.

    Raises:
        OutputError: As of ``evaluation_folder``, or a file cannot be written.
    """
    with evaluation_folder(out, force=force) as part:
        write_files(evaluation, part, vectors=vectors)
