"""Files are written whole or not at all, and by one process at a time."""

from __future__ import annotations

import io
import logging
import os
import shutil
import sys
import threading
import time
import weakref
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from typing import IO, TYPE_CHECKING

from caloforge.errors import BusyError, OutputError
from caloforge.signals import deferred

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

__all__ = [
    "check_folder",
    "check_output",
    "claimed",
    "filling",
    "locked",
    "made",
    "owned",
    "part_path",
    "publish",
    "replacing",
    "staying",
    "waiting_for",
    "write_text",
]

_logger = logging.getLogger(__name__)

_PAUSE = 0.2  # seconds between two looks at a lock
_LOCKS = sys.platform != "win32"  # which neither renames nor removes what is open: nothing is held open there


def check_output(path: Path, *, force: bool) -> None:
    """Refuse to overwrite.

    Raises:
        OutputError: ``path`` exists and ``force`` is not given, or it is a folder or a device, or its folder
            is missing.
    """
    if path.is_dir():
        msg = f"{path} is a folder: give the name of a file."
        raise OutputError(msg)
    if path.exists() and not path.is_file():  # a rename would put a file in place of /dev/null
        msg = f"{path} is a device or a pipe, which cannot be replaced: give the name of a file."
        raise OutputError(msg)
    if path.exists() and not force:
        msg = f"{path} exists already: choose another name, or give --force to replace it."
        raise OutputError(msg)
    if not path.parent.is_dir():
        missing = f"The folder {path.parent} does not exist: create it first."
        raise OutputError(f"{path.parent} is not a folder." if path.parent.exists() else missing)


def check_folder(folder: Path, *, without: Iterable[str] = (), force: bool = False) -> None:
    """Refuse to put results into a folder, which need not exist, over earlier ones.

    Args:
        folder: The folder.
        without: The files and folders that an earlier result would have left in it.
        force: Whether those may be replaced.

    Raises:
        OutputError: ``folder`` is a file, or has one of ``without`` and ``force`` is not given.
    """
    if folder.exists() and not folder.is_dir():
        msg = f"{folder} is a file: give the name of a folder."
        raise OutputError(msg)
    there = [name for name in without if (folder / name).exists()]
    if there and not force:
        msg = f"{folder} has {', '.join(there)} already: choose another folder, or give --force to replace."
        raise OutputError(msg)


def part_path(path: Path) -> Path:
    """The temporary name that ``path`` has while it is written: beside the file to which a link leads."""
    target = _target(path)
    return target.with_name(target.name + ".part")


def _target(path: Path) -> Path:
    """What is written when ``path`` is written; the link stays."""
    # Path.resolve raises its own error where links go round in circles
    return type(path)(os.path.realpath(path)) if path.is_symlink() else path


@contextmanager
def claimed(path: Path, *, force: bool = True) -> Iterator[Path]:
    """Be the only process that writes ``path``; gives the temporary name to write to.

    The temporary file is there, locked, and goes away at the end of the block unless ``publish`` gave it
    its name. One that a killed process left is taken over. Claims nest.

    Args:
        path: The output.
        force: Whether it may exist.

    Raises:
        OutputError: Another process writes it, it exists and must not, or it cannot be written.
    """
    check_output(path, force=force)
    busy = f"Another process is writing {path}: wait for it, or choose another name."
    with locked(part_path(path), busy=busy, of=path) as part:
        check_output(path, force=force)  # another process may just have finished it
        with staying(path.parent):
            yield part


@contextmanager
def replacing(path: Path, *, force: bool = True) -> Iterator[Path]:
    """Give a temporary name to write to; it becomes ``path`` at the end of the ``with`` block.

    After an exception nothing of it is left.

    Args:
        path: The output.
        force: Whether it may exist.

    Raises:
        OutputError: Another process writes it, it exists and must not, or it cannot be written.
    """
    with claimed(path, force=force) as part, _naming(path):
        yield part
        publish(part, path)


@deferred()
def publish(part: Path, path: Path) -> None:
    """Give the complete file ``part`` its name; it is on the disk before it has it.

    Raises:
        OutputError: The disk fails.
    """
    with _naming(path):
        _sync(part)
        part.replace(_target(path))
    if lock := _locks.get(part.absolute()):
        lock.free()  # HDF5 does not open a locked file
    with _naming(path):
        _sync(part.parent)


def _sync(path: Path) -> None:
    """Wait until a file or the entries of a folder are on the disk."""
    if sys.platform == "win32":
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError:
        if not path.is_dir():  # not all file systems sync folders
            raise
    finally:
        os.close(descriptor)


def write_text(path: Path, text: str) -> None:
    """Write a text file.

    Raises:
        OutputError: Another process writes it, or it cannot be written.
    """
    with replacing(path) as part:
        part.write_text(text, encoding="utf-8", newline="\n")  # scripts are for machines of another kind, too


@contextmanager
def made(folder: Path) -> Iterator[None]:
    """Make ``folder`` for the work in the block; when that fails and nothing is in it, it goes away again.

    One that was there stays.

    Raises:
        OutputError: It cannot be made.
    """
    there = folder.is_dir()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        msg = f"Cannot create the folder {folder}: {error.strerror}."
        raise OutputError(msg) from error
    try:
        yield
    except BaseException:
        with deferred(), suppress(OSError):  # it is not empty
            if not there:
                folder.rmdir()
        raise


@contextmanager
def waiting_for(path: Path, *, of: Path, seconds: float | None = None) -> Iterator[None]:
    """Hold a lock that other processes hold for a while.

    Args:
        path: The lock file.
        of: What it is for.
        seconds: To wait; without a limit by default.

    Raises:
        BusyError: Another process has it for longer.
        OutputError: It cannot be made.
    """
    limit = None if seconds is None else time.monotonic() + seconds
    with ExitStack() as stack:
        while True:
            try:
                stack.enter_context(locked(path, busy=f"Another process is writing {of}.", of=of))
                break
            except BusyError:
                if limit is not None and time.monotonic() > limit:
                    raise
                time.sleep(_PAUSE)
        yield


@contextmanager
def staying(folder: Path) -> Iterator[None]:
    """Say so when ``folder``, which is written to in the block, is removed meanwhile.

    Raises:
        OutputError: Something could not be written, and the folder is gone.
    """
    try:
        yield
    except (OSError, OutputError) as error:
        if folder.is_dir():
            raise
        msg = f"The folder {folder} was removed or renamed while it was written to."
        raise OutputError(msg) from error


@contextmanager
def owned(folder: Path) -> Iterator[None]:
    """Be the only process that writes into ``folder``, which is there. Nests, also with ``filling``.

    Raises:
        OutputError: Another process does, or the folder cannot be written.
    """
    busy = f"Another process is writing {folder}: wait for it, or choose another folder."
    with locked(folder / ".lock", busy=busy, of=folder), staying(folder):
        yield


@contextmanager
def filling(folder: Path) -> Iterator[Path]:
    """Give a temporary folder to write to; its content moves into ``folder`` at the end of the block.

    ``folder`` is there already. Files and folders of the same names are replaced. After an exception
    nothing new is left.

    Raises:
        OutputError: Another process writes into the folder, or it cannot be written.
    """
    part = folder / ".part"
    with owned(folder):
        try:
            shutil.rmtree(part, ignore_errors=True)
            with _naming(folder):
                part.mkdir()
            yield part
            with _naming(folder):
                _move(part, folder)
        finally:
            with deferred():
                shutil.rmtree(part, ignore_errors=True)


@deferred()
def _move(part: Path, folder: Path) -> None:
    for path in part.rglob("*"):
        _sync(path)
    for path in sorted(part.iterdir()):
        target = folder / path.name
        if target.is_dir():
            target.replace(part / f"old {path.name}")
        path.replace(target)
    _sync(folder)


@dataclass
class _Lock:
    """A lock file of this process, or of one of its threads."""

    path: Path
    file: IO[bytes]
    entry: os.stat_result
    thread: int
    depth: int = 0

    def free(self) -> None:
        """Let others lock what is no longer ours."""
        if _LOCKS:
            import fcntl

            with suppress(OSError):
                fcntl.flock(self.file, fcntl.LOCK_UN)

    def release(self) -> None:
        """Remove the file, if it is still there under its name, and free it."""
        if self.file.closed:
            return
        with suppress(OSError):
            if _is_named(self.entry, self.path):
                self.path.unlink()
        self.file.close()


_locks: dict[Path, _Lock] = {}


@contextmanager
def locked(path: Path, *, busy: str, of: Path | None = None) -> Iterator[Path]:
    """Hold the file ``path`` locked and remove it in the end; the system frees it when the process is killed.

    It is made when it is not there, and never emptied. A thread may lock it several times. A file
    system that knows no locks (some on clusters) is taken as it is; on Windows only threads of one process
    exclude each other.

    Args:
        path: The lock file.
        busy: What to say when another process holds it.
        of: The output that the lock file is for.

    Raises:
        BusyError: Another process holds it.
        OutputError: It cannot be made.
    """
    lock = None
    try:
        with deferred():
            lock = _take(path, busy, of or path)
        yield path
    finally:
        with deferred():
            if lock is not None:
                _give_back(lock)


def _take(path: Path, busy: str, of: Path) -> _Lock:
    key, thread = path.absolute(), threading.get_ident()
    lock = _locks.get(key)
    if lock is None or lock.thread != thread:
        if lock is not None and not _LOCKS:
            raise BusyError(busy)
        with _naming(of):
            lock = _locks[key] = _Lock(key, *_open_locked(key, busy), thread)
        # for a block that never comes to its end, such as after a signal on the way into it
        weakref.finalize(lock, _Lock.release, replace(lock))
    lock.depth += 1
    return lock


def _give_back(lock: _Lock) -> None:
    lock.depth -= 1
    if not lock.depth:
        _locks.pop(lock.path, None)
        lock.release()


def _open_locked(path: Path, busy: str) -> tuple[IO[bytes], os.stat_result]:
    while True:
        file = path.open("ab")
        try:
            _lock_file(file, busy)
            entry = os.fstat(file.fileno())
            if not _LOCKS:
                file.close()
                return io.BytesIO(), entry
            if _is_named(entry, path):  # not renamed or removed since it was opened, by who held it
                return file, entry
        except BaseException:
            file.close()
            raise
        file.close()


def _lock_file(file: IO[bytes], busy: str) -> None:
    if not _LOCKS:
        return
    import fcntl

    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise BusyError(busy) from None
    except OSError as error:
        _logger.debug("%s cannot be locked: %s", file.name, error.strerror)


def _is_named(entry: os.stat_result, path: Path) -> bool:
    try:
        return os.path.samestat(entry, path.stat())
    except FileNotFoundError:
        return False


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Say which output could not be written."""
    try:
        yield
    except OutputError:
        raise
    except OSError as error:
        msg = f"Cannot write {path}: {error.strerror or error}."
        raise OutputError(msg) from error
