"""Joins the tables of blocks, in memory or, where they are many, in a file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from caloforge.errors import DataError
from caloforge.features.columns import ColumnFile
from caloforge.features.table import FeatureTable, check_columns

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

__all__ = ["TableBuilder", "concatenated"]

_IN_MEMORY = 1 << 25
"""Bytes of a table that is kept in memory; larger ones are kept in a file, so that memory stays flat."""


def concatenated(parts: Sequence[FeatureTable]) -> FeatureTable:
    """Join the showers of tables with the same columns.

    Raises:
        DataError: There are no parts, or their columns differ.
    """
    if not parts:
        raise DataError("There are no feature tables to concatenate.")
    check_columns(parts)
    builder = TableBuilder(sum(map(len, parts)))
    for part in parts:
        for _, some in part.parts():
            builder.append(some)
    return builder.finish()


class TableBuilder:
    """Collects the tables of blocks into one of ``count`` showers, without a second copy of them.

    Args:
        count: Showers.
        memory: Bytes that the table may take of the memory; a larger one is kept in a file.
    """

    def __init__(self, count: int, *, memory: int = _IN_MEMORY) -> None:
        self._count, self._memory, self._filled = count, memory, 0
        self._columns: dict[str, NDArray[Any]] = {}
        self._file: ColumnFile | None = None
        self._names: tuple[str, ...] = ()

    def append(self, part: FeatureTable) -> None:
        """Add the showers of a block; all blocks have the same columns."""
        if not self._filled and not self._names:
            self._start(part)
        for name in part.names:
            if self._file is None:
                self._fill(name, part[name])
            else:
                self._write(self._file, name, part[name])
        self._filled += len(part)

    def _start(self, part: FeatureTable) -> None:
        self._names = part.names
        row = sum(part[name].nbytes for name in part.names) / max(len(part), 1)
        if row * self._count > self._memory:
            self._file = ColumnFile(self._count)

    def _fill(self, name: str, values: NDArray[Any]) -> None:
        if name not in self._columns:
            self._columns[name] = np.empty((self._count, *values.shape[1:]), dtype=values.dtype)
        if values.dtype.itemsize > self._columns[name].dtype.itemsize:  # a more precise file follows
            self._columns[name] = self._columns[name].astype(values.dtype)
        self._columns[name][self._filled : self._filled + len(values)] = values

    def _write(self, file: ColumnFile, name: str, values: NDArray[Any]) -> None:
        if name not in file:
            file.create(name, values)
        elif values.dtype.itemsize > file.dtype(name).itemsize:  # a more precise file follows
            before = file.read(name, 0, self._filled)
            file.create(name, values)
            file.write(name, 0, before)
        file.write(name, self._filled, values)

    def finish(self) -> FeatureTable:
        """The table."""
        if self._file is not None and self._filled == self._count:
            return FeatureTable.stored(self._file, self._names)
        if self._file is not None:  # fewer came than were announced
            return FeatureTable.stored(self._file, self._names).select(slice(0, self._filled))
        return FeatureTable({name: values[: self._filled] for name, values in self._columns.items()})
