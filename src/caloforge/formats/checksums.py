"""Checksums of what was written: CRC-32 of the bytes of every dataset, in order, and of the attributes.

They are kept as one JSON object in the attribute ``caloforge_checksums``, by the names of the datasets and,
with an ``@`` in front, of the attributes. Chunks, compression and byte order do not matter: the sum is
that of the little-endian numbers, row after row; rows of variable length follow each other.
"""

from __future__ import annotations

import json
import math
import zlib
from typing import TYPE_CHECKING

import numpy as np

from caloforge.errors import FormatError
from caloforge.formats.attributes import object_attribute, text_attribute
from caloforge.formats.checks import dataset, slices

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Any

    import h5py
    from numpy.typing import NDArray

__all__ = ["Checksums", "Pass", "joined", "stored_sums", "verify"]

_NAME = "caloforge_checksums"
_BYTES = 16_000_000
_ROWS = 10_000


class Checksums:
    """Running sums of datasets that are written or read from their start on."""

    def __init__(self) -> None:
        self._sums: dict[str, int] = {}

    def add(self, name: str, values: NDArray[Any]) -> None:
        """Take the next rows of a dataset in, in the type in which they are stored."""
        little = np.ascontiguousarray(values, dtype=values.dtype.newbyteorder("<"))
        self._sums[name] = zlib.crc32(little.reshape(-1).data, self._sums.get(name, 0))

    def add_all(self, file: h5py.File, name: str) -> None:
        """Take a dataset in from its file, in place of what was added before."""
        self.add_data(dataset(file, name), name)

    def add_data(self, data: h5py.Dataset, name: str) -> None:
        """Take a whole dataset in, in place of what was added before; a few megabytes at a time."""
        size = max(1, _BYTES // max(data.dtype.itemsize * math.prod(data.shape[1:]), 1))
        self._sums[name] = 0
        for rows in slices(len(data), min(size, _ROWS)):
            self.add(name, joined(data[rows]))

    def store(self, file: h5py.File, attributes: Iterable[str]) -> None:
        """Write the sums of the datasets so far and of ``attributes``, which are texts."""
        for name in attributes:
            self._sums[f"@{name}"] = zlib.crc32(text_attribute(file, name).encode())
        file.attrs[_NAME] = json.dumps(self._sums)

    def compare(self, file: h5py.File, stored: dict[str, Any]) -> None:
        """Compare what was read with what was written.

        Raises:
            FormatError: A sum differs, or was not written.
        """
        for name, value in self._sums.items():
            if stored.get(name) != value:
                raise _changed(file, name)


class Pass:
    """Compares sums on the way, when a file is read from its first row to its last.

    Args:
        file: The open file.
        stored: Its sums.
    """

    def __init__(self, file: h5py.File, stored: dict[str, Any]) -> None:
        self._file, self._stored = file, stored
        self._next, self._sums = 0, Checksums()

    def follow(self, start: int, stop: int, rows: Mapping[str, NDArray[Any]], *, last: int) -> None:
        """Take rows ``start`` to ``stop`` of ``last`` in; other rows than the next ones end the pass.

        Raises:
            FormatError: All rows were read and are not what was written.
        """
        if start == 0:
            self._next, self._sums = 0, Checksums()
        if start != self._next or not self._stored:
            return
        self._next = stop
        for name, values in rows.items():
            self._sums.add(name, values)
        if stop == last:
            self._sums.compare(self._file, self._stored)


def stored_sums(file: h5py.File) -> dict[str, Any]:
    """The sums of a file; empty when it has none. Those of attributes are compared at once.

    Raises:
        FormatError: An attribute is not what was written.
    """
    stored = object_attribute(file, _NAME)
    for name, value in stored.items():
        if name.startswith("@") and zlib.crc32(text_attribute(file, name[1:]).encode()) != value:
            raise _changed(file, name)
    return stored


def verify(file: h5py.File, stored: dict[str, Any], known: Mapping[str, h5py.Dataset] | None = None) -> int:
    """Compare all datasets that have a sum, a few megabytes at a time; how many there are.

    Args:
        file: The open file.
        stored: Its sums.
        known: Datasets that are open.

    Raises:
        FormatError: One is missing or not what was written.
    """
    there = known or {}
    sums = Checksums()
    for name in stored:
        if not name.startswith("@"):
            sums.add_data(there[name] if name in there else dataset(file, name), name)
            sums.compare(file, stored)
    return len(stored)


def joined(rows: NDArray[Any]) -> NDArray[Any]:
    """Rows of variable length one after the other; other rows as they are."""
    return np.concatenate([np.empty(0, rows[0].dtype), *rows]) if rows.dtype == object and len(rows) else rows


def _changed(file: h5py.File, name: str) -> FormatError:
    what = f"the attribute {name[1:]!r}" if name.startswith("@") else f"{name!r}"
    return FormatError(
        f"{file.filename}: {what:.60} is not what was written (its checksum differs): make or fetch the file "
        f"again, or delete its attribute {_NAME!r} if the change was wanted."
    )
