"""Arrays as bytes, as small as they get without loss: what a fitted model's file holds.

Four bytes of magic, the length of the header (four bytes, little-endian), the header (JSON: a version, and
name, dtype, shape and length of every array), then the arrays, an xz stream each. In a stream the first bytes
of all elements come first, then the second ones, and so on; signed whole numbers 0, -1, 1, -2, ... are stored
as 0, 1, 2, 3, ... xz has check sums: damage is noticed.
"""

from __future__ import annotations

import json
import lzma
from typing import TYPE_CHECKING, Any

import numpy as np

from caloforge.errors import FormatError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

__all__ = ["from_bytes", "to_bytes"]

_MAGIC = b"CFM\n"
_VERSION = 1
_LENGTH = 4  # bytes of the header's length
_MOST = 2**30  # bytes of one array
# noise has neither context nor repetitions: plain adaptive coding of bytes is best
_FILTERS = [{"id": lzma.FILTER_LZMA2, "preset": 6, "lc": 0, "lp": 0, "pb": 0}]
_KINDS = frozenset("iuf")


def to_bytes(arrays: Mapping[str, NDArray[Any]]) -> bytes:
    """Pack arrays of whole numbers or floats."""
    streams = [lzma.compress(_planes(array), filters=_FILTERS) for array in arrays.values()]
    entries = [
        {"name": name, "dtype": array.dtype.str, "shape": array.shape, "bytes": len(stream)}
        for (name, array), stream in zip(arrays.items(), streams, strict=True)
    ]
    header = json.dumps({"version": _VERSION, "arrays": entries}).encode()
    return b"".join([_MAGIC, len(header).to_bytes(_LENGTH, "little"), header, *streams])


def from_bytes(content: bytes) -> dict[str, NDArray[Any]]:
    """Unpack what ``to_bytes`` packed.

    Raises:
        FormatError: It is something else, or damaged.
    """
    try:
        return _unpacked(content)
    except (ValueError, KeyError, TypeError, EOFError, lzma.LZMAError, RecursionError) as error:
        msg = f"The fitted tables are damaged ({str(error) or type(error).__name__}): fit the model again."
        raise FormatError(msg) from error


def _unpacked(content: bytes) -> dict[str, NDArray[Any]]:
    start = len(_MAGIC) + _LENGTH
    if content[: len(_MAGIC)] != _MAGIC:
        msg = "they do not begin as such"
        raise ValueError(msg)
    end = start + int.from_bytes(content[len(_MAGIC) : start], "little")
    header = json.loads(content[start:end])
    if header["version"] != _VERSION:
        msg = f"version {header['version']!r} instead of {_VERSION}"
        raise ValueError(msg)
    arrays: dict[str, NDArray[Any]] = {}
    for entry in header["arrays"]:
        arrays[entry["name"]] = _array(entry, content[end : end + entry["bytes"]])
        end += entry["bytes"]
    return arrays


def _array(entry: Mapping[str, Any], stream: bytes) -> NDArray[Any]:
    dtype, shape = np.dtype(entry["dtype"]), tuple(map(int, entry["shape"]))
    size = int(np.prod(shape, dtype=np.float64)) * dtype.itemsize
    if dtype.kind not in _KINDS or not 0 <= size <= _MOST:
        msg = f"an array of {dtype} and {shape}"
        raise ValueError(msg)
    decompressor = lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=_MOST)
    raw = decompressor.decompress(stream, max_length=size + 1)
    if len(raw) != size or not decompressor.eof:
        msg = "an array of another length"
        raise ValueError(msg)
    planes = np.frombuffer(raw, np.uint8).reshape(dtype.itemsize, -1)
    return _signed(np.ascontiguousarray(planes.T).view(dtype).reshape(shape))


def _planes(array: NDArray[Any]) -> bytes:
    flat = _folded(np.ascontiguousarray(array)).reshape(-1, 1)
    return flat.view(np.uint8).reshape(-1, array.dtype.itemsize).T.tobytes()


def _folded(array: NDArray[Any]) -> NDArray[Any]:
    """Small numbers of any sign as small numbers without one, in the same type."""
    if array.dtype.kind != "i":
        return array
    return (array << 1) ^ (array >> (8 * array.dtype.itemsize - 1))


def _signed(array: NDArray[Any]) -> NDArray[Any]:
    """What ``_folded`` was given."""
    if array.dtype.kind != "i":
        return array
    bits = array.view(array.dtype.str.replace("i", "u"))
    signed: NDArray[Any] = (bits >> 1).view(array.dtype) ^ -(array & 1)
    return signed
