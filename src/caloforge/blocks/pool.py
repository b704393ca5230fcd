"""Worker processes that survive nothing and hide nothing: a crash or error becomes one sentence.

Workers are started by ``spawn`` (safe with torch and Geant4) with one thread each. Their output goes
to log files. They never see Ctrl-C or SIGTERM: the parent stops them; and they end when it is killed.
"""

from __future__ import annotations

import contextlib
import logging
import multiprocessing as mp
import os
import sys
import traceback
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from typing import TYPE_CHECKING, Any, TypeVar

from caloforge.errors import CaloForgeError, clipped
from caloforge.processes import cause_of_death, follow_parent, spawning
from caloforge.signals import deferred, ignore_signals

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence
    from multiprocessing.context import SpawnProcess
    from pathlib import Path

__all__ = ["Task", "Worker", "run_tasks"]

T = TypeVar("T")
Task = tuple[int, int]
Worker = Callable[[], Callable[[int, int], T]]

_PATIENCE = 5.0  # seconds that a worker without a task gets to end

_log = logging.getLogger(__name__)


@dataclass
class _Member:
    process: SpawnProcess
    connection: Connection
    log: Path
    task: Task | None = None


def run_tasks(
    tasks: Sequence[Task],
    worker: Worker[T],
    *,
    processes: int,
    logs: Path,
) -> Generator[tuple[Task, T]]:
    """Do ``tasks`` in ``processes`` worker processes and yield results as they come.

    Args:
        tasks: Ranges of showers (start, stop), handed out in order.
        worker: Picklable; called once in every process, returns the function that does a task.
        processes: Worker processes; never more than tasks.
        logs: An existing folder; the output of process n goes to ``worker-n.log`` in it.

    Yields:
        A task and its (pickled) result.

    Raises:
        CaloForgeError: A worker raised or died; the other workers are stopped.
    """
    queue = deque(tasks)
    members: list[_Member] = []
    try:
        with deferred(), spawning():
            for number in range(min(processes, len(queue))):
                members.append(_start(worker, logs / f"worker-{number}.log"))  # noqa: PERF401 (for _stop)
        for member in members:
            _assign(member, queue)
        while busy := {m.connection: m for m in members if m.task is not None}:
            for connection in wait(list(busy)):
                member = busy[connection]  # type: ignore[index]
                yield _collect(member)
                _assign(member, queue)
    finally:
        _stop(members)


def _start(worker: Worker[Any], log: Path) -> _Member:
    context = mp.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_child, args=(theirs, worker, str(log)), daemon=True)
    process.start()
    theirs.close()  # so that the death of the worker reads as the end of the pipe
    return _Member(process, ours, log)


def _assign(member: _Member, queue: deque[Task]) -> None:
    member.task = queue.popleft() if queue else None
    # a worker that is dead already shows when its answer is collected
    with contextlib.suppress(OSError):
        member.connection.send(member.task)


def _collect(member: _Member) -> tuple[Task, Any]:
    assert member.task is not None  # only busy members are asked
    try:
        result, error = member.connection.recv()
    except (EOFError, ConnectionError):
        raise CaloForgeError(_obituary(member)) from None
    if error is not None:
        raise error
    return member.task, result


def _obituary(member: _Member) -> str:
    how = cause_of_death(member.process)
    start, stop = member.task or (0, 0)
    return (
        f"A worker process died ({how}) while making showers {start} to {stop - 1}: its last words are "
        f"in {member.log}; run the same command again to go on where it stopped."
    )


@deferred()
def _stop(members: list[_Member]) -> None:
    for member in members:
        member.connection.close()
        if member.task is not None:
            member.process.kill()  # what it writes has no name yet
    for member in members:
        member.process.join(_PATIENCE)
        if member.process.is_alive():
            _log.warning("worker process %d does not end: killed", member.process.pid)
            member.process.kill()
            member.process.join()
        member.process.close()


def _child(connection: Connection, worker: Worker[Any], log: str) -> None:
    ignore_signals()
    _redirect_output(log)
    follow_parent(lambda: os._exit(1))
    try:
        work = worker()
        while (task := connection.recv()) is not None:
            connection.send((work(*task), None))
    except (EOFError, ConnectionError):
        return  # the parent closed its end
    except BaseException as error:  # noqa: BLE001 (everything is reported to the parent)
        traceback.print_exc()
        connection.send((None, _sentence(error, log)))


def _redirect_output(log: str) -> None:
    sys.stdout.flush()
    sys.stderr.flush()
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    os.close(descriptor)


def _sentence(error: BaseException, log: str) -> CaloForgeError:
    if isinstance(error, CaloForgeError):
        return error
    told = clipped(f"{type(error).__name__}: {error}", 300)
    return CaloForgeError(f"A worker failed with {told}; the traceback is in {log}.")
