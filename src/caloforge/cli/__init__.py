"""The command line: ``caloforge COMMAND``, one module a command."""

from __future__ import annotations

import os
import signal
import sys

__all__ = ["main"]


def main() -> None:
    """Run the command line and leave with its exit code (0, 1 a defect, 2 bad input, 130 interrupted)."""
    try:
        from caloforge.cli.app import app
        from caloforge.cli.complete import words_with_colons

        with words_with_colons(os.environ):
            app(prog_name="caloforge")
    except KeyboardInterrupt:
        sys.stderr.write("caloforge: interrupted\n")
        sys.exit(130)
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # all is said and done: a late Ctrl-C changes nothing
