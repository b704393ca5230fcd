"""The command line: ``caloforge COMMAND``, one module a command."""

from __future__ import annotations

import atexit
import io
import os
import sys
import threading
from contextlib import suppress

from caloforge.signals import catch_signals, exit_code, ignore_signals, interruption, received

__all__ = ["main"]


def main() -> None:
    """Run the command line and leave with its exit code.

    0 done, 1 a defect, 2 bad input, 130 after Ctrl-C, 143 after SIGTERM, 138 after SIGUSR1.
    """
    _show_what_can_be_shown()
    try:
        catch_signals()
        from caloforge.cli.app import app
        from caloforge.cli.complete import words_with_colons

        with words_with_colons(os.environ):
            app(prog_name="caloforge")
    except SystemExit as end:
        if end.code == 0 or not received():
            raise
        _leave(_code())
    except BaseException:
        if not received():
            raise
        with suppress(OSError):  # the terminal may be gone
            sys.stderr.write("caloforge: interrupted\n")
        _leave(_code())
    finally:
        ignore_signals()


def _show_what_can_be_shown() -> None:
    """Let what a terminal or a file has no letter for (± in ASCII) become a question mark, not a failure."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper) and stream.errors == "strict":
            stream.reconfigure(errors="replace")


def _code() -> int:
    """Whatever became of the exception of a signal on its way through others' code."""
    return exit_code(interruption(received()))


def _leave(code: int) -> None:
    """End the process; threads in the middle of a training do not hold it up.

    Python would wait for them until they are done, and torch abort (134) if it is torn down under them.
    """
    main_thread = threading.main_thread()
    if all(thread.daemon or thread is main_thread for thread in threading.enumerate()):
        sys.exit(code)
    ignore_signals()
    atexit._run_exitfuncs()  # temporary folders go
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            stream.flush()
    os._exit(code)
