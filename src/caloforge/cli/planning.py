"""Commands that make showers, ended otherwise than by making them here: planned, one block made, joined."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import chdir, contextmanager, nullcontext
from contextvars import ContextVar
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from caloforge.errors import ConfigError, clipped

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import typer

    from caloforge.blocks import Production
    from caloforge.blocks.plan import Plan
    from caloforge.sweeps import Sweep

__all__ = [
    "PLANNED",
    "Ending",
    "SweepEnding",
    "ending",
    "run_ended",
    "run_planned",
    "run_sweep_ended",
    "sweep_ending",
]

PLANNED = ("simulate", "generate")
"""Commands whose showers are made in blocks."""

_Ending = TypeVar("_Ending")

Ending = Callable[["Production", Path], None]
"""Gets what is to be made and the output file's name, as it was given."""

SweepEnding = Callable[["Sweep", int], None]
"""Gets the points, and how many showers each model is to be judged with."""

_ending: ContextVar[Ending | None] = ContextVar("ending", default=None)
_sweep_ending: ContextVar[SweepEnding | None] = ContextVar("sweep_ending", default=None)
_HERE = ("--append", "--cluster", "--processes", "--point", "--every", "--show", "--dry-run")


def ending() -> Ending | None:
    """What to do with the production, when it is not to be made here and now."""
    return _ending.get()


def sweep_ending() -> SweepEnding | None:
    """What to do with the points of a sweep, when they are not to be trained here and now."""
    return _sweep_ending.get()


@contextmanager
def _ended_by(variable: ContextVar[_Ending | None], end: _Ending) -> Iterator[None]:
    token = variable.set(end)
    try:
        yield
    finally:
        variable.reset(token)


def run_ended(ctx: typer.Context, command: Sequence[str], end: Ending) -> None:
    """Run a command of the application up to its production, and do ``end`` with it.

    Args:
        ctx: Of the command that calls.
        command: Name and options.
        end: What to do.

    Raises:
        ConfigError: It is no command that makes showers in blocks.
    """
    if not command or command[0] not in PLANNED:
        got = f"{clipped(command[0], 40)!r}" if command else "nothing"
        msg = f"The command to plan: got {got}, expected simulate, generate or sweep with their options."
        raise ConfigError(msg)
    with _ended_by(_ending, end):
        _run(ctx, command)


def run_sweep_ended(ctx: typer.Context, command: Sequence[str], end: SweepEnding) -> None:
    """Run ``caloforge sweep`` up to its points, and do ``end`` with them; arguments as of ``run_ended``."""
    with _ended_by(_sweep_ending, end):
        _run(ctx, command)


def _run(ctx: typer.Context, command: Sequence[str]) -> None:
    if given := [option for option in _HERE if option in command]:
        msg = f"{given[0]} says where and when work is done, and so do the jobs of a plan: leave it out."
        raise ConfigError(msg)
    assert ctx.parent is not None  # the application
    group: Any = ctx.parent.command
    inner = group.get_command(ctx.parent, command[0])
    with inner.make_context(command[0], list(command[1:]), parent=ctx.parent) as context:
        inner.invoke(context)


def run_planned(ctx: typer.Context, plan: Plan, end: Ending) -> None:
    """Run the command of a plan up to its production, where it was given, and do ``end`` with it."""
    folder = Path(plan.folder)
    with chdir(folder) if folder.is_dir() else nullcontext():
        run_ended(ctx, plan.command, end)
