"""HDF5 output that survives a full disk, and signals.

The HDF5 library crashes the process when it cannot write back its caches on closing (2.0.0 does, with
a segmentation fault). It is therefore never told: writes that fail are kept in memory until the
file is discarded, and the failure is raised from Python.
"""

from __future__ import annotations

import io
import os
import weakref
from contextlib import ExitStack
from typing import TYPE_CHECKING, TypeVar

import h5py

from caloforge.errors import OutputError
from caloforge.files import claimed, publish
from caloforge.signals import deferred

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from typing_extensions import Buffer

__all__ = ["OutputFile"]

_Result = TypeVar("_Result")


class OutputFile:
    """An HDF5 file under a temporary name, which gets its own name when it is complete.

    What writes to ``h5`` holds signals back (``signals.deferred``), or a handler may raise in the middle.

    Args:
        path: The final name.
        force: Whether it may exist.

    Attributes:
        path: The final name.
        h5: The open file.

    Raises:
        OutputError: The file cannot be created, exists and must not, or another process writes it.
    """

    @deferred()
    def __init__(self, path: Path, *, force: bool = True) -> None:
        self.path = path
        with ExitStack() as stack:
            self._part = stack.enter_context(claimed(path, force=force))
            try:
                self._disk = _Disk(self._part)
            except OSError as error:
                raise self._failure(error) from error
            self.h5 = h5py.File(self._disk, "w")
            claim = stack.pop_all()
        # also when nobody finishes or discards the file, such as after a signal just before a ``with``
        self._end = weakref.finalize(self, _end, self.h5, self._disk, claim)

    def check(self) -> None:
        """Raise what went wrong so far; call it after every block.

        Raises:
            OutputError: Something could not be written.
        """
        if isinstance(self._disk.error, OSError):
            raise self._failure(self._disk.error) from self._disk.error
        if self._disk.error is not None:
            raise self._disk.error

    @deferred()
    def finish(self) -> None:
        """Complete the file, look whether all of it is there, and give it its name.

        Raises:
            OutputError: Something could not be written; the temporary file is removed.
        """
        try:
            content = _content(self.h5)
            _close(self.h5, self._disk)
            self.check()
            self._publish(content)
        finally:
            self._end()

    def _publish(self, content: dict[str, object]) -> None:
        try:
            with h5py.File(self._part, "r", locking=False) as file:  # the lock is ours
                found = _content(file)
        except OSError as error:
            raise self._failure(error) from error
        if found != content:
            msg = f"Cannot write {self.path}: what is on the disk is not what was written."
            raise OutputError(msg)
        publish(self._part, self.path)

    @deferred()
    def discard(self) -> None:
        """Remove what was written."""
        self._end()

    def _failure(self, error: OSError) -> OutputError:
        # HDF5 puts its own words around those of the system
        reason = os.strerror(error.errno) if error.errno else error
        return OutputError(f"Cannot write {self.path}: {reason}.")


def _content(file: h5py.File) -> dict[str, object]:
    """Shape, type and number of chunks of every dataset, and the names of all attributes."""
    found: dict[str, object] = {"": sorted(file.attrs)}

    def look(name: str, item: h5py.Group | h5py.Dataset) -> None:
        if isinstance(item, h5py.Dataset):
            chunks = item.id.get_num_chunks() if item.chunks else 0
            found[name] = (item.shape, str(item.dtype), chunks, sorted(item.attrs))

    file.visititems(look)
    return found


def _close(file: h5py.File, disk: _Disk) -> None:
    file.close()
    disk.close()


@deferred()
def _end(file: h5py.File, disk: _Disk, claim: ExitStack) -> None:
    """Close the file and give its temporary name free, which removes what is still there."""
    with claim:
        _close(file, disk)


class _Disk(io.RawIOBase):
    """A file whose writes never fail: ``error`` is the first failure, later writes stay in memory."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.error: BaseException | None = None
        self._file = path.open("w+b", buffering=0)
        self._kept: list[tuple[int, bytes]] = []
        self._position = 0

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Move to ``offset`` from the start or, with ``SEEK_END``, from the end."""
        end = self._tried(self._size, 0) if whence == os.SEEK_END else 0
        self._position = offset + end
        return self._position

    def tell(self) -> int:
        """Where the next byte is read or written."""
        return self._position

    def readinto(self, buffer: Buffer) -> int:
        """Fill ``buffer`` from the file and, over it, from what could not be written."""
        view = memoryview(buffer).cast("B")
        self._tried(lambda: self._read(view), None)
        self._position += len(view)
        return len(view)

    def write(self, data: Buffer) -> int:
        """Write all of ``data``, or keep it."""
        view = memoryview(data).cast("B")
        if self.error is None:
            self._tried(lambda: self._write_all(view), None)
        if self.error is not None:
            self._kept.append((self._position, bytes(view)))
        self._position += len(view)
        return len(view)

    def truncate(self, size: int | None = None) -> int:
        """Set the length of the file."""
        length = self._position if size is None else size
        self._tried(lambda: self._file.truncate(length), 0)
        return length

    def flush(self) -> None:
        """Nothing waits to be written."""

    def close(self) -> None:
        """Close the file."""
        self._tried(self._file.close, None)
        super().close()

    def _tried(self, work: Callable[[], _Result], otherwise: _Result) -> _Result:
        """Do ``work``; HDF5, which calls, would lose its exception and go on with a hole: it is kept.

        What came from outside (a signal, a timeout) does not come again.
        """
        for _ in range(2):
            try:
                return work()
            except OSError as error:
                self.error = self.error or error
                break
            except BaseException as error:  # noqa: BLE001 (raised by ``OutputFile.check``)
                self.error = self.error or error
        return otherwise

    def _read(self, view: memoryview) -> None:
        self._file.seek(self._position)
        self._file.readinto(view)
        for start, kept in self._kept:
            low = max(start, self._position)
            high = min(start + len(kept), self._position + len(view))
            if low < high:
                view[low - self._position : high - self._position] = kept[low - start : high - start]

    def _write_all(self, view: memoryview) -> None:
        self._file.seek(self._position)
        while len(view):
            view = view[self._file.write(view) or 0 :]

    def _size(self) -> int:
        ends = [start + len(kept) for start, kept in self._kept]
        return max(self._file.seek(0, os.SEEK_END), *ends) if ends else self._file.seek(0, os.SEEK_END)
