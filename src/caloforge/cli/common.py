"""What the commands share: ranges of energies and angles, progress, tables."""

from __future__ import annotations

import logging
import math
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol, TypeVar

import typer

from caloforge.cli.logs import error_console
from caloforge.errors import ConfigError, bad, shown
from caloforge.units import DEGREE, GEV

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import numpy as np
    from numpy.typing import NDArray
    from rich.progress import Progress

__all__ = [
    "Advance",
    "Range",
    "angle_range",
    "energy_range",
    "megabytes",
    "parse_range",
    "print_table",
    "progress",
]

_LINE_SECONDS = 10.0

_logger = logging.getLogger(__name__)
_Number = TypeVar("_Number", "float", "NDArray[np.float64]")


@dataclass(frozen=True)
class Range:
    """An interval of a quantity; one value when ``low`` equals ``high``.

    Attributes:
        low: Lower end.
        high: Upper end.
        log: Whether values are spread evenly in the logarithm.
    """

    low: float
    high: float
    log: bool = False

    @property
    def is_point(self) -> bool:
        """Whether the range is one value."""
        return self.low == self.high

    def sample(self, uniform: _Number) -> _Number:
        """Spread ``uniform`` numbers of [0, 1) over the range: uniformly, or log-uniformly when ``log``.

        Args:
            uniform: A number or an array of any shape, for instance ``rng.random(count)``.
        """
        if self.log:
            spread: _Number = (self.high / self.low) ** uniform
            return self.low * spread
        return self.low + (self.high - self.low) * uniform

    def scaled(self, factor: float) -> Range:
        """The range in another unit."""
        return replace(self, low=self.low * factor, high=self.high * factor)

    def __str__(self) -> str:
        return f"{self.low:g}" if self.is_point else f"{self.low:g}:{self.high:g}"


def parse_range(text: str, *, log: bool = False, signed: bool = False, what: str = "range") -> Range:
    """Read ``"10:100"`` or a single value ``"50"``.

    Args:
        text: As typed.
        log: Whether the range is to be sampled log-uniformly.
        signed: Whether it may be negative.
        what: Name of the quantity in errors, such as "--energy".

    Raises:
        ConfigError: Not numbers, not finite, negative unless ``signed``, reversed, or a log range from zero.
    """
    ends = _numbers(text, what)
    low, high = ends[0], ends[-1]
    if (low < 0 and not signed) or not math.isfinite(low) or not math.isfinite(high):
        expected = "finite numbers" if signed else "finite numbers from zero upwards"
        raise ConfigError(bad(what, got=shown(text), expected=expected))
    if high < low:
        expected = "the lower end first"
        raise ConfigError(bad(what, got=shown(text), expected=expected, fix=f"write {high:g}:{low:g}"))
    if log and low == 0:
        fix = "start above zero or leave --log out"
        raise ConfigError(bad(what, got=shown(text), expected="a logarithmic range above zero", fix=fix))
    return Range(low, high, log)


def _numbers(text: str, what: str) -> list[float]:
    try:
        ends = [float(part) for part in text.split(":")]
    except ValueError:
        ends = []
    if not 1 <= len(ends) <= 2:
        raise ConfigError(bad(what, got=shown(text), expected="a number (50) or a range (10:100)"))
    return ends


def energy_range(text: str, *, log: bool = False, what: str = "--energy") -> Range:
    """Read energies given in GeV; the range is in MeV.

    Raises:
        ConfigError: As ``parse_range``, or an energy of zero.
    """
    energies = parse_range(text, log=log, what=what)
    if energies.low == 0:
        raise ConfigError(bad(f"{what} [GeV]", got=shown(text), expected="energies above zero"))
    return energies.scaled(GEV)


def angle_range(text: str, *, limit: float = 90.0, signed: bool = False, what: str = "--theta") -> Range:
    """Read angles given in degrees; the range is in rad.

    Args:
        text: As typed.
        limit: Angles must stay below it [degrees]: 90 for the angle from the perpendicular.
        signed: Whether they may be negative, above ``-limit``.
        what: Name of the option in errors.

    Raises:
        ConfigError: As ``parse_range``, or an angle of ``limit`` or more.
    """
    angles = parse_range(text, signed=signed, what=what)
    if max(angles.high, -angles.low) >= limit:
        raise ConfigError(bad(f"{what} [degrees]", got=shown(text), expected=f"angles below {limit:g}"))
    return angles.scaled(DEGREE)


class Advance(Protocol):
    """Tells a progress bar that ``n`` more are done."""

    def __call__(self, n: int = 1, /) -> None:
        """Count ``n`` more."""
        ...


@contextmanager
def progress(description: str, total: int, *, done: int = 0, unit: str = "showers") -> Iterator[Advance]:
    """Show progress on stderr: a bar on a terminal, a line from time to time when piped; none with --quiet.

    Args:
        description: What is going on, such as "simulating".
        total: How many there are in all.
        done: How many were there at the start (work that goes on).
        unit: What is counted.
    """
    if not _logger.isEnabledFor(logging.WARNING):  # --quiet
        yield lambda n=1: None  # noqa: ARG005
    elif sys.stderr.isatty():
        with _bar(unit) as bar:
            task = bar.add_task(description, total=total, completed=done)
            yield lambda n=1: bar.update(task, advance=n)
    else:
        lines = _Lines(description, total, done=done, unit=unit)
        yield lines.advance
        lines.finish()


@contextmanager
def megabytes(what: str, total: int, done: int) -> Iterator[Callable[[int], None]]:
    """Progress in MB of what is counted in bytes; arguments as ``caloforge.downloads.Progress`` has them."""
    bytes_done = done
    with progress(what, total // 10**6, done=done // 10**6, unit="MB") as advance:

        def count(n: int) -> None:
            nonlocal bytes_done
            before, bytes_done = bytes_done, bytes_done + n
            advance(bytes_done // 10**6 - before // 10**6)

        yield count


def _bar(unit: str) -> Progress:
    from rich import progress as rich_progress

    class Rate(rich_progress.ProgressColumn):
        """Units per second."""

        def render(self, task: rich_progress.Task) -> str:
            speed = task.finished_speed or task.speed
            return _rate(speed, unit) if speed else ""

    return rich_progress.Progress(
        rich_progress.TextColumn("{task.description}"),
        rich_progress.BarColumn(),
        rich_progress.MofNCompleteColumn(),
        Rate(),
        rich_progress.TimeRemainingColumn(elapsed_when_finished=True),
        console=error_console(),
    )


class _Lines:
    """Progress as plain log lines, at most one every ten seconds."""

    def __init__(self, description: str, total: int, *, done: int, unit: str) -> None:
        self.description, self.total, self.unit = description, total, unit
        self.done, self.first = done, done
        self.start = self.last = time.monotonic()

    def advance(self, n: int = 1, /) -> None:
        """Count, and write a line when the last one is some time ago."""
        self.done += n
        now = time.monotonic()
        if now - self.last >= _LINE_SECONDS and self.done < self.total:
            self.last = now
            left = (self.total - self.done) / self._speed(now)
            self._write(f"{_rate(self._speed(now), self.unit)}, {_duration(left)} left")

    def finish(self) -> None:
        """Write the last line."""
        now = time.monotonic()
        self._write(f"{_rate(self._speed(now), self.unit)}, took {_duration(now - self.start)}")

    def _speed(self, now: float) -> float:
        return (self.done - self.first) / max(now - self.start, 1e-9)

    def _write(self, rest: str) -> None:
        _logger.info("%s: %d of %d %s, %s", self.description, self.done, self.total, self.unit, rest)


def _rate(speed: float, unit: str) -> str:
    return f"{speed:.0f} {unit}/s" if speed >= 10 else f"{speed:.2g} {unit}/s"


def _duration(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d} h" if hours else f"{minutes}:{rest:02d} min"


def print_table(columns: Sequence[str], rows: Sequence[Sequence[object]], *, title: str = "") -> None:
    """Print a table of results on stdout: with lines on a terminal, as aligned plain text when piped."""
    texts = [[str(value) for value in row] for row in rows]
    if sys.stdout.isatty():
        _print_rich_table(columns, texts, title)
        return
    if title:
        typer.echo(title)
    widths = [max(map(len, cells)) for cells in zip(columns, *texts, strict=True)]
    for row in [list(columns), *texts]:
        typer.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def _print_rich_table(columns: Sequence[str], rows: Sequence[Sequence[str]], title: str) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table(title=escape(title) or None, title_justify="left")
    for column in columns:
        table.add_column(escape(column), overflow="fold")
    for row in rows:
        table.add_row(*map(escape, row))
    Console().print(table)
