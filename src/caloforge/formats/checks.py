"""What the datasets of a file must be: there, of numbers, of one length, and no larger than what is stored.

Files are read in slices that the offsets and shapes decide, so these are checked first: a file that
declares what it does not hold is refused before anything is allocated.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np

from caloforge.disk import MOST_SHOWERS
from caloforge.errors import DataError, FormatError, bad, clipped
from caloforge.formats.base import missing_key
from caloforge.showers import row_index

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

__all__ = [
    "MOST_HITS",
    "check_count",
    "check_incident",
    "check_once",
    "check_stored",
    "dataset",
    "group",
    "numbers",
    "per_shower",
    "read_offsets",
    "slices",
]

#: Hits of a shower: more are taken for damage.
MOST_HITS = 20_000_000
# no filter packs numbers much better; chunks that were never written are not stored at all
_PACKING = 20_000
_FREE_BYTES = 256_000_000
_ROWS = 1_000_000


def dataset(file: h5py.File, key: str) -> h5py.Dataset:
    """The dataset ``key``.

    Raises:
        FormatError: It is missing, a group, or a link to nowhere.
    """
    item = _item(file, key)
    if isinstance(item, h5py.Dataset):
        return item
    if item is None and not _is_link(file, key):
        raise missing_key(file.filename, key)
    got = "a link to nowhere" if item is None else "a group"
    raise FormatError(bad(f"{key!r} of {file.filename}", got=got, expected="a dataset", fix=_AGAIN))


def group(file: h5py.File, key: str) -> h5py.Group | None:
    """The group ``key``; None when there is none.

    Raises:
        FormatError: It is a dataset.
    """
    item = _item(file, key)
    if isinstance(item, h5py.Dataset):
        raise FormatError(bad(f"{key!r} of {file.filename}", got="a dataset", expected="a group", fix=_AGAIN))
    return item if isinstance(item, h5py.Group) else None


def numbers(
    file: h5py.File, key: str, *shapes: tuple[int | None, ...], integers: bool = False, told: str = ""
) -> h5py.Dataset:
    """The dataset ``key`` of real numbers, of one of ``shapes``.

    Args:
        file: The open file.
        key: Name of the dataset.
        shapes: Allowed shapes; None is any length.
        integers: Whether they must be stored as integers.
        told: The shapes in words.

    Raises:
        FormatError: It is missing, of another kind or shape, or declares more than is stored.
    """
    data = dataset(file, key)
    kind = "integers" if integers else "numbers"
    if data.dtype.kind not in ("iu" if integers else "iuf") or data.shape is None:
        got = _kind(data)
        raise FormatError(bad(f"{key!r} of {file.filename}", got=got, expected=kind, fix=f"store {kind}"))
    if not any(_fits(data.shape, shape) for shape in shapes):
        expected = told or " or ".join(map(_shape, shapes))
        what = f"shape of {key!r} in {file.filename}"
        raise FormatError(bad(what, got=clipped(str(data.shape), 80), expected=expected, fix=_AGAIN))
    check_stored(data)
    return data


def per_shower(file: h5py.File, key: str, count: int, *, integers: bool = False) -> h5py.Dataset:
    """The dataset ``key`` with one number for each of ``count`` showers, as (N,) or (N, 1).

    Raises:
        FormatError: As ``numbers``.
    """
    told = f"({count},) or ({count}, 1), one number for every shower"
    return numbers(file, key, (count,), (count, 1), integers=integers, told=told)


def check_stored(data: h5py.Dataset) -> None:
    """Refuse a dataset that declares far more than its file can hold.

    Raises:
        FormatError: It does, or it has more rows than any file of showers.
    """
    size = math.prod(data.shape) * data.dtype.itemsize
    stored = data.id.get_storage_size()
    if size > _FREE_BYTES + _PACKING * stored and not data.is_virtual:
        got = f"{size:.3g} bytes declared and {stored:.3g} stored"
        raise FormatError(
            bad(f"{data.name[1:]!r} of {data.file.filename}", got=got, expected="data", fix=_AGAIN)
        )


def check_count(file: h5py.File, count: int) -> None:
    """Refuse more showers than any file has.

    Raises:
        FormatError: There are more than ``MOST_SHOWERS``.
    """
    if count > MOST_SHOWERS:
        expected = f"at most {MOST_SHOWERS:.0e}"
        what = f"showers of {file.filename}"
        raise FormatError(bad(what, got=f"{count:.4g}", expected=expected, fix="cut it into several files"))


def read_offsets(file: h5py.File, key: str, hits: int) -> NDArray[np.int64]:
    """Offsets of the showers in their hits, ``(N + 1,)``: they rise from 0 to ``hits``.

    Raises:
        FormatError: They do not, or are no integers.
    """
    data = numbers(file, key, (None,), integers=True)
    what = f"{key!r} of {file.filename}"
    if not len(data):
        raise FormatError(bad(what, got="none", expected="one more than there are showers", fix=_AGAIN))
    check_count(file, len(data) - 1)
    offsets = np.empty(len(data), dtype=np.int64)
    for rows in slices(len(data), _ROWS):
        part = data[rows]
        if int(part.min()) < 0 or int(part.max()) > hits:
            got = f"{part.min()} to {part.max()}"
            raise FormatError(bad(what, got=got, expected=f"0 to {hits}, as there are hits", fix=_AGAIN))
        offsets[rows] = part
    _check_rising(what, offsets, hits)
    return offsets


def _check_rising(what: str, offsets: NDArray[np.int64], hits: int) -> None:
    if offsets[0] != 0 or offsets[-1] != hits:
        got = f"{offsets[0]} first and {offsets[-1]} last"
        raise FormatError(bad(what, got=got, expected=f"0 first and {hits}, all hits, last", fix=_AGAIN))
    counts = np.diff(offsets)
    if len(counts) and counts.min() < 0:
        got = f"{offsets[counts.argmin() + 1]} after {offsets[counts.argmin()]}"
        raise FormatError(bad(what, got=got, expected="numbers that never fall", fix=_AGAIN))
    if len(counts) and counts.max() > MOST_HITS:
        got = f"{counts.max()} hits in shower {counts.argmax()}"
        raise FormatError(bad(what, got=got, expected=f"at most {MOST_HITS:.0e}", fix=_AGAIN))


def check_incident(read: Callable[[slice], object], count: int) -> None:
    """Read all incident particles once, which checks them, a million at a time."""
    for rows in slices(count, _ROWS):
        read(rows)


def check_once(cells: NDArray[np.int32], offsets: NDArray[np.int64]) -> None:
    """Make sure that no shower has a cell twice; cells that rise in every shower are soon done.

    Raises:
        DataError: One has.
    """
    falls = np.flatnonzero(cells[1:] <= cells[:-1]) + 1
    if np.isin(falls, offsets).all():
        return
    shower = row_index(offsets)
    order = np.lexsort((cells, shower))
    cells, shower = cells[order], shower[order]
    twice = np.flatnonzero((cells[1:] == cells[:-1]) & (shower[1:] == shower[:-1]))
    if len(twice):
        got = f"cell {cells[twice[0]]} twice in shower {shower[twice[0]]} ({len(twice)} such cells)"
        fix = "sum the energies of a cell"
        raise DataError(bad("cells", got=got, expected="every cell once in a shower", fix=fix))


def slices(count: int, size: int) -> Iterator[slice]:
    """Cut ``count`` rows into slices of at most ``size``."""
    for start in range(0, count, size):
        yield slice(start, min(start + size, count))


_AGAIN = "make or fetch the file again"


def _item(file: h5py.File, key: str) -> Any:
    try:
        return file[key]
    except KeyError:
        return None


def _is_link(file: h5py.File, key: str) -> bool:
    return isinstance(file.get(key, getlink=True), h5py.SoftLink | h5py.ExternalLink)


def _kind(data: h5py.Dataset) -> str:
    return "nothing" if data.shape is None else f"values of type {clipped(str(data.dtype), 60)}"


def _fits(shape: tuple[int, ...], wanted: tuple[int | None, ...]) -> bool:
    pairs = zip(shape, wanted, strict=False)
    return len(shape) == len(wanted) and all(w is None or n == w for n, w in pairs)


def _shape(shape: tuple[int | None, ...]) -> str:
    names = ["N" if n is None else str(n) for n in shape]
    return f"({', '.join(names)}{',' if len(names) == 1 else ''})"
