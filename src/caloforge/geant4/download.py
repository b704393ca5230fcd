"""Fetch Geant4's data sets: resumed where they stopped, checked, unpacked whole or not at all."""

from __future__ import annotations

import hashlib
import http.client
import logging
import shutil
import tarfile
import urllib.error
import urllib.request
from collections.abc import Callable
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit

from caloforge.errors import FormatError, MissingDependencyError, OutputError
from caloforge.files import filling, locked, part_path
from caloforge.geant4.datasets import DATA_SETS, ELECTROMAGNETIC, HADRONIC, URL

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from caloforge.geant4.datasets import DataSet

__all__ = ["NEEDED", "Progress", "fetch_data"]

NEEDED = tuple(s for s in DATA_SETS if s.name in (*ELECTROMAGNETIC, *HADRONIC))
# (what, bytes in all, bytes that are there) to a context that gives the function to count bytes with
Progress = Callable[[str, int, int], AbstractContextManager[Callable[[int], None]]]

_BLOCK = 1 << 18  # bytes
_TIMEOUT = 60.0  # seconds without an answer
_RANGE_PAST_THE_END = 416

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
    _download(f"{url}/{data_set.archive}", part, progress)
    _check(part, data_set)
    _logger.info("unpacking %s", data_set.archive)
    with filling(folder) as unpacked:
        _unpack(part, unpacked, data_set)
    part.unlink()


class _Body(NamedTuple):
    """What a server sends: the bytes from ``start`` on, of ``size`` in all (0: it does not tell)."""

    start: int
    size: int
    answer: Any


def _download(url: str, part: Path, progress: Progress) -> None:
    """Complete the file ``part``."""
    with _opened(url, part) as body:
        if body is None:
            return
        with (
            part.open("r+b" if body.start else "wb") as file,
            progress(f"fetching {url.rpartition('/')[2]}", body.size, body.start) as advance,
        ):
            file.seek(body.start)
            for block in _blocks(body, url):
                file.write(block)
                advance(len(block))


@contextmanager
def _opened(url: str, part: Path) -> Iterator[_Body | None]:
    """Ask for what ``part`` lacks; None when it lacks nothing."""
    have = part.stat().st_size if part.exists() else 0
    try:
        request = urllib.request.Request(url, headers={"Range": f"bytes={have}-"} if have else {})
        answer = urllib.request.urlopen(request, timeout=_TIMEOUT)
    except urllib.error.HTTPError as error:
        error.close()
        if error.code != _RANGE_PAST_THE_END:
            msg = f"{url} answers {error.code} ({error.reason}): try again later, or give another --url."
            raise MissingDependencyError(msg) from error
        yield None
        return
    except (OSError, ValueError, http.client.HTTPException) as error:
        raise _unreachable(url, part, error) from error
    with answer:
        start = have if answer.status == http.client.PARTIAL_CONTENT else 0
        length = int(answer.headers.get("Content-Length") or 0)
        yield _Body(start, start + length if length else 0, answer)


def _unreachable(url: str, part: Path, error: Exception) -> MissingDependencyError:
    reason = getattr(error, "reason", error)
    why = getattr(reason, "strerror", None) or reason
    return MissingDependencyError(
        f"{urlsplit(url).hostname or url} cannot be reached ({why}): connect to the network, "
        f"or fetch {url} elsewhere and unpack it in {part.parent}."
    )


def _blocks(body: _Body, url: str) -> Iterator[bytes]:
    """What the server sends, piece by piece.

    Raises:
        MissingDependencyError: It stops before the end.
    """
    done, reason = body.start, "it ended"
    try:
        while block := body.answer.read(_BLOCK):
            done += len(block)
            yield block
    except (OSError, http.client.HTTPException) as error:
        reason = str(error) or type(error).__name__
    if done < body.size or reason != "it ended":
        name = url.rpartition("/")[2]
        msg = (
            f"The connection broke after {done / 1e6:.1f} of {body.size / 1e6:.1f} MB of {name} ({reason}): "
            "the same command goes on from there."
        )
        raise MissingDependencyError(msg)


def _check(part: Path, data_set: DataSet) -> None:
    with part.open("rb") as file:
        found = hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
    if found != data_set.md5:
        part.unlink()
        msg = (
            f"{data_set.archive}: got MD5 {found}, expected {data_set.md5}, which Geant4 lists; it was "
            "removed, run the command again, or give another --url."
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
        msg = f"{archive} has no folder {data_set.folder}: remove it and give another --url."
        raise FormatError(msg)
    for other in folder.iterdir():
        if other.name != data_set.folder:
            shutil.rmtree(other) if other.is_dir() else other.unlink()
