"""Logging is set up here and nowhere else."""

from __future__ import annotations

import logging
import sys
from functools import cache
from typing import TYPE_CHECKING

from caloforge.cli.ranks import is_first

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["configure_logging", "error_console"]


@cache
def error_console() -> Console:
    """The terminal behind stderr, which the log and the progress bars share."""
    from rich.console import Console

    return Console(stderr=True)


def configure_logging(*, verbose: bool = False, quiet: bool = False) -> None:
    """Log caloforge's messages to stderr: with colours on a terminal, as plain lines when piped.

    Args:
        verbose: Details, too.
        quiet: Errors only; progress is shown where messages are, so that it is left out as well. So are all
            processes of a launch but the first.
    """
    quiet = quiet or not is_first()
    logger = logging.getLogger("caloforge")
    for handler in [h for h in logger.handlers if h.get_name() == __name__]:
        logger.removeHandler(handler)
    handler = _rich_handler() if sys.stderr.isatty() else _PlainHandler()
    handler.set_name(__name__)
    logger.addHandler(handler)
    logger.setLevel(logging.ERROR if quiet else logging.DEBUG if verbose else logging.INFO)


class _PlainHandler(logging.Handler):
    """One plain line a message, to whatever stderr is at that moment."""

    def __init__(self) -> None:
        super().__init__()
        self.setFormatter(logging.Formatter("%(asctime)s %(mark)s%(message)s", datefmt="%H:%M:%S"))

    def emit(self, record: logging.LogRecord) -> None:
        """Write the record."""
        record.mark = "warning: " if record.levelno >= logging.WARNING else ""
        try:
            sys.stderr.write(self.format(record) + "\n")
        except (OSError, ValueError):
            self.handleError(record)


def _rich_handler() -> logging.Handler:
    from rich.logging import RichHandler

    return RichHandler(console=error_console(), show_path=False, log_time_format="%H:%M:%S")
