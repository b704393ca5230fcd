"""Columns of many showers in a file that has no name: memory holds the rows that are looked at."""

from __future__ import annotations

import tempfile
import threading
import weakref
from math import prod
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator

    from numpy.typing import NDArray

__all__ = ["ColumnFile", "chunks"]

_ROWS = 4096


class _Place(NamedTuple):
    start: int
    dtype: np.dtype[Any]
    shape: tuple[int, ...]  # of one row

    @property
    def row_bytes(self) -> int:
        return self.dtype.itemsize * prod(self.shape)


class ColumnFile:
    """Columns of ``count`` showers; the file goes away with the object.

    Args:
        count: Rows of every column.
    """

    def __init__(self, count: int) -> None:
        self._count, self._end = count, 0
        self._places: dict[Hashable, _Place] = {}
        self._lock = threading.Lock()
        self._file = tempfile.TemporaryFile(prefix="caloforge-", buffering=0)  # noqa: SIM115 (closed below)
        weakref.finalize(self, self._file.close)

    def __len__(self) -> int:
        return self._count

    def __contains__(self, name: object) -> bool:
        return name in self._places

    def create(self, name: Hashable, values: NDArray[Any]) -> None:
        """Add a column of such rows as ``values`` has, without content; it takes the place of one before."""
        place = _Place(self._end, values.dtype, values.shape[1:])
        self._places[name] = place
        self._end += place.row_bytes * self._count

    def dtype(self, name: Hashable) -> np.dtype[Any]:
        """The type of a column's numbers."""
        return self._places[name].dtype

    def write(self, name: Hashable, start: int, values: NDArray[Any]) -> None:
        """Write rows from ``start`` on."""
        place = self._places[name]
        data = np.ascontiguousarray(values, dtype=place.dtype)
        with self._lock:
            self._file.seek(place.start + start * place.row_bytes)
            rest = _bytes(data)
            while len(rest):  # a system call may write less than it was given
                rest = rest[self._file.write(rest) :]

    def read(self, name: Hashable, start: int, stop: int) -> NDArray[Any]:
        """Rows ``start`` to ``stop``; 0 in those that were not written."""
        place = self._places[name]
        values = np.zeros((max(stop - start, 0), *place.shape), place.dtype)
        with self._lock:
            self._file.seek(place.start + start * place.row_bytes)
            rest = _bytes(values)
            while len(rest) and (number := self._file.readinto(rest)):
                rest = rest[number:]
        return values

    def take(self, name: Hashable, rows: NDArray[np.integer]) -> NDArray[Any]:
        """Some rows, in their order; the column passes through memory in parts."""
        if len(rows) and rows[-1] - rows[0] == len(rows) - 1 and np.all(np.diff(rows) == 1):
            return self.read(name, int(rows[0]), int(rows[-1]) + 1)
        place = self._places[name]
        values = np.empty((len(rows), *place.shape), place.dtype)
        order = np.argsort(rows, kind="stable")
        rising = rows[order]
        for part in chunks(self._count):
            low, high = np.searchsorted(rising, [part.start, part.stop]).tolist()
            if low < high:
                found = self.read(name, part.start, part.stop)
                values[order[low:high]] = found[rising[low:high] - part.start]
        return values


def _bytes(values: NDArray[Any]) -> memoryview:
    """The memory of an array whose rows lie one after the other."""
    return values.reshape(-1).view(np.uint8).data


def chunks(count: int) -> Iterator[slice]:
    """Slices of at most some thousand rows, in order."""
    for start in range(0, count, _ROWS):
        yield slice(start, min(start + _ROWS, count))
