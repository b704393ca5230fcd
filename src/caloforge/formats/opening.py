"""Opening HDF5 files of unknown origin: whatever is wrong with them becomes one sentence."""

from __future__ import annotations

import os
import stat
from contextlib import contextmanager
from typing import TYPE_CHECKING

import h5py

from caloforge.errors import FormatError, clipped
from caloforge.formats.base import reading

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["check_regular", "open_hdf5", "opened"]

_CACHE_BYTES = 32_000_000
_KINDS = ((stat.S_ISDIR, "a folder"), (stat.S_ISFIFO, "a pipe"), (stat.S_ISSOCK, "a socket"))


def check_regular(path: Path) -> None:
    """Make sure that ``path`` is a readable file; pipes and devices are not touched, as they might wait.

    Raises:
        FormatError: It is missing, not a regular file, or may not be read.
    """
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError) as error:
        reason = "check the name" if isinstance(error, FileNotFoundError) else clipped(str(error), 160)
        msg = f"There is no shower file {path}: {reason}."
        raise FormatError(msg) from error
    if not stat.S_ISREG(mode):
        kind = next((name for test, name in _KINDS if test(mode)), "a device")
        msg = f"{path} is {kind}: give a shower file."
        raise FormatError(msg)
    if not os.access(path, os.R_OK):
        msg = f"{path} may not be read: change its permissions or give another file."
        raise FormatError(msg)


def open_hdf5(path: Path) -> h5py.File:
    """Open a file for reading.

    Raises:
        FormatError: It is missing, truncated or no HDF5.
    """
    check_regular(path)
    try:
        return h5py.File(path, "r", rdcc_nbytes=_CACHE_BYTES)
    except Exception as error:
        msg = f"{path} is not a readable HDF5 file (truncated, or another type): {clipped(str(error), 160)}."
        raise FormatError(msg) from error


@contextmanager
def opened(path: Path, what: str = "what it holds") -> Iterator[h5py.File]:
    """Open a file that stays open after the ``with`` block, unless something in the block fails.

    Raises:
        CaloForgeError: As ``open_hdf5`` and ``reading``.
    """
    file = open_hdf5(path)
    try:
        with reading(path, what):
            yield file
    except BaseException:
        file.close()
        raise
