"""Ctrl-C and the batch system's SIGTERM and SIGUSR1: exceptions, but never in the middle of a write.

HDF5 calls back into Python while it writes. A signal handler that raises there is swallowed, and the file
goes on with a hole; so signals wait until the write is over.
"""

from __future__ import annotations

import math
import os
import signal
import sys
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType

__all__ = [
    "STOPPING",
    "HungUp",
    "Requeued",
    "Terminated",
    "catch_signals",
    "deferred",
    "exit_code",
    "handled",
    "ignore_signals",
    "interruption",
    "kept",
    "received",
]

_SOON = 0.01  # seconds until a callback is over
_GRACE = 5.0  # seconds for cleaning up after a signal, in which no other one disturbs


class Terminated(KeyboardInterrupt):
    """SIGTERM: a batch system, or ``kill``, wants the process to end."""


class HungUp(KeyboardInterrupt):
    """SIGHUP: the terminal is gone."""


class Requeued(KeyboardInterrupt):
    """SIGUSR1: the job's time is nearly over; it is to go on in another one."""


_EXCEPTIONS: dict[int, type[KeyboardInterrupt]] = {
    signal.SIGINT: KeyboardInterrupt,
    signal.SIGTERM: Terminated,
    **({signal.SIGHUP: HungUp, signal.SIGUSR1: Requeued} if hasattr(signal, "SIGHUP") else {}),
}
STOPPING = tuple(_EXCEPTIONS)


@dataclass
class _State:
    """What the handlers and the main thread tell each other."""

    depth: int = 0
    waiting: list[int] = field(default_factory=list)
    handlers: dict[int, Any] = field(default_factory=dict)
    received: int = 0
    since: float = 0.0


_state = _State()


@contextmanager
def deferred() -> Iterator[None]:
    """Hold back the signals that stop the process until the end of the block, and let them act then.

    Blocks nest. Python handles signals in the main thread only, so in other threads there is nothing
    to do. Signals that are ignored stay ignored. It is a decorator, too: ``@deferred()``.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    depth = _state.depth
    try:
        _state.depth = depth + 1
        if not depth:
            _hold()
        yield
    finally:
        _state.depth = depth
        if not depth:
            _let_go()


def _hold() -> None:
    _state.waiting.clear()
    for number in STOPPING:
        handler = signal.getsignal(number)
        if _can_hold(handler) and handler is not _wait:
            _state.handlers[number] = handler
            signal.signal(number, _wait)


def _can_hold(handler: object) -> bool:
    """Ignored signals stay so; a handler of another language (None) could not be restored."""
    return handler is not None and handler is not signal.SIG_IGN


def _let_go() -> None:
    for number, handler in _state.handlers.items():
        if signal.getsignal(number) is _wait:
            signal.signal(number, handler)
    for number in dict.fromkeys(_state.waiting):
        signal.raise_signal(number)


def _wait(number: int, frame: FrameType | None) -> None:  # noqa: ARG001 (signal's signature)
    if _state.depth:
        _state.waiting.append(number)
        return
    # an exception came between holding and letting go: nothing is being written
    signal.signal(number, _state.handlers[number])
    signal.raise_signal(number)


@contextmanager
def kept() -> Iterator[None]:
    """Have the handlers of the signals that stop the process after the block as before it.

    Libraries set their own when they are imported; outside of the main thread they cannot.
    """
    before = {number: signal.getsignal(number) for number in STOPPING}
    try:
        yield
    finally:
        for number, handler in before.items():
            if handler is not None and signal.getsignal(number) is not handler:
                signal.signal(number, handler)


@contextmanager
def handled(handler: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    """Let the signals that stop the process call ``handler`` inside of the block; ignored ones stay so.

    Outside of the main thread, signals are the caller's.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before: dict[int, Any] = {}
    try:
        for number in STOPPING:
            if _can_hold(old := signal.getsignal(number)):
                before[number] = old
                signal.signal(number, handler)
        yield
    finally:
        for number, old in before.items():
            signal.signal(number, old)


def interruption(number: int, text: str = "") -> KeyboardInterrupt:
    """The exception of a signal; ``text`` says how to go on."""
    kind = _EXCEPTIONS.get(number, KeyboardInterrupt)
    return kind(text) if text else kind()


def exit_code(error: KeyboardInterrupt) -> int:
    """As shells have it: 130 after Ctrl-C, 143 after SIGTERM, 138 (on Linux) after SIGUSR1."""
    return 128 + next((number for number, kind in _EXCEPTIONS.items() if kind is type(error)), signal.SIGINT)


def catch_signals() -> None:
    """Let the signals that stop the process raise their exceptions; for programs, not for libraries.

    A second signal does not disturb the clean-up after the first. Python loses what is raised in callbacks of
    weak references and in ``__del__``: such a signal comes again.
    """
    for number in STOPPING:
        if signal.getsignal(number) is not signal.SIG_IGN:  # nohup, or the background of a shell
            signal.signal(number, _raise)
    sys.unraisablehook = _raise_again


def _raise(number: int, frame: FrameType | None) -> None:  # noqa: ARG001 (signal's signature)
    now = time.monotonic()
    if _state.received and now - _state.since < _GRACE:
        return
    _state.received, _state.since = number, now
    raise interruption(number)


def _raise_again(lost: sys.UnraisableHookArgs) -> None:
    if not isinstance(lost.exc_value, KeyboardInterrupt) or not _state.received:
        sys.__unraisablehook__(lost)
        return
    _state.since = -math.inf
    again = threading.Timer(_SOON, os.kill, (os.getpid(), _state.received))
    again.daemon = True
    again.start()


def received() -> int:
    """The signal that ``catch_signals`` caught, or 0.

    Code in C can turn its exception into another one, such as an ImportError.
    """
    return _state.received


def ignore_signals() -> None:
    """At the end, when all is said and done: a late signal changes nothing."""
    for number in STOPPING:
        signal.signal(number, signal.SIG_IGN)
