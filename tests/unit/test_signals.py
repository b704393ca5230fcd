from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING

import pytest

from caloforge import signals
from caloforge.signals import HungUp, Terminated, deferred, exit_code, handled, interruption

if TYPE_CHECKING:
    from collections.abc import Iterator


def raising(number: int, _: object) -> None:
    raise interruption(number)


@pytest.fixture
def raised() -> Iterator[None]:
    """Let signals raise, as in the command line."""
    with handled(raising):
        yield


@pytest.mark.parametrize(
    ("number", "kind", "code"),
    [
        (signal.SIGINT, KeyboardInterrupt, 130),
        (signal.SIGTERM, Terminated, 143),
        (signal.SIGHUP, HungUp, 129),
    ],
)
@pytest.mark.usefixtures("raised")
def test_a_signal_waits_until_the_outermost_block_is_over(
    number: int, kind: type[KeyboardInterrupt], code: int
) -> None:
    done = []

    @deferred()
    def work() -> None:
        with deferred():
            os.kill(os.getpid(), number)
            done.append("inner")
        done.append("outer")

    with pytest.raises(kind) as stop:
        work()
    assert done == ["inner", "outer"]
    assert exit_code(stop.value) == code
    assert signal.getsignal(number) is raising


@pytest.mark.usefixtures("raised")
def test_nothing_comes_when_nothing_came() -> None:
    with deferred():
        pass

    @deferred()
    def function() -> int:
        return 7

    assert function() == 7
    assert all(signal.getsignal(number) is raising for number in signals.STOPPING)


@pytest.mark.usefixtures("raised")
def test_a_signal_after_another_error_is_not_lost() -> None:
    @deferred()
    def work(number: int) -> None:
        os.kill(os.getpid(), number)
        raise ZeroDivisionError

    with pytest.raises(Terminated):
        work(signal.SIGTERM)
    with pytest.raises(ZeroDivisionError):  # the signal does not come twice
        work(0)


@pytest.mark.usefixtures("raised")
def test_other_threads_hold_nothing_back() -> None:
    inside, over = threading.Event(), threading.Event()

    def work() -> None:
        with deferred():
            inside.set()
            over.wait(10)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        inside.wait(10)
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
    finally:
        over.set()
        thread.join()


def test_ignored_signals_stay_ignored() -> None:
    before = signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        with deferred(), handled(raising):
            os.kill(os.getpid(), signal.SIGTERM)
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGTERM, before)


def test_the_default_action_comes_after_the_block() -> None:
    code = (
        "import os, signal\n"
        "from caloforge.signals import deferred\n"
        "with deferred():\n"
        "    os.kill(os.getpid(), signal.SIGTERM)\n"
        "    print('written', flush=True)\n"
        "print('never')\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (-signal.SIGTERM, "written\n")


def test_a_signal_that_python_loses_comes_again() -> None:
    """As in the callback of a weak reference."""
    code = (
        "import os, signal, time\n"
        "from caloforge import signals\n"
        "class Thing:\n"
        "    def __del__(self):\n"
        "        os.kill(os.getpid(), signal.SIGTERM)\n"
        "signals.catch_signals()\n"
        "try:\n"
        "    Thing()\n"
        "    time.sleep(20)\n"
        "except signals.Terminated:\n"
        "    print('stopped')\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "stopped\n", "")


PROGRAM = """
import os, signal, sys, types
from caloforge import cli
app = types.ModuleType("caloforge.cli.app")
def run(prog_name):
    try:
        os.kill(os.getpid(), signal.{number})
    finally:
        os.kill(os.getpid(), signal.SIGINT)  # while it cleans up
        print("clean", flush=True)
        {change}
app.app = run
sys.modules["caloforge.cli.app"] = app
cli.main()
"""


@pytest.mark.parametrize(
    ("number", "change", "code"),
    [
        ("SIGTERM", "pass", 143),
        ("SIGINT", "pass", 130),
        ("SIGTERM", "raise ImportError('of C code')", 143),
        ("SIGTERM", "sys.exit(1)", 143),
    ],
)
def test_the_program_leaves_with_the_code_of_the_first_signal(number: str, change: str, code: int) -> None:
    program = PROGRAM.format(number=number, change=change)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (code, "clean\n")
    assert done.stderr == ("" if "exit" in change else "caloforge: interrupted\n")


BUSY = """
import atexit, os, signal, sys, threading, time, types
from concurrent.futures import ThreadPoolExecutor
from caloforge import cli, signals
signals._GRACE = 0.0
app = types.ModuleType("caloforge.cli.app")
def kill():
    time.sleep(0.2)
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(0.5)
    os.kill(os.getpid(), signal.SIGTERM)
def run(prog_name):
    atexit.register(print, "tidy")
    threading.Thread(target=kill, daemon=True).start()
    with ThreadPoolExecutor(1) as pool:
        pool.submit(time.sleep, 60).result()
app.app = run
sys.modules["caloforge.cli.app"] = app
cli.main()
"""


def test_a_second_signal_does_not_wait_for_threads_that_compute() -> None:
    start = time.monotonic()
    done = subprocess.run([sys.executable, "-c", BUSY], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (143, "tidy\n", "caloforge: interrupted\n")
    assert time.monotonic() - start < 30  # seconds; the thread sleeps for sixty
