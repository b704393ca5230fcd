"""A web server that breaks connections, for downloads."""

from __future__ import annotations

import re
import threading
import time
from contextlib import contextmanager, nullcontext, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

__all__ = ["Server", "Watched", "serving"]


class Server:
    """Serves files by their names alone.

    ``cut`` bytes at most of an answer, before the connection breaks, and ``cuts`` of answers by name;
    ``wait`` seconds before each; ``moved`` leads names to other addresses.
    """

    def __init__(self, files: dict[str, bytes], *, ranges: bool = True) -> None:
        self.files, self.ranges, self.cut, self.wait = files, ranges, 10**9, 0.0
        self.moved: dict[str, str] = {}
        self.cuts: dict[str, int] = {}
        self.asked: list[tuple[str, str | None]] = []

    @classmethod
    def of(cls, folder: Path) -> Server:
        """All files of a folder."""
        return cls({path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()})

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        name, wanted = handler.path.partition("?")[0].rpartition("/")[2], handler.headers["Range"]
        self.asked.append((name, wanted))
        time.sleep(self.wait)
        if name in self.moved:
            handler.send_response(302)
            handler.send_header("Location", self.moved[name])
            handler.send_header("Content-Length", "0")
            handler.end_headers()
            return
        content = self.files.get(name)
        if content is None:
            handler.send_error(404)
            return
        start = int(re.findall(r"\d+", wanted)[0]) if wanted and self.ranges else 0
        if wanted and start >= len(content):
            handler.send_error(416)
            return
        handler.send_response(206 if start else 200)
        handler.send_header("Content-Length", str(len(content) - start))
        handler.end_headers()
        handler.wfile.write(content[start : start + self.cuts.get(name, self.cut)])


@contextmanager
def serving(server: Server) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            with suppress(ConnectionError):  # who asked has given up
                server.answer(self)

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{http.server_address[1]}/datasets/"
        finally:
            http.shutdown()
            thread.join()


class Watched:
    """Progress that remembers."""

    def __init__(self) -> None:
        self.seen: list[list[Any]] = []

    def __call__(self, what: str, total: int, done: int) -> nullcontext[Callable[[int], None]]:
        self.seen.append([what, total, done])
        return nullcontext(self._count)

    def _count(self, n: int) -> None:
        self.seen[-1][2] += n
