"""Fetching the files of a public record: through pooch, which knows files by their sums, and with resumption.

pooch does not go on with a download that broke, so its downloader is ours (``caloforge.downloads``): the
beginning of a file is kept as ``<name>.part`` and the rest is asked for by HTTP Range. pooch compares the sum
of the complete file and gives it its name, or removes it.
"""

from __future__ import annotations

import shutil
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from caloforge.downloads import Advice, download
from caloforge.errors import ConfigError, FormatError, OutputError, did_you_mean, shown
from caloforge.files import locked, made, part_path
from caloforge.optional import needed
from caloforge.public.zenodo import ZENODO, Listing, file_url, listing

if TYPE_CHECKING:
    from collections.abc import Sequence

    from caloforge.downloads import Progress
    from caloforge.public.records import PublicFile, PublicRecord

__all__ = ["choose_files", "fetch_files", "files_of"]

_GB = 1e9


def files_of(record: PublicRecord, *, host: str = ZENODO) -> Listing:
    """The files of a record, with their sums: as they are known, else as the record tells.

    Raises:
        ConfigError: It is not at Zenodo, so that it has to be fetched by hand.
        FormatError: The record's answer cannot be understood.
        MissingDependencyError: The record cannot be reached.
    """
    if record.files:
        return Listing(record.files, record.licence)
    if not record.zenodo:
        msg = f"{record.name} cannot be fetched by name: see {record.place}, then inspect the files."
        raise ConfigError(msg)
    return listing(record.zenodo, host=host)


def choose_files(
    record: PublicRecord, files: Sequence[PublicFile], names: Sequence[str]
) -> tuple[PublicFile, ...]:
    """The files of these names; without names all, where the catalogue knows them or there is only one.

    Raises:
        ConfigError: A name is unknown, or the record has several files and none was named.
    """
    known = {file.name: file for file in files}
    unknown = [name for name in names if name not in known]
    if unknown:
        msg = f"{record.name} has no file {shown(unknown[0])}: {did_you_mean(unknown[0], known)}."
        raise ConfigError(msg)
    if not names and not record.files and len(files) > 1:
        size = sum(file.size for file in files) / _GB
        msg = (
            f"{record.name} has {len(files)} files of {size:,.1f} GB together: name those that you want "
            f"(--file), `caloforge data list {record.name}` lists them."
        )
        raise ConfigError(msg)
    return tuple(known[name] for name in dict.fromkeys(names)) or tuple(files)


def fetch_files(
    record: PublicRecord,
    files: Sequence[PublicFile],
    folder: Path,
    *,
    progress: Progress,
    mirror: str | None = None,
    host: str = ZENODO,
    force: bool = False,
) -> list[Path]:
    """Bring files into ``folder``, except those that are there with the right sum.

    Args:
        record: Whose files they are.
        files: Which ones.
        folder: Made when it does not exist.
        progress: Shows how far a download is.
        mirror: Where the files are, instead of the record: an address to which their names are added.
        host: Of Zenodo.
        force: Replace a file of the same name that is another one.

    Returns:
        Where they are.

    Raises:
        FormatError: A file is not what the record says; nothing of it is kept.
        MissingDependencyError: pooch is not installed, a file cannot be reached, or the connection broke:
            the same call goes on where it stopped.
        OutputError: ``folder`` cannot be written, has another file of the same name, or another process
            fetches into it.
    """
    pooch = needed("pooch", extra="data", what="Downloads of public data")
    pooch.get_logger().setLevel("WARNING")
    busy = f"Another process is fetching data into {folder}: wait for it, or choose another folder."
    with made(folder), locked(folder / ".lock", busy=busy, of=folder):
        store = pooch.create(
            folder,
            base_url="",
            registry={file.name: f"md5:{file.md5}" for file in files},
            urls={file.name: _url(record, file, mirror, host) for file in files},
            allow_updates=force,
        )
        return [_fetch(store, file, folder, progress) for file in files]


def _fetch(store: Any, file: PublicFile, folder: Path, progress: Progress) -> Path:
    path = folder / file.name
    _refuse_others(store, file, path)
    resume = partial(_resume, name=file.name, folder=folder, progress=progress)
    try:
        return Path(store.fetch(file.name, downloader=resume))
    except FormatError:
        raise
    except ValueError as error:
        msg = (
            f"{file.name} is not what its record says (MD5 {file.md5}): it was removed, run the command "
            "again, or give another --mirror."
        )
        raise FormatError(msg) from error
    except OSError as error:
        if isinstance(error, OutputError):
            raise
        msg = f"Cannot write {path}: {error.strerror or error}."
        raise OutputError(msg) from error


def _refuse_others(store: Any, file: PublicFile, path: Path) -> None:
    pooch = needed("pooch", extra="data", what="Downloads of public data")
    if path.is_dir():
        msg = f"{path} is a folder: choose another folder (--out)."
        raise OutputError(msg)
    if path.exists() and not store.allow_updates and not pooch.hashes.hash_matches(path, f"md5:{file.md5}"):
        msg = (
            f"{path} exists and is another file than the record's: choose another folder, or give --force to "
            "replace it."
        )
        raise OutputError(msg)


def _resume(url: str, output: str, _: object, *, name: str, folder: Path, progress: Progress) -> None:
    """What pooch calls to download: complete the beginning that is kept, then hand it over."""
    part = part_path(folder / name)
    download(url, part, progress, name=name, advice=Advice(f"put it into {folder}"))
    shutil.move(part, output)


def _url(record: PublicRecord, file: PublicFile, mirror: str | None, host: str) -> str:
    return (
        f"{mirror.rstrip('/')}/{quote(file.name)}"
        if mirror
        else file_url(record.zenodo, file.name, host=host)
    )
