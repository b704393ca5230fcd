"""Stages in processes of their own, each as soon as those that it needs are done.

A signal to this process, or the failure of one stage, stops the others after their step, with their state
saved; a second signal stops them at once. They end with this process, also when it is killed.
"""

from __future__ import annotations

import multiprocessing as mp
import os
import signal
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from typing import TYPE_CHECKING, Any

import torch

from caloforge.cluster import Spread
from caloforge.errors import CaloForgeError
from caloforge.processes import cause_of_death, follow_parent, spawning
from caloforge.signals import catch_signals, deferred, handled, interruption

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from concurrent.futures import Executor
    from multiprocessing.context import SpawnProcess
    from types import FrameType

    from caloforge.training.trainer import Progress

__all__ = ["run_apart", "run_on_cluster"]

Work = Callable[[str, Any], None]

_PAUSE = 0.2  # seconds between two messages of progress
_PATIENCE = 10.0  # seconds that a process gets to end


@dataclass
class _Child:
    name: str
    process: SpawnProcess
    connection: Connection


@dataclass
class _Crew:
    """The processes at work, and why they stop."""

    work: Work
    on_end: Callable[[str, CaloForgeError | None], None] | None = None
    what: str = "stage"
    children: list[_Child] = field(default_factory=list)
    error: CaloForgeError | None = None
    signal: int = 0

    @property
    def is_stopping(self) -> bool:
        """Whether nothing new is started."""
        return bool(self.error or self.signal)

    @deferred()
    def start(self, name: str) -> None:
        """Start a stage."""
        context = mp.get_context("spawn")
        ours, theirs = context.Pipe()
        threads = torch.get_num_threads()
        process = context.Process(target=_child, args=(theirs, self.work, name, threads, self.what))
        with spawning(threads=threads):
            process.start()
        theirs.close()  # so that its death reads as the end of the pipe
        self.children.append(_Child(name, process, ours))

    def stop(self) -> None:
        """Let all stop after their step."""
        for child in self.children:
            child.process.terminate()

    def handle(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002 (signal's signature)
        """Stop after a signal; at once after a second one."""
        if self.signal:
            raise interruption(number)
        self.signal = number
        self.stop()

    def fail(self, name: str, error: CaloForgeError) -> None:
        """Stop after the failure of one, of which the first is told; or let the others go on."""
        if self.on_end is not None:
            self.on_end(name, error)
        elif self.error is None:
            self.error = error
            self.stop()

    def dismiss(self, child: _Child) -> None:
        """Forget a process that has ended."""
        child.process.join(_PATIENCE)
        child.connection.close()
        self.children.remove(child)

    @deferred()
    def end(self) -> None:
        """Leave no process behind."""
        for child in list(self.children):
            child.process.kill()
            self.dismiss(child)


def run_apart(
    needs: Mapping[str, Sequence[str]],
    work: Work,
    *,
    processes: int,
    on_progress: Progress | None,
    on_end: Callable[[str, CaloForgeError | None], None] | None = None,
    what: str = "stage",
) -> None:
    """Do the ``work`` of every stage in a process of its own.

    Args:
        needs: Names of the stages, in order, and those of them that each needs.
        work: Picklable; called with the stage's name and with what shows progress.
        processes: At a time.
        on_progress: Shows progress.
        on_end: Called with the name of each that is done, or has failed with an error. With it, a failure
            ends this one alone; those that need it are left out.
        what: What the names are of.

    Raises:
        CaloForgeError: That of the first process that failed, or one died.
        KeyboardInterrupt: After a signal (of its kind); the states are saved.
    """
    waiting, done = dict(needs), set[str]()
    crew = _Crew(work, on_end=on_end, what=what)
    try:
        with handled(crew.handle):
            while crew.children or _ready(crew, waiting, done):
                _start_ready(crew, waiting, done, processes)
                for connection in wait([child.connection for child in crew.children]):
                    child = next(c for c in crew.children if c.connection is connection)
                    _listen(crew, child, done, on_progress)
    finally:
        crew.end()
    if crew.error is not None:
        raise crew.error
    if crew.signal:
        raise interruption(crew.signal)


def run_on_cluster(
    needs: Mapping[str, Sequence[str]],
    work: Callable[[], Callable[[str], None]],
    *,
    executor: Executor,
    on_done: Callable[[str], None] = lambda name: None,  # noqa: ARG005
) -> None:
    """Do the work of every stage through an executor, each as soon as those that it needs are done.

    Args:
        needs: Names of the stages, in order, and those of them that each needs.
        work: Picklable; called once in a process on a worker, returns what trains the stage of a name.
        executor: See ``caloforge.cluster``.
        on_done: Called with the name of each.

    Raises:
        CaloForgeError: A stage failed, or the cluster is lost; what was saved stays.
    """
    waiting, done = dict(needs), set[str]()
    with Spread(work, executor) as spread:
        while waiting or spread:
            for name in [name for name, needed in waiting.items() if done.issuperset(needed)]:
                del waiting[name]
                spread.submit((name,))
            (name,), _ = spread.next()
            done.add(name)
            on_done(name)


def _ready(crew: _Crew, waiting: dict[str, Sequence[str]], done: set[str]) -> list[str]:
    """Those that can be started."""
    return [] if crew.is_stopping else [name for name, n in waiting.items() if done.issuperset(n)]


def _start_ready(crew: _Crew, waiting: dict[str, Sequence[str]], done: set[str], processes: int) -> None:
    for name in _ready(crew, waiting, done):
        if len(crew.children) < processes:
            del waiting[name]
            crew.start(name)


def _listen(crew: _Crew, child: _Child, done: set[str], on_progress: Progress | None) -> None:
    """Hear what a process has to say."""
    try:
        message = child.connection.recv()
    except (EOFError, ConnectionError):
        message = None
    if isinstance(message, tuple):
        if on_progress is not None:
            on_progress(*message)
        return
    if message is None and not crew.is_stopping:
        how = cause_of_death(child.process)
        message = CaloForgeError(
            f"The process that trained the {crew.what} {child.name} died ({how}): run the same command again "
            "to go on from its last checkpoint."
        )
    crew.dismiss(child)
    if isinstance(message, CaloForgeError):
        crew.fail(child.name, message)
    if message == "done":
        done.add(child.name)
        if crew.on_end is not None:
            crew.on_end(child.name, None)


def _child(connection: Connection, work: Work, name: str, threads: int, what: str) -> None:
    follow_parent(lambda: os.kill(os.getpid(), signal.SIGTERM))
    torch.set_num_threads(threads)
    answer: str | CaloForgeError = "done"
    try:
        _take_signals()
        work(name, _Teller(connection))
    except KeyboardInterrupt:
        answer = "stopped"
    except CaloForgeError as error:
        answer = error
    except Exception as error:  # noqa: BLE001 (everything is reported to the parent)
        traceback.print_exc()
        answer = CaloForgeError(f"The {what} {name} failed with {type(error).__name__}: {error}.")
    with suppress(OSError):  # the parent is gone
        connection.send(answer)


def _take_signals() -> None:
    """The parent says when to stop: Ctrl-C on the terminal, which reaches all, is not for this process."""
    catch_signals()
    for number in (signal.SIGINT, getattr(signal, "SIGHUP", signal.SIGINT)):
        signal.signal(number, signal.SIG_IGN)
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_SETMASK, ())


class _Teller:
    """Tells the parent of progress, from time to time and at the end."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._last = 0.0

    def __call__(self, stage: str, done: int, total: int, loss: float) -> None:
        now = time.monotonic()
        if done == total or now - self._last > _PAUSE:
            self._last = now
            with suppress(OSError):  # the parent is gone: there is still a state to save
                self._connection.send((stage, done, total, loss))
