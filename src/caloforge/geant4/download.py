"""Fetch Geant4's data sets: resumed where they stopped, checked, unpacked whole or not at all."""

from __future__ import annotations

import hashlib
import logging
import shutil
import tarfile
from typing import TYPE_CHECKING, Any

from caloforge.downloads import Advice, download
from caloforge.errors import FormatError, OutputError
from caloforge.files import filling, locked, part_path
from caloforge.geant4.datasets import DATA_SETS, ELECTROMAGNETIC, HADRONIC, URL

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from caloforge.downloads import Progress
    from caloforge.geant4.datasets import DataSet

__all__ = ["NEEDED", "fetch_data"]

NEEDED = tuple(s for s in DATA_SETS if s.name in (*ELECTROMAGNETIC, *HADRONIC))

_logger = logging.getLogger(__name__)


def fetch_data(
    folder: Path,
    *,
    data_sets: Sequence[DataSet] = NEEDED,
    url: str = URL,
    progress: Progress,
) -> None:
    """Download and unpack data sets into ``folder``, except those that it has already.

    An archive is kept as ``<archive>.part`` until it is complete and its checksum right, so that the same
    call goes on where it stopped; a data set gets its own name when all of it is there.

    Args:
        folder: Made when it does not exist.
        data_sets: Which ones.
        url: Where the archives are; also a ``file:`` address.
        progress: Shows how far a download is.

    Raises:
        FormatError: An archive is not what Geant4's list says.
        MissingDependencyError: It cannot be reached, or the connection broke.
        OutputError: ``folder`` cannot be written, or another process fetches into it.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        msg = f"Cannot make the folder {folder}: {error.strerror}."
        raise OutputError(msg) from error
    busy = f"Another process is fetching data into {folder}: wait for it, or choose another folder."
    with locked(folder / ".lock", busy=busy):
        for data_set in data_sets:
            if (folder / data_set.folder).is_dir():
                _logger.info("%s is there", data_set.folder)
            else:
                _fetch(data_set, folder, url.rstrip("/"), progress)


def _fetch(data_set: DataSet, folder: Path, url: str, progress: Progress) -> None:
    part = part_path(folder / data_set.archive)
    advice = Advice(f"unpack it in {folder}")
    download(f"{url}/{data_set.archive}", part, progress, name=data_set.archive, advice=advice)
    _check(part, data_set)
    _logger.info("unpacking %s", data_set.archive)
    with filling(folder) as unpacked:
        _unpack(part, unpacked, data_set)
    part.unlink()


def _check(part: Path, data_set: DataSet) -> None:
    with part.open("rb") as file:
        found = hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
    if found != data_set.md5:
        part.unlink()
        msg = (
            f"{data_set.archive}: got MD5 {found}, expected {data_set.md5}, which Geant4 lists; it was "
            "removed, run the command again, or give another --mirror."
        )
        raise FormatError(msg)


def _unpack(archive: Path, folder: Path, data_set: DataSet) -> None:
    # Python before 3.11.4 knows no filter
    options: dict[str, Any] = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}
    try:
        with tarfile.open(archive) as tar:
            tar.extractall(folder, **options)
    except tarfile.TarError as error:
        msg = f"{archive} cannot be unpacked ({error}): remove it and run the command again."
        raise FormatError(msg) from error
    if not (folder / data_set.folder).is_dir():
        msg = f"{archive} has no folder {data_set.folder}: remove it and give another --mirror."
        raise FormatError(msg)
    for other in folder.iterdir():
        if other.name != data_set.folder:
            shutil.rmtree(other) if other.is_dir() else other.unlink()
