"""An evaluation in a folder: numbers, page and figures."""

from __future__ import annotations

import logging
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from caloforge.evaluation.outcome import write_metrics
from caloforge.files import check_folder, filling, made
from caloforge.names import EVALUATION
from caloforge.report.page import write_report

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


def write_files(evaluation: Evaluation, folder: Path, *, vectors: bool = True) -> None:
    """Write ``metrics.json``, ``report.html`` and ``figures/``.

    Args:
        evaluation: What to write.
        folder: It is there already.
        vectors: Write every figure as PDF too.

    Raises:
        OutputError: A file cannot be written.
    """
    write_metrics(evaluation, folder / "metrics.json")
    _logger.info("drawing the report")
    write_report(evaluation, folder, vectors=vectors)


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
