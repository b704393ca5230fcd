"""A web server that breaks connections, for downloads."""

from __future__ import annotations

import re
import threading
from contextlib import contextmanager, nullcontext
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["Server", "Watched", "serving"]


class Server:
    """Serves archives; ``cut`` bytes at most of an answer, before the connection breaks."""

    def __init__(self, files: dict[str, bytes], *, ranges: bool = True) -> None:
        self.files, self.ranges, self.cut = files, ranges, 10**9
        self.asked: list[tuple[str, str | None]] = []

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        name, wanted = handler.path.partition("?")[0].rpartition("/")[2], handler.headers["Range"]
        self.asked.append((name, wanted))
        content = self.files.get(name)
        if content is None:
            handler.send_error(404)
            return
        start = int(re.findall(r"\d+", wanted)[0]) if wanted and self.ranges else 0
        if start >= len(content):
            handler.send_error(416)
            return
        handler.send_response(206 if start else 200)
        handler.send_header("Content-Length", str(len(content) - start))
        handler.end_headers()
        handler.wfile.write(content[start : start + self.cut])


@contextmanager
def serving(server: Server) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
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
