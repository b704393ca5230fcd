"""What kind of file a file is, told by its first bytes, and opening it to look what it holds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from caloforge.errors import FormatError, clipped
from caloforge.formats.opening import check_regular, open_hdf5
from caloforge.optional import needed

if TYPE_CHECKING:
    from collections.abc import Iterable
    from contextlib import AbstractContextManager
    from pathlib import Path

__all__ = ["few", "kind_of_file", "open_any", "open_parquet", "open_root"]

_FIRST_BYTES = {b"root": "ROOT", b"PAR1": "Parquet"}


def kind_of_file(path: Path) -> str:
    """Tell ROOT and Parquet files; whatever else a file is, it is taken for HDF5.

    Raises:
        FormatError: It is missing, not a regular file, or may not be read.
    """
    check_regular(path)
    try:
        with path.open("rb") as file:
            return _FIRST_BYTES.get(file.read(4), "HDF5")
    except OSError as error:
        msg = f"{path} cannot be read: {error.strerror}."
        raise FormatError(msg) from error


def few(names: Iterable[str], *, most: int = 4) -> str:
    """The first few of the names in a file, for a message."""
    told = list(names)
    return ", ".join([*told[:most], "..."] if len(told) > most else told) or "no content"


def open_any(path: Path, kind: str) -> AbstractContextManager[Any]:
    """Open a file of a kind of ``kind_of_file``, to look what it holds.

    Raises:
        FormatError: It is truncated or damaged.
        MissingDependencyError: The package that reads such files is not installed.
    """
    opened: AbstractContextManager[Any] = _OPEN[kind](path)
    return opened


def open_root(path: Path) -> Any:
    """An ``uproot.ReadOnlyDirectory``.

    Raises:
        FormatError: It is truncated or damaged.
        MissingDependencyError: ``uproot`` is not installed.
    """
    uproot = needed("uproot", extra="root", what="ROOT files")
    check_regular(path)
    try:
        return uproot.open(path, array_cache=None)
    except Exception as error:
        raise _unreadable(path, "ROOT", error) from error


def open_parquet(path: Path) -> Any:
    """A ``pyarrow.parquet.ParquetFile``, which compares the checksums of its pages.

    Raises:
        FormatError: It is truncated or damaged.
        MissingDependencyError: ``pyarrow`` is not installed.
    """
    parquet = needed("pyarrow.parquet", extra="parquet", what="Parquet files")
    check_regular(path)
    try:
        return parquet.ParquetFile(path, page_checksum_verification=True)
    except Exception as error:
        raise _unreadable(path, "Parquet", error) from error


def _unreadable(path: Path, kind: str, error: Exception) -> FormatError:
    told = clipped(str(error), 160).rstrip(".") or type(error).__name__
    return FormatError(f"{path} is not a readable {kind} file (truncated, or damaged): {told}.")


_OPEN = {"HDF5": open_hdf5, "ROOT": open_root, "Parquet": open_parquet}
