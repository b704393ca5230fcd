"""Numbered blocks of showers: made in any order, anywhere, kept on disk, joined in order."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from caloforge.blocks.folder import Blocks
from caloforge.blocks.pool import Task, Worker, run_tasks
from caloforge.blocks.store import BlockStore, writing
from caloforge.cluster import run_spread

if TYPE_CHECKING:
    from collections.abc import Generator
    from concurrent.futures import Executor

    from caloforge.blocks.production import Production
    from caloforge.formats.base import ShowerReader
    from caloforge.showers import Showers

__all__ = ["Progress", "run_blocks"]

Progress = Callable[[int], AbstractContextManager[Callable[[int], None]]]


def _no_progress(_: int) -> AbstractContextManager[Callable[[int], None]]:
    return contextlib.nullcontext(lambda _: None)


def run_blocks(
    production: Production,
    *,
    out: Path,
    processes: int = 1,
    executor: Executor | None = None,
    force: bool = False,
    kept: ShowerReader | None = None,
    progress: Progress | None = None,
) -> None:
    """Make all blocks of ``production`` and join them in ``out``; goes on where it was interrupted.

    Finished blocks wait in the folder ``<out>.parts``, which goes away when ``out`` is complete; kill -9,
    Ctrl-C, a full disk and the end of a cluster lose the unfinished blocks only. The file does not depend
    on where its blocks are made.

    Args:
        production: What is made.
        out: The file to write, under a temporary name until it is complete.
        processes: Worker processes (spawned, one thread each, output to ``<out>.parts/worker-n.log``).
        executor: Makes the blocks in place of processes of this machine: anything with the interface of
            ``concurrent.futures``, see ``caloforge.cluster``.
        force: Replace ``out``, and drop the unfinished blocks of another request.
        kept: The first showers of the same request in an earlier file, such as ``out``, which it then
            replaces; its whole blocks are taken over.
        progress: Called with the number of showers found on disk; a context manager that gives the
            function which is told how many more are done. For instance
            ``lambda done: caloforge.cli.common.progress("simulating", count, done=done)``.

    Raises:
        OutputError: ``out`` exists, cannot be written, or has unfinished blocks of another request.
        CaloForgeError: A worker failed or died, or the cluster is lost; the finished blocks stay.
    """
    blocks = Blocks(Path(out), production, kept)
    with blocks.claimed(force=force):
        missing = blocks.missing()
        with (progress or _no_progress)(production.count - _showers(missing)) as advance:
            made = _made(blocks, missing, processes) if executor is None else _sent(blocks, missing, executor)
            with contextlib.closing(made):  # which stops the workers
                for start, stop in made:
                    advance(stop - start)
        with writing(blocks.out):
            file = production.writer(
                blocks.out, geometry=production.geometry, force=force or kept is not None
            )
            blocks.join(file)


def _showers(tasks: list[Task]) -> int:
    return sum(stop - start for start, stop in tasks)


@dataclass(frozen=True)
class _Saver:
    """A worker that saves its blocks where it makes them, so that only ranges travel.

    Attributes:
        worker: Makes showers.
        store: Where they are kept.
        far: Whether that may be a machine without this folder: its showers travel.
    """

    worker: Worker[Showers]
    store: BlockStore
    far: bool = False

    def __call__(self) -> Callable[[int, int], Showers | None]:
        make = self.worker()

        def save(start: int, stop: int) -> Showers | None:
            showers = make(start, stop)
            if self.far and not self.store.is_here():
                return showers
            self.store.save((start, stop), showers)
            return None

        return save


def _made(blocks: Blocks, tasks: list[Task], processes: int) -> Generator[Task]:
    """Make blocks in processes of this machine."""
    if not tasks:
        return
    production = blocks.production
    saver = _Saver(production.worker, blocks.store)
    if processes > 1 or production.isolate:
        results = run_tasks(tasks, saver, processes=processes, logs=blocks.folder)
        with contextlib.closing(results) as done:
            for task, _ in done:
                yield task
        return
    work = saver()
    for task in tasks:
        work(*task)
        yield task


def _sent(blocks: Blocks, tasks: list[Task], executor: Executor) -> Generator[Task]:
    """Let an executor make blocks."""
    store = blocks.store
    saver = _Saver(blocks.production.worker, store, far=True)
    with contextlib.closing(run_spread(tasks, saver, executor=executor)) as done:
        for task, showers in done:
            if showers is not None:
                store.save(task, showers)
            yield task
