"""HDF5 output that survives a full disk.

The HDF5 library crashes the process when it cannot write back its caches on closing (2.0.0 does, with
a segmentation fault). It is therefore never told: writes that fail are kept in memory until the
file is discarded, and the failure is raised from Python.
"""

from __future__ import annotations

import io
import os
from typing import TYPE_CHECKING

import h5py

from caloforge.errors import OutputError
from caloforge.files import part_path

if TYPE_CHECKING:
    from pathlib import Path

    from typing_extensions import Buffer

__all__ = ["OutputFile"]


class OutputFile:
    """An HDF5 file under a temporary name, which gets its own name when it is complete.

    Attributes:
        path: The final name.
        h5: The open file.

    Raises:
        OutputError: The file cannot be created.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._disk = _Disk(part_path(path))
        except OSError as error:
            raise self._failure(error) from error
        self.h5 = h5py.File(self._disk, "w")

    def check(self) -> None:
        """Raise what went wrong so far; call it after every block.

        Raises:
            OutputError: Something could not be written.
        """
        if self._disk.error is not None:
            raise self._failure(self._disk.error) from self._disk.error

    def finish(self) -> None:
        """Complete the file and give it its name.

        Raises:
            OutputError: Something could not be written; the temporary file is removed.
        """
        self._close()
        try:
            self.check()
            part_path(self.path).replace(self.path)
        except BaseException:
            part_path(self.path).unlink(missing_ok=True)
            raise

    def discard(self) -> None:
        """Remove what was written."""
        self._close()
        part_path(self.path).unlink(missing_ok=True)

    def _close(self) -> None:
        self.h5.close()
        self._disk.close()

    def _failure(self, error: OSError) -> OutputError:
        return OutputError(f"Cannot write {self.path}: {error.strerror or error}.")


class _Disk(io.RawIOBase):
    """A file whose writes never fail: ``error`` is the first failure, later writes stay in memory."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.error: OSError | None = None
        self._file = path.open("w+b", buffering=0)
        self._kept: list[tuple[int, bytes]] = []
        self._position = 0

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Move to ``offset`` from the start or, with ``SEEK_END``, from the end."""
        self._position = offset + (self._size() if whence == os.SEEK_END else 0)
        return self._position

    def tell(self) -> int:
        """Where the next byte is read or written."""
        return self._position

    def readinto(self, buffer: Buffer) -> int:
        """Fill ``buffer`` from the file and, over it, from what could not be written."""
        view = memoryview(buffer).cast("B")
        self._file.seek(self._position)
        self._file.readinto(view)
        for start, kept in self._kept:
            low = max(start, self._position)
            high = min(start + len(kept), self._position + len(view))
            if low < high:
                view[low - self._position : high - self._position] = kept[low - start : high - start]
        self._position += len(view)
        return len(view)

    def write(self, data: Buffer) -> int:
        """Write all of ``data``, or keep it."""
        view = memoryview(data).cast("B")
        if self.error is None:
            try:
                self._write_all(view)
            except OSError as error:
                self.error = error
        if self.error is not None:
            self._kept.append((self._position, bytes(view)))
        self._position += len(view)
        return len(view)

    def truncate(self, size: int | None = None) -> int:
        """Set the length of the file."""
        length = self._position if size is None else size
        try:
            self._file.truncate(length)
        except OSError as error:
            self.error = self.error or error
        return length

    def close(self) -> None:
        """Close the file."""
        try:
            self._file.close()
        except OSError as error:
            self.error = self.error or error
        super().close()

    def _write_all(self, view: memoryview) -> None:
        self._file.seek(self._position)
        while len(view):
            view = view[self._file.write(view) or 0 :]

    def _size(self) -> int:
        ends = [start + len(kept) for start, kept in self._kept]
        return max(self._file.seek(0, os.SEEK_END), *ends) if ends else self._file.seek(0, os.SEEK_END)
