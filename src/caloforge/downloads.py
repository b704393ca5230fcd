"""Downloads that go on where they stopped: what is there is kept, the rest asked for by HTTP Range."""

from __future__ import annotations

import http.client
import shutil
import urllib.error
import urllib.request
from collections.abc import Callable
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit

from caloforge.errors import FormatError, MissingDependencyError, OutputError, bad

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["Advice", "Progress", "download", "read_url"]

# (what, bytes in all, bytes that are there) to a context that gives the function to count bytes with
Progress = Callable[[str, int, int], AbstractContextManager[Callable[[int], None]]]

_BLOCK = 1 << 18  # bytes
_TIMEOUT = 60.0  # seconds without an answer
_RANGE_PAST_THE_END = 416
_GB = 1e9


class Advice(NamedTuple):
    """What to do when a download does not go.

    Attributes:
        by_hand: Without a network, as in "unpack it in data".
        elsewhere: When the server does not have it.
        room: When the disk is full.
    """

    by_hand: str
    elsewhere: str = "give another --mirror"
    room: str = "give another folder (--out)"


class _Body(NamedTuple):
    """What a server sends: the bytes from ``start`` on, of ``size`` in all (0: it does not tell)."""

    start: int
    size: int
    answer: Any


def download(url: str, part: Path, progress: Progress, *, name: str, advice: Advice, size: int = 0) -> None:
    """Complete the file ``part``; its checksum is not looked at.

    Args:
        url: Where it is; also a ``file:`` address.
        part: What an earlier call may have begun. It stays when the connection breaks.
        progress: Shows how far it is.
        name: What is fetched, for people.
        advice: What to do when it does not go.
        size: Bytes that it has, when they are known: more are not written.

    Raises:
        FormatError: The server has a file of another size.
        MissingDependencyError: The server cannot be reached or refuses, or the connection broke.
        OutputError: The disk has no room, or ``part`` cannot be written.
    """
    with _opened(url, part, advice, size) as body:
        if body is None:
            return
        _check_room(part, body, name, advice)
        with progress(f"fetching {name}", body.size, body.start) as advance:
            _fill(part, body, name, advance)


def read_url(
    url: str, *, most: int = 10_000_000, advice: Advice | None = None, wait: float = _TIMEOUT
) -> bytes:
    """A short answer, such as JSON.

    Args:
        url: Where it is; also a ``file:`` address.
        most: Bytes that it may have.
        advice: What to do when it does not go.
        wait: Seconds without an answer until it is given up.

    Raises:
        FormatError: It has more than ``most`` bytes.
        MissingDependencyError: The server cannot be reached or refuses, or the connection broke.
    """
    with _answered(url, 0, f"look at {url}", advice or Advice(""), wait) as answer:
        if answer is None:
            return b""
        content = _read(answer, most, url)
    if len(content) > most:
        raise FormatError(bad(f"answer of {url}", got=f"more than {most} bytes", expected="a short text"))
    return content


def _read(answer: Any, most: int, url: str) -> bytes:
    """All of a short answer, or a little more than ``most`` bytes of it."""
    reason = "it ended"
    try:
        content: bytes = answer.read(most + 1)
        if len(content) >= min(most, int(answer.headers.get("Content-Length") or 0)):
            return content
    except (OSError, http.client.HTTPException) as error:
        reason = str(error)
    msg = f"The connection to {_host(url)} broke ({reason}): run the command again."
    raise MissingDependencyError(msg)


@contextmanager
def _opened(url: str, part: Path, advice: Advice, size: int) -> Iterator[_Body | None]:
    """Ask for what ``part`` lacks; None when it lacks nothing."""
    have = part.stat().st_size if part.exists() else 0
    with _answered(url, have, f"fetch {url} elsewhere and {advice.by_hand}", advice, _TIMEOUT) as answer:
        if answer is None:
            yield None
            return
        start = have if answer.status == http.client.PARTIAL_CONTENT else 0
        _check_start(answer, start, url, advice)
        length = int(answer.headers.get("Content-Length") or 0)
        total = start + length if length else size
        if size and total != size:
            raise FormatError(bad(url, got=f"{total} bytes", expected=f"{size}", fix=advice.elsewhere))
        yield _Body(start, total, answer)


@contextmanager
def _answered(url: str, have: int, otherwise: str, advice: Advice, wait: float) -> Iterator[Any]:
    """The server's answer from byte ``have`` on; None when there is nothing behind it."""
    try:
        request = urllib.request.Request(url, headers={"Range": f"bytes={have}-"} if have else {})
        answer = urllib.request.build_opener(_SafeRedirects).open(request, timeout=wait)
    except urllib.error.HTTPError as error:
        error.close()
        if not have or error.code != _RANGE_PAST_THE_END:
            msg = f"{url} answers {error.code} ({error.reason}): try again later, or {advice.elsewhere}."
            raise MissingDependencyError(msg) from error
        yield None
        return
    except (OSError, ValueError, http.client.HTTPException) as error:
        raise _unreachable(url, otherwise, error) from error
    with answer:
        yield answer


class _SafeRedirects(urllib.request.HTTPRedirectHandler):
    """Follows other addresses, but from https to https alone."""

    def redirect_request(  # noqa: PLR0917 (urllib's)
        self, req: urllib.request.Request, fp: Any, code: int, msg: str, headers: Any, newurl: str
    ) -> urllib.request.Request | None:
        if req.type == "https" and not newurl.startswith("https:"):
            raise urllib.error.HTTPError(req.full_url, code, "it leads from https to http", headers, fp)
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _check_start(answer: Any, start: int, url: str, advice: Advice) -> None:
    told = str(answer.headers.get("Content-Range") or "")
    if start and told and not told.startswith(f"bytes {start}-"):
        msg = f"{url} sends another part than was asked for ({told[:60]}): {advice.elsewhere}."
        raise MissingDependencyError(msg)


def _unreachable(url: str, otherwise: str, error: Exception) -> MissingDependencyError:
    reason = getattr(error, "reason", error)
    why = getattr(reason, "strerror", None) or reason
    return MissingDependencyError(
        f"{_host(url)} cannot be reached ({why}): connect to the network, or {otherwise}."
    )


def _host(url: str) -> str:
    return urlsplit(url).hostname or url


def _check_room(part: Path, body: _Body, name: str, advice: Advice) -> None:
    need, free = body.size - body.start, shutil.disk_usage(part.parent).free
    if need > free:
        msg = (
            f"{name} needs another {need / _GB:,.1f} GB and {part.parent} has {free / _GB:,.1f} GB free: "
            f"make room, or {advice.room}."
        )
        raise OutputError(msg)


def _fill(part: Path, body: _Body, name: str, advance: Callable[[int], None]) -> None:
    blocks = _blocks(body, name)
    try:
        with part.open("r+b" if body.start else "wb") as file:
            file.seek(body.start)
            for block in blocks:
                file.write(block)
                advance(len(block))
    except MissingDependencyError:
        raise
    except OSError as error:
        msg = f"Cannot write {part}: {error.strerror or error}."
        raise OutputError(msg) from error


def _blocks(body: _Body, name: str) -> Iterator[bytes]:
    """What the server sends, piece by piece, up to the size that it should have.

    Raises:
        MissingDependencyError: It stops before the end.
    """
    done, reason = body.start, "it ended"
    try:
        while block := body.answer.read(min(_BLOCK, body.size - done) if body.size else _BLOCK):
            done += len(block)
            yield block
    except (OSError, http.client.HTTPException) as error:
        reason = str(error) or type(error).__name__
    if done < body.size or reason != "it ended":
        msg = (
            f"The connection broke after {done / 1e6:.1f} of {body.size / 1e6:.1f} MB of {name} ({reason}): "
            "the same command goes on from there."
        )
        raise MissingDependencyError(msg)
