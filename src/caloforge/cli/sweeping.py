"""What ``caloforge sweep`` does with its options."""

from __future__ import annotations

import logging
import time
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING

import typer

from caloforge.cli.checks import check_model, check_showers
from caloforge.cli.common import print_table
from caloforge.cli.sweep_progress import SweepProgress
from caloforge.errors import CaloForgeError, ConfigError, MissingDependencyError, bad
from caloforge.files import locked, replacing
from caloforge.optional import REPORT, check_installed

if TYPE_CHECKING:
    from collections.abc import Sequence
    from concurrent.futures import Executor
    from pathlib import Path

    from caloforge.sweeps import Row, Sweep

__all__ = [
    "SHOWERS",
    "Asked",
    "check_sweep",
    "chosen",
    "judging",
    "list_points",
    "run_sweep",
    "show_sweep",
    "sweep_of",
]

SHOWERS = 1000
"""That a model is judged with."""

_SHARE = 0.05  # of the time that may go into tables while points are trained

_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Asked:
    """The options that say what is trained; those of ``caloforge sweep``."""

    preset: str | None
    overrides: tuple[str, ...] = ()
    vary: tuple[str, ...] = ()
    seeds: str = "1"
    data: tuple[Path, ...] = ()
    random: int | None = None
    draw_seed: int = 1
    init_from: Path | None = None
    retrain: tuple[str, ...] = ()
    fine_tune: tuple[str, ...] = ()
    device: str = "cpu"
    precision: str = "32-true"
    threads: int = 1


def sweep_of(asked: Asked, out: Path) -> Sweep:
    """The sweep that is asked for, or that of the folder, when no preset is given. Imports no torch.

    Raises:
        ConfigError: Something is wrong or missing.
        FormatError: A file of the data is none of showers.
        OutputError: The folder holds another sweep.
    """
    from caloforge.sweeps import Request, grid, parse_axis, parse_seeds, planned, read_sweep

    if asked.preset is None:
        if asked != Asked(preset=None):
            raise ConfigError("The preset is missing: name it, or give --out FOLDER alone to go on there.")
        found = read_sweep(out)
        found.request.check()
        return found
    axes = [parse_axis(text) for text in asked.vary]
    points = grid(axes, parse_seeds(asked.seeds), drawn=asked.random, draw_seed=asked.draw_seed)
    _check_apart(asked, [axis.key for axis in axes])
    if not asked.data:
        raise ConfigError("--data is missing: it says which showers to train on.")
    check_showers(asked.data)
    if asked.init_from is not None:
        check_model(asked.init_from)
    request = Request.of(
        asked.preset,
        data=asked.data,
        init_from=asked.init_from,
        overrides=list(asked.overrides),
        retrain=list(asked.retrain),
        fine_tune=list(asked.fine_tune),
        device=asked.device,
        precision=asked.precision,
        threads=asked.threads,
    )
    return planned(out, request, points)


def _check_apart(asked: Asked, keys: list[str]) -> None:
    fixed = [override.partition("=")[0] for override in asked.overrides]
    if both := next((key for key in keys if key in fixed), ""):
        msg = f"{both} is set and varied: leave {both}=... or --vary {both}=... out."
        raise ConfigError(msg)


def judging(*, judge: bool, showers: int | None) -> int:
    """Showers to judge with; 0 to leave that out.

    Raises:
        ConfigError: The options do not go together.
    """
    if showers is not None and not judge:
        raise ConfigError("--showers is how many --judge looks at: give --judge, or leave it out.")
    return (showers or SHOWERS) if judge else 0


def chosen(sweep: Sweep, point: int | None, every: int | None) -> list[int]:
    """The numbers of the points to train.

    Raises:
        ConfigError: There is no such point.
    """
    total = len(sweep.points)
    if point is None:
        if every is not None:
            raise ConfigError("--every is the step from --point on: give --point K, or leave it out.")
        return list(range(total))
    if point >= total:
        raise ConfigError(bad("--point", got=point, expected=f"one of 0 to {total - 1}"))
    return list(range(point, total, every or total))


def check_sweep(sweep: Sweep, numbers: Sequence[int]) -> None:
    """What is wrong with a key or a value of any point is told before anything starts.

    Raises:
        ConfigError: Something is.
    """
    from caloforge.sweeps import check_points

    check_points(sweep, numbers)


def list_points(sweep: Sweep, numbers: Sequence[int]) -> None:
    """Print the points, and where they are trained."""
    rows = [
        (
            n,
            *(sweep.points[n].values.get(key, "") for key in sweep.keys),
            sweep.points[n].seed,
            sweep.folder(n),
        )
        for n in numbers
    ]
    title = f"{len(numbers)} points of {sweep.request.preset}"
    print_table(("point", *sweep.keys.values(), "seed", "folder"), rows, title=title)


def run_sweep(
    sweep: Sweep,
    numbers: Sequence[int],
    *,
    showers: int,
    processes: int,
    executor: Executor | None,
    alone: bool,
) -> None:
    """Train points and print what has become of them.

    Args:
        sweep: The points.
        numbers: Which.
        showers: To judge with; 0 leaves that out.
        processes: At a time.
        executor: Of a cluster, in place of these.
        alone: Whether nobody else may work on this sweep at the same time; jobs of an array do.

    Raises:
        CaloForgeError: All points failed, or the cluster is lost.
        KeyboardInterrupt: After a signal; what is trained stays.
    """
    from caloforge.sweeps import begin, run_points

    begin(sweep)
    busy = f"Another process is training the points of {sweep.out}: wait for it, or name a new folder."
    with ExitStack() as stack:
        if alone:
            stack.enter_context(locked(sweep.out / "lock", busy=busy, of=sweep.out))
        show = stack.enter_context(SweepProgress(len(numbers)))
        tables = _Tables(sweep)

        def end(number: int) -> None:
            show.end(number)
            tables.write()

        try:
            run_points(
                sweep,
                numbers,
                showers=showers,
                processes=processes,
                executor=executor,
                on_progress=show,
                on_end=end,
            )
        except KeyboardInterrupt as stop:
            raise type(stop)(_left(sweep, numbers)) from None
    _finish(sweep, numbers)


class _Tables:
    """Writes the tables of a sweep, now and then: with thousands of points that takes a while."""

    def __init__(self, sweep: Sweep) -> None:
        self._sweep, self._next = sweep, 0.0

    def write(self) -> None:
        from caloforge.sweeps import write_tables

        now = time.monotonic()
        if now >= self._next:
            write_tables(self._sweep)
            took = time.monotonic() - now
            self._next = now + took / _SHARE


def _left(sweep: Sweep, numbers: Sequence[int]) -> str:
    from caloforge.sweeps import gather

    rows = gather(sweep)
    trained = sum(rows[number].state == "trained" for number in numbers)
    return f"{trained} of {len(numbers)} points are trained: run the same command again to go on"


def _finish(sweep: Sweep, numbers: Sequence[int]) -> None:
    from caloforge.sweeps import gather, write_tables

    write_tables(sweep)
    rows = gather(sweep)
    _draw(sweep, rows)
    print_sweep(sweep, rows)
    asked = [rows[number] for number in numbers]
    failed = [row for row in asked if row.state == "failed"]
    if len(failed) == len(asked):
        said = f"All {len(failed)} points failed" if len(failed) > 1 else f"Point {failed[0].number} failed"
        msg = f"{said}: {failed[0].sentence}"
        raise CaloForgeError(msg)
    if failed:
        _logger.warning("%d of %d points failed; the table says why", len(failed), len(asked))
    if waiting := [row.number for row in asked if row.state not in {"trained", "failed"}]:
        _logger.warning("other processes train the points %s", ", ".join(map(str, waiting)))


def _draw(sweep: Sweep, rows: Sequence[Row]) -> None:
    try:
        check_installed(*REPORT, extra="report", what="The picture of the sweep")
    except MissingDependencyError as error:
        _logger.warning("%s", error)
        return
    from caloforge.report.sweeps import sweep_picture

    if (picture := sweep_picture(sweep, rows)) is not None:
        with replacing(sweep.out / "results.png") as part:
            part.write_bytes(picture)


def show_sweep(folder: Path) -> None:
    """Print the tables of a sweep as far as it is.

    Raises:
        ConfigError: There is none.
    """
    from caloforge.sweeps import gather, read_sweep

    found = read_sweep(folder)
    print_sweep(found, gather(found))


def print_sweep(sweep: Sweep, rows: Sequence[Row]) -> None:
    """Print the tables of a sweep."""
    from caloforge.sweeps import judged_by
    from caloforge.sweeps.tables import floor_sentence, point_table, seed_table

    judged = judged_by(rows)
    for table in (point_table(sweep, rows, judged), seed_table(sweep, rows, judged)):
        if table is not None:
            print_table(table.columns, table.rows, title=table.title)
    if floors := floor_sentence(rows):
        typer.echo(floors)
    for row in rows:
        if row.state == "failed":
            typer.echo(f"{row.number} failed: {row.sentence}")
