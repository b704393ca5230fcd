"""Numbered blocks of showers: made in any order, kept on disk, joined in order."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import shutil
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from caloforge import __version__
from caloforge.blocks.pool import Task, Worker, run_tasks
from caloforge.errors import CaloForgeError, FormatError, OutputError
from caloforge.files import claimed, locked
from caloforge.formats.native import NativeReader, NativeWriter
from caloforge.markup import parse_json
from caloforge.signals import deferred

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Mapping

    from caloforge.formats.base import ShowerReader, ShowerWriter, WriterFactory
    from caloforge.geometry import Geometry
    from caloforge.showers import Showers

__all__ = ["Blocks", "Progress", "differences", "run_blocks"]

_logger = logging.getLogger(__name__)

Progress = Callable[[int], AbstractContextManager[Callable[[int], None]]]


def _no_progress(_: int) -> AbstractContextManager[Callable[[int], None]]:
    return contextlib.nullcontext(lambda _: None)


def run_blocks(
    *,
    out: Path,
    count: int,
    block: int,
    request: Mapping[str, Any],
    worker: Worker[Showers],
    processes: int = 1,
    isolate: bool = False,
    writer: WriterFactory = NativeWriter,
    geometry: Geometry | None = None,
    force: bool = False,
    kept: ShowerReader | None = None,
    progress: Progress = _no_progress,
) -> None:
    """Make showers 0 to ``count`` in blocks and write them to ``out``; goes on where it was interrupted.

    Finished blocks wait in the folder ``<out>.parts``, which goes away when ``out`` is complete; kill -9,
    Ctrl-C and a full disk lose the unfinished blocks only. The showers of a block must depend on its
    range alone; then the file does not depend on ``processes``.

    Args:
        out: The file to write, under a temporary name until it is complete.
        count: Showers in all.
        block: Showers a block: what a process holds in memory, and what an interruption loses.
        request: Everything that determines the showers, as JSON types; kept beside the blocks, so
            that only the same request goes on with them.
        worker: Picklable; called once in every process. What it returns is called with
            (start, stop) and returns these showers.
        processes: Worker processes (spawned, one thread each, output to ``<out>.parts/worker-n.log``).
        isolate: Use a worker process even for ``processes=1``, which otherwise works in this process
            with the threads that it has.
        writer: Opens the final file; any format. ``functools.partial(NativeWriter, provenance=...)``
            adds provenance.
        geometry: Given to ``writer``.
        force: Replace ``out``, and drop the unfinished blocks of another request.
        kept: The first showers of the same request in an earlier file, such as ``out``, which it then
            replaces; its whole blocks are taken over.
        progress: Called with the number of showers found on disk; a context manager that gives the
            function which is told how many more are done. For instance
            ``lambda done: caloforge.cli.common.progress("simulating", count, done=done)``.

    Raises:
        OutputError: ``out`` exists, cannot be written, or has unfinished blocks of another request.
        CaloForgeError: A worker failed or died; its finished blocks stay.
    """
    out = Path(out)
    blocks = Blocks(out, count=count, size=block, kept=kept)
    with blocks.claimed(request, force=force):
        missing = blocks.missing()
        with progress(count - sum(stop - start for start, stop in missing)) as advance:
            saver = _Saver(worker, replace(blocks, kept=None))
            made = _make(missing, saver, processes, isolate=isolate, logs=blocks.folder)
            with contextlib.closing(made):  # which stops the workers
                for start, stop in made:
                    advance(stop - start)
        with _writing(out):
            blocks.join(writer(out, geometry=geometry, force=force or kept is not None))


@dataclass(frozen=True)
class Blocks:
    """The folder of finished blocks beside an output file.

    Attributes:
        out: The output file.
        count: Showers in all.
        size: Showers a block.
        kept: An open file of the first showers.
    """

    out: Path
    count: int
    size: int
    kept: ShowerReader | None = None

    @property
    def folder(self) -> Path:
        """Where the blocks are."""
        return self.out.with_name(self.out.name + ".parts")

    def tasks(self) -> list[Task]:
        """The blocks' ranges (start, stop) in order."""
        starts = range(0, self.count, self.size)
        return [(start, min(start + self.size, self.count)) for start in starts]

    def missing(self) -> list[Task]:
        """The blocks that are neither in the folder nor in the file that is kept."""
        return [task for task in self.tasks() if not (self._is_kept(task) or self.is_finished(task))]

    def _is_kept(self, task: Task) -> bool:
        """A last block that was shorter is made again: showers agree to rounding only in other batches."""
        return self.kept is not None and task[1] <= len(self.kept)

    def path(self, task: Task) -> Path:
        """The file of a finished block."""
        return self.folder / f"{task[0]:010d}.h5"

    def is_finished(self, task: Task) -> bool:
        """Whether a block is there and whole; a damaged one is removed, with a warning."""
        path = self.path(task)
        if not path.exists():
            return False
        try:
            with NativeReader(path) as reader:
                reader.verify()
                if len(reader) == task[1] - task[0]:
                    return True
                problem = f"{path} holds {len(reader)} showers, not {task[1] - task[0]}."
        except CaloForgeError as error:
            problem = str(error)
        _logger.warning("A finished block is damaged and made again: %s", problem)
        path.unlink(missing_ok=True)
        return False

    def save(self, task: Task, showers: Showers) -> None:
        """Write a block under a name of this process, then give it its own.

        Raises:
            OutputError: It cannot be written.
        """
        if len(showers) != task[1] - task[0]:
            msg = f"The worker returned {len(showers)} showers for the range {task[0]} to {task[1]}."
            raise CaloForgeError(msg)
        mine = self.folder / f"unfinished-{os.getpid()}.h5"
        with _writing(self.out):
            with NativeWriter(mine, geometry=None, force=True) as file:
                file.append(showers)
            mine.replace(self.path(task))

    def join(self, file: ShowerWriter) -> None:
        """Write all blocks in order, complete ``file`` and remove the folder, these two at once."""
        try:
            for showers in self.stream():
                file.append(showers)
        except BaseException:
            file.abort()
            raise
        with deferred():
            file.close()
            self.remove()

    def stream(self) -> Iterator[Showers]:
        """The blocks in order."""
        for start, stop in self.tasks():
            if self.kept is not None and self._is_kept((start, stop)):
                yield self.kept.read(start, stop)
            else:
                with NativeReader(self.path((start, stop))) as reader:
                    yield reader.read(0, stop - start)

    @contextlib.contextmanager
    def claimed(self, request: Mapping[str, Any], *, force: bool) -> Iterator[None]:
        """Own the folder: no other process may work in it, and its blocks are those of ``request``.

        A folder without a finished block is removed on failure, unless a log in it is wanted.

        Raises:
            KeyboardInterrupt: After Ctrl-C or SIGTERM; its text tells what is kept, if anything.
            OutputError: Another process works in it, or it has blocks of another request.
        """
        busy = f"Another process is writing {self.out}: wait for it, or choose another name."
        with (
            claimed(self.out, force=force or self.kept is not None),
            self._made(),
            locked(self.folder / "lock", busy=busy, of=self.out),
            self._removed_when_empty(),
        ):
            self._adopt({**request, "count": self.count, "block": self.size}, force=force)
            with self._telling():
                yield

    @contextlib.contextmanager
    def _made(self) -> Iterator[None]:
        try:
            with _writing(self.out):
                self.folder.mkdir(exist_ok=True)
            yield
        finally:
            with contextlib.suppress(OSError):  # something is in it, or it is gone
                self.folder.rmdir()

    @contextlib.contextmanager
    def _telling(self) -> Iterator[None]:
        """Say what is kept when something stops the work."""
        try:
            yield
        except KeyboardInterrupt as stop:
            if not (kept := self._kept()):
                raise
            raise type(stop)(kept) from None
        except OutputError as error:
            if not (kept := self._kept()):
                raise
            msg = f"{str(error).rstrip('.')}; {kept}."
            raise OutputError(msg) from error

    @contextlib.contextmanager
    def _removed_when_empty(self) -> Iterator[None]:
        try:
            yield
        except BaseException as error:
            with deferred():
                self._drop_unfinished()
                if not (any(self._finished()) or str(self.folder) in str(error)):
                    self.remove()
            raise

    def _kept(self) -> str:
        """What is on disk and how to go on, or nothing."""
        if not any(self._finished()):
            return ""
        # by their names: to read them all again would take long after Ctrl-C
        there = (task for task in self.tasks() if self._is_kept(task) or self.path(task).exists())
        kept = sum(stop - start for start, stop in there)
        return f"{kept} of {self.count} showers are kept: run the same command again to go on"

    def remove(self) -> None:
        """Remove the folder."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _finished(self) -> Iterator[Path]:
        return self.folder.glob("[0-9]*.h5")

    def _adopt(self, request: Mapping[str, Any], *, force: bool) -> None:
        text = json.dumps({"caloforge": __version__, **request}, indent=1, sort_keys=True)
        stored = self.folder / "request.json"
        old = stored.read_text(encoding="utf-8", errors="replace") if stored.exists() else ""
        if old != text:
            if any(self._finished()) and not force:
                raise OutputError(_other_request(self, old, text))
            for path in self._finished():
                path.unlink()
            with _writing(self.out):
                temporary = self.folder / "unfinished-request.json"
                temporary.write_text(text, encoding="utf-8")
                temporary.replace(stored)
        self._drop_unfinished()

    def _drop_unfinished(self) -> None:
        """Remove what killed workers were writing."""
        for leftover in self.folder.glob("unfinished-*"):
            leftover.unlink(missing_ok=True)


@dataclass(frozen=True)
class _Saver:
    """A worker that saves its blocks where it made them, so that only ranges cross the pipe."""

    worker: Worker[Showers]
    blocks: Blocks

    def __call__(self) -> Callable[[int, int], None]:
        make = self.worker()

        def save(start: int, stop: int) -> None:
            self.blocks.save((start, stop), make(start, stop))

        return save


def _make(
    tasks: list[Task], worker: Worker[None], processes: int, *, isolate: bool, logs: Path
) -> Generator[Task]:
    if not tasks:
        return
    if processes > 1 or isolate:
        with contextlib.closing(run_tasks(tasks, worker, processes=processes, logs=logs)) as done:
            for task, _ in done:
                yield task
        return
    work = worker()
    for task in tasks:
        work(*task)
        yield task


def _other_request(blocks: Blocks, old: str, new: str) -> str:
    try:
        there = parse_json(old or "{}", source="It", error=FormatError)
        different = differences(there, json.loads(new))
    except FormatError:
        different = "its request.json is damaged"
    return (
        f"{blocks.folder} has unfinished showers of another request ({different}): repeat "
        f"that request to finish them, choose another name, or give --force to drop them."
    )


def differences(there: object, here: object) -> str:
    """Name the first values in which two requests differ, as JSON types; empty when they are equal."""
    old, new = dict(_leaves(there)), dict(_leaves(here))
    keys = [key for key in {**old, **new} if old.get(key) != new.get(key)]
    shown = [f"{key} {old.get(key)!r:.60} there and {new.get(key)!r:.60} here" for key in keys[:3]]
    rest = [f"{len(keys) - 3} more"] if len(keys) > 3 else []
    return ", ".join([*shown, *rest])


def _leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """The single values in nested JSON, by their paths (``beam.energy.0``)."""
    if not isinstance(value, dict | list):
        yield path, value
        return
    for key, item in value.items() if isinstance(value, dict) else enumerate(value):
        yield from _leaves(item, f"{path}.{key}" if path else str(key))


@contextlib.contextmanager
def _writing(out: Path) -> Iterator[None]:
    """Say which file could not be written."""
    try:
        yield
    except OSError as error:
        cause = error.__cause__ if isinstance(error, OutputError) else error
        if not isinstance(cause, OSError):
            raise
        msg = f"Cannot write {out}: {cause.strerror or cause}."
        raise OutputError(msg) from error
