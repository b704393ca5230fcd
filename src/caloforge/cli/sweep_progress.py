"""What a sweep shows of its points: how many have ended, and the steps of those that are at work."""

from __future__ import annotations

import logging
import math
import sys
from contextlib import ExitStack
from typing import TYPE_CHECKING, Self

from caloforge.cli.common import progress
from caloforge.cli.logs import error_console

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from caloforge.cli.common import Advance

__all__ = ["SweepProgress"]

_logger = logging.getLogger(__name__)


class SweepProgress:
    """On a terminal a bar for all points and one for each at work; piped, a line from time to time.

    Args:
        total: Points.
    """

    def __init__(self, total: int) -> None:
        self._total = total
        self._stack = ExitStack()
        self._advance: Advance | None = None
        self._bars: Progress | None = None
        self._tasks: dict[int, tuple[str, TaskID]] = {}
        self._whole: TaskID | None = None

    def __enter__(self) -> Self:
        if sys.stderr.isatty() and _logger.isEnabledFor(logging.WARNING):
            self._bars = self._stack.enter_context(_bars())
            self._whole = self._bars.add_task("points", total=self._total)
        else:
            self._advance = self._stack.enter_context(progress("points", self._total, unit="points"))
        return self

    def __call__(self, number: int, stage: str, done: int, total: int, loss: float) -> None:
        """Show the steps of a point's stage."""
        if self._bars is None:
            return
        shown, task = self._tasks.get(number, ("", None))
        if task is None or shown != stage:
            if task is not None:
                self._bars.remove_task(task)
            task = self._bars.add_task("", total=total)
            self._tasks[number] = stage, task
        told = "" if math.isnan(loss) else f", loss {loss:.4g}"
        self._bars.update(task, completed=done, description=f"  {number} {stage}{told}")

    def end(self, number: int) -> None:
        """Count a point that has ended."""
        if self._advance is not None:
            self._advance()
        if self._bars is not None and self._whole is not None:
            if number in self._tasks:
                self._bars.remove_task(self._tasks.pop(number)[1])
            self._bars.advance(self._whole)

    def __exit__(self, *error: object) -> None:
        self._stack.close()


def _bars() -> Progress:
    from rich import progress as rich_progress

    return rich_progress.Progress(
        rich_progress.TextColumn("{task.description}"),
        rich_progress.BarColumn(),
        rich_progress.MofNCompleteColumn(),
        rich_progress.TimeRemainingColumn(elapsed_when_finished=True),
        console=error_console(),
    )
