"""Finished blocks of showers on disk, a file each, which know the request that they belong to."""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import socket
import sys
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING

from caloforge.errors import CaloForgeError, FormatError, OutputError
from caloforge.formats.native import NativeReader, NativeWriter

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from caloforge.blocks.pool import Task
    from caloforge.formats.base import ShowerReader
    from caloforge.showers import Showers

__all__ = ["REQUEST", "BlockStore", "writing"]

_logger = logging.getLogger(__name__)

_UNFINISHED = "unfinished"
REQUEST = "request.json"
"""Beside the blocks: the text that the fingerprint is of."""


@dataclass(frozen=True)
class BlockStore:
    """A folder of finished blocks; any number of processes of any machines may write to it.

    Attributes:
        folder: Where the blocks are.
        fingerprint: That of the request; blocks of another one are not taken.
        out: What is said to be written when that fails.
    """

    folder: Path
    fingerprint: str
    out: Path

    def path(self, task: Task) -> Path:
        """The file of a finished block."""
        return self.folder / f"{task[0]:010d}.h5"

    def is_here(self) -> bool:
        """Whether this machine has the folder, and not another one of its name."""
        with contextlib.suppress(OSError):
            return hashlib.sha256((self.folder / REQUEST).read_bytes()).hexdigest() == self.fingerprint
        return False

    def finished(self) -> Iterator[Path]:
        """All that look like finished blocks."""
        return self.folder.glob("[0-9]*.h5")

    def read(self, task: Task) -> Showers:
        """The showers of a block, whole and of this request.

        Raises:
            FormatError: They are not.
        """
        with NativeReader(self.path(task)) as reader:
            if misfit := self._misfit(reader, task):
                raise FormatError(misfit)
            return reader.read(0, len(reader))  # which compares them with their checksums

    def is_finished(self, task: Task) -> bool:
        """Whether a block is there and whole; one that is not, or is foreign, is removed with a warning."""
        path = self.path(task)
        if not path.exists():
            return False
        if not (problem := self._problem(task)):
            return True
        _logger.warning("A finished block is damaged and made again: %s", problem)
        path.unlink(missing_ok=True)
        return False

    def _problem(self, task: Task) -> str:
        try:
            with NativeReader(self.path(task)) as reader:
                reader.verify()
                return self._misfit(reader, task)
        except CaloForgeError as error:
            return str(error)

    def _misfit(self, reader: ShowerReader, task: Task) -> str:
        if reader.provenance.get("request") != self.fingerprint:
            return f"{self.path(task)} is a block of another request."
        if len(reader) != task[1] - task[0]:
            return f"{self.path(task)} holds {len(reader)} showers, not {task[1] - task[0]}."
        return ""

    def save(self, task: Task, showers: Showers) -> None:
        """Write a block under a name of this process, then give it its own.

        Raises:
            CaloForgeError: It has another number of showers.
            OutputError: It cannot be written.
        """
        if len(showers) != task[1] - task[0]:
            msg = f"The worker returned {len(showers)} showers for the range {task[0]} to {task[1]}."
            raise CaloForgeError(msg)
        # two jobs may make the same block at once, on two machines
        mine = self.folder / f"{_UNFINISHED}-{_host()}-{os.getpid()}-{uuid.uuid4().hex[:8]}.h5"
        provenance = {"request": self.fingerprint, "range": list(task)}
        with writing(self.out):
            with NativeWriter(mine, geometry=None, force=True, provenance=provenance) as file:
                file.append(showers)
            mine.replace(self.path(task))

    def drop_unfinished(self) -> None:
        """Remove what processes of this machine that are dead were writing."""
        for leftover in self.folder.glob(f"{_UNFINISHED}-{_host()}-*"):
            pid = leftover.name.removeprefix(f"{_UNFINISHED}-{_host()}-").split("-")[0]
            if not (pid.isdecimal() and _is_alive(int(pid))):
                leftover.unlink(missing_ok=True)


def _host() -> str:
    """The name of this machine as a part of a file's name; dashes separate."""
    return "".join(c if c.isalnum() else "_" for c in socket.gethostname())


def _is_alive(pid: int) -> bool:
    if sys.platform == "win32":  # where open files cannot be removed
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return pid != os.getpid()


@contextlib.contextmanager
def writing(out: Path) -> Iterator[None]:
    """Say which file could not be written."""
    try:
        yield
    except OSError as error:
        cause = error.__cause__ if isinstance(error, OutputError) else error
        if not isinstance(cause, OSError):
            raise
        msg = f"Cannot write {out}: {cause.strerror or cause}."
        raise OutputError(msg) from error
