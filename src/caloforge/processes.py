"""Child processes: with how many threads they start, how they end with their parent, how they died."""

from __future__ import annotations

import multiprocessing as mp
import os
import signal
import sys
import threading
from contextlib import contextmanager
from multiprocessing import resource_tracker
from multiprocessing.connection import wait
from typing import TYPE_CHECKING

from caloforge.signals import STOPPING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from multiprocessing.process import BaseProcess

__all__ = ["cause_of_death", "died", "follow_parent", "spawning", "threads_told"]

_THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")


@contextmanager
def spawning(*, threads: int = 1) -> Iterator[None]:
    """What the processes started inside inherit: so many threads, and blocked signals."""
    before = {name: os.environ.get(name) for name in _THREAD_VARIABLES}
    os.environ.update(threads_told(threads))
    if sys.platform != "win32":
        resource_tracker.ensure_running()  # which would unblock them, were it started with the first child
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, STOPPING)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
        if sys.platform != "win32":
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def threads_told(threads: int) -> dict[str, str]:
    """The environment of a process that computes with so many threads."""
    return dict.fromkeys(_THREAD_VARIABLES, str(threads))


def follow_parent(end: Callable[[], object]) -> None:
    """Call ``end`` when the parent of this process is gone, also when it was killed."""
    threading.Thread(target=_wait_for_parent, args=(end,), daemon=True).start()


def _wait_for_parent(end: Callable[[], object]) -> None:
    parent = mp.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        end()


def cause_of_death(process: BaseProcess) -> str:
    """How a child ended."""
    process.join()
    return died(process.exitcode or 0)


def died(code: int) -> str:
    """What an exit code says."""
    return f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
