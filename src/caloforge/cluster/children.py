"""The processes that a cluster's worker keeps for its tasks."""

from __future__ import annotations

import contextlib
import hashlib
import os
import pickle
import socket
import subprocess
import sys
import tempfile
import threading
from dataclasses import dataclass, field
from multiprocessing import Pipe
from typing import TYPE_CHECKING, Any

from caloforge import __version__
from caloforge.errors import CaloForgeError, clipped
from caloforge.processes import died, threads_told

if TYPE_CHECKING:
    from collections.abc import Callable
    from multiprocessing.connection import Connection

__all__ = ["Remote"]


@dataclass(frozen=True)
class Remote:
    """A function for an executor: does a task of ``work`` in a process that is kept for the next one.

    Attributes:
        work: Pickled; called once in the process, returns the function that does a task.
        folder: Where the process works, if the machine has it.
        version: Of the program that sends it.
    """

    work: bytes
    folder: str = field(default_factory=os.getcwd)
    version: str = __version__

    @staticmethod
    def of(work: Callable[[], Callable[..., Any]]) -> Remote:
        """Make one of ``work``, which is picklable."""
        return Remote(pickle.dumps(work))

    def __call__(self, *task: Any) -> Any:
        """Do a task.

        Raises:
            CaloForgeError: The work failed, its process died, or this machine has another version.
        """
        if self.version != __version__:
            msg = (
                f"The worker {socket.gethostname()} has caloforge {__version__}, not {self.version}: "
                "install the same version on all machines."
            )
            raise CaloForgeError(msg)
        child = _kept.take(self)
        try:
            result = child.do(task)
        except BaseException:
            child.end()
            raise
        _kept.give(self, child)
        return result


class _Child:
    """A process for one kind of work."""

    def __init__(self, remote: Remote) -> None:
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 (as long as the process)
        self._connection, theirs = Pipe()
        self._process = _start(theirs, remote.folder, self._log.fileno())
        theirs.close()  # so that its death reads as the end of the pipe
        with contextlib.suppress(OSError):  # it is dead already, which shows with the first task
            self._connection.send_bytes(remote.work)

    @property
    def is_alive(self) -> bool:
        """Whether it waits for a task."""
        return self._process.poll() is None

    def do(self, task: tuple[Any, ...]) -> Any:
        """Have a task done."""
        try:
            self._connection.send(task)
            result, error = self._connection.recv()
        except (EOFError, ConnectionError):
            raise CaloForgeError(self._obituary(task)) from None
        if error is not None:
            raise error
        return result

    def _obituary(self, task: tuple[Any, ...]) -> str:
        how = died(self._process.wait())
        self._log.seek(0)
        words = self._log.read()[-2000:].decode(errors="replace").split("\n")
        last = clipped(next((line for line in reversed(words) if line.strip()), "none"), 200)
        return (
            f"A process on {socket.gethostname()} died ({how}) at the task {task}; its last words: {last}; "
            "run the same command again to go on where it stopped."
        )

    def end(self) -> None:
        """Kill it: what it writes has no name yet."""
        self._process.kill()
        self._process.communicate()
        self._connection.close()
        self._log.close()


def _start(theirs: Connection, folder: str, log: int) -> subprocess.Popen[bytes]:
    environment = {
        **os.environ,
        **threads_told(1),
        "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
    }
    return subprocess.Popen(
        [sys.executable, "-m", "caloforge.cluster.child", str(theirs.fileno())],
        stdin=subprocess.PIPE,
        stdout=log,
        stderr=log,
        pass_fds=[theirs.fileno()],
        cwd=folder if os.path.isdir(folder) else None,  # noqa: PTH112 (a name that was sent)
        env=environment,
        start_new_session=True,
    )


@dataclass
class _Kept:
    """Idle processes; only those of the work that was asked for last, as each has memory of its own."""

    key: str = ""
    idle: list[_Child] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def take(self, remote: Remote) -> _Child:
        """An idle process, or a new one."""
        with self.lock:
            if self.key != (key := _key(remote)):
                self._change(key)
            while self.idle:
                child = self.idle.pop()
                if child.is_alive:
                    return child
                child.end()
        return _Child(remote)

    def give(self, remote: Remote, child: _Child) -> None:
        """Keep a process for the next task."""
        with self.lock:
            if self.key == _key(remote):
                self.idle.append(child)
                return
        child.end()

    def _change(self, key: str) -> None:
        for child in self.idle:
            child.end()
        self.idle.clear()
        self.key = key


def _key(remote: Remote) -> str:
    return hashlib.sha256(remote.work + remote.folder.encode()).hexdigest()


_kept = _Kept()
