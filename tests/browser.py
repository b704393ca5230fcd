"""A headless Chromium, driven through the DevTools protocol."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from websockets.sync.client import connect

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from websockets.sync.client import ClientConnection

__all__ = ["Page", "chromium", "open_page"]

_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-dev-shm-usage",
    "--use-gl=angle",
    "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",
    "--remote-debugging-port=0",
    "--remote-allow-origins=*",
    "about:blank",
)
_PATIENCE = 240.0


def chromium() -> str | None:
    """Path of an installed Chromium."""
    return next((path for name in _NAMES if (path := shutil.which(name))), None)


class Page:
    """One tab: sends commands, keeps all events.

    Attributes:
        events: What the browser told, as (method, parameters).
    """

    def __init__(self, socket: ClientConnection) -> None:
        self._socket, self._last = socket, 0
        self.events: list[tuple[str, dict[str, Any]]] = []

    def send(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Run a command and return its answer."""
        self._last += 1
        self._socket.send(json.dumps({"id": self._last, "method": method, "params": parameters}))
        while (message := self._receive()).get("id") != self._last:
            pass
        if "error" in message:
            msg = f"{method}: {message['error']}"
            raise RuntimeError(msg)
        result: dict[str, Any] = message["result"]
        return result

    def wait_for(self, method: str) -> None:
        """Wait for an event that did not come yet."""
        while not any(name == method for name, _ in self.events):
            self._receive()

    def evaluate(self, expression: str) -> Any:
        """The value of a JavaScript expression; promises are waited for."""
        result = self.send("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        if "exceptionDetails" in result:
            raise RuntimeError(str(result["exceptionDetails"]))
        return result["result"].get("value")

    def resize(self, width: int, height: int, *, phone: bool = False, scale: float = 1.0) -> None:
        """Give the page a size in CSS pixels."""
        self.send(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=scale,
            mobile=phone,
        )

    def goto(self, path: Path) -> None:
        """Load a file, and wait until it is there."""
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.send(f"{domain}.enable")
        self.send("Page.navigate", url=path.resolve().as_uri())
        self.wait_for("Page.loadEventFired")

    def drag(self, start: tuple[float, float], way: tuple[float, float], steps: int = 8) -> None:
        """Drag the mouse with its left button from a point of the window."""

        def mouse(kind: str, part: float, buttons: int) -> None:
            x, y = (a + part * b for a, b in zip(start, way, strict=True))
            self.send(
                "Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", buttons=buttons, clickCount=1
            )

        mouse("mouseMoved", 0.0, 0)
        mouse("mousePressed", 0.0, 1)
        for step in range(1, steps + 1):
            mouse("mouseMoved", step / steps, 1)
        mouse("mouseReleased", 1.0, 0)

    def screenshot(self, path: Path, *, whole: bool = True) -> None:
        """Write a picture of the page, or of the window."""
        answer = self.send("Page.captureScreenshot", format="png", captureBeyondViewport=whole)
        path.write_bytes(base64.b64decode(answer["data"]))

    def _receive(self) -> dict[str, Any]:
        message: dict[str, Any] = json.loads(self._socket.recv(timeout=_PATIENCE))
        if "method" in message:
            self.events.append((message["method"], message["params"]))
        return message


@contextmanager
def open_page(binary: str, profile: Path) -> Iterator[Page]:
    """Start a browser with an empty profile and give its tab; both end with the block."""
    command = [binary, *_FLAGS[:-1], f"--user-data-dir={profile}", _FLAGS[-1]]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        address = _address(profile, process)
        with connect(address, max_size=None, open_timeout=_PATIENCE) as socket:
            browser = Page(socket)
            target = next(t for t in browser.send("Target.getTargets")["targetInfos"] if t["type"] == "page")[
                "targetId"
            ]
        with connect(_tab(address, target), max_size=None, open_timeout=_PATIENCE) as socket:
            yield Page(socket)
    finally:
        process.terminate()
        process.wait(timeout=_PATIENCE)


def _address(profile: Path, process: subprocess.Popen[bytes]) -> str:
    """Where the browser listens: it writes that into its profile."""
    file = profile / "DevToolsActivePort"
    end = time.monotonic() + _PATIENCE
    while time.monotonic() < end and process.poll() is None:
        lines = file.read_text().split() if file.exists() else []
        if len(lines) == 2:
            return f"ws://127.0.0.1:{lines[0]}{lines[1]}"
        time.sleep(0.05)
    raise RuntimeError("The browser did not start.")


def _tab(address: str, target: str) -> str:
    host = address.split("/")[2]
    return f"ws://{host}/devtools/page/{target}"
