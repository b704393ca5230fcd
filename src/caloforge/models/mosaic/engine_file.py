"""The file that the C++ engine loads: all arrays of a fitted model, one after the other.

Its layout is told in ``engine/include/caloforge/mosaic/file.hpp``.
"""

from __future__ import annotations

import struct
from dataclasses import fields
from typing import TYPE_CHECKING

import numpy as np

from caloforge.files import replacing

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from caloforge.models.mosaic.program import Program
    from caloforge.models.mosaic.tables import Roots, Tables

__all__ = ["MAGIC", "VERSION", "write_engine_file"]

MAGIC = b"CFMOSAIC"
"""What such files begin with."""

VERSION = 2
"""Of the layout."""

_HEADER = struct.Struct("<8sII")
_ENTRY = struct.Struct("<32s4sIQQQ")
_ALIGNMENT = 64
_NUMBERS = {int: np.int32, float: np.float32}


def write_engine_file(
    path: Path, program: Program, tables: Tables, roots: Roots, *, force: bool = False
) -> None:
    """Write a model for ``caloforge::mosaic::load``; there it makes the showers that it makes here.

    Args:
        path: The file, by custom ``*.mosaic``.
        program: Of the read-out.
        tables: Fitted to it.
        roots: The real showers to start from.
        force: Whether the file may exist.

    Raises:
        OutputError: It exists and ``force`` is not given, or it cannot be written.
    """
    arrays = {
        f"{prefix}.{field.name}": _little(getattr(part, field.name))
        for prefix, part in (("program", program), ("tables", tables), ("roots", roots))
        for field in fields(part)
    }
    with replacing(path, force=force) as part, part.open("wb") as file:
        file.write(_HEADER.pack(MAGIC, VERSION, len(arrays)))
        offset = _aligned(_HEADER.size + _ENTRY.size * len(arrays))
        for name, array in arrays.items():
            file.write(_entry(name, array, offset))
            offset = _aligned(offset + array.nbytes)
        for array in arrays.values():
            file.write(bytes(_aligned(file.tell()) - file.tell()))
            file.write(array.tobytes())


def _little(value: NDArray[np.generic] | float) -> NDArray[np.generic]:
    """An array, or a number as one of one element, little-endian."""
    if isinstance(value, int | float):
        return np.array([value], dtype=np.dtype(_NUMBERS[type(value)]).newbyteorder("<"))
    return value.astype(value.dtype.newbyteorder("<"), copy=False)


def _entry(name: str, array: NDArray[np.generic], offset: int) -> bytes:
    rows, columns = (*array.shape, 1)[:2]
    kind = array.dtype.str[1:].encode()
    return _ENTRY.pack(name.encode(), kind, array.ndim, rows, columns, offset)


def _aligned(offset: int) -> int:
    return -(-offset // _ALIGNMENT) * _ALIGNMENT
