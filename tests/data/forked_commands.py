"""Runs commands of the command line in forks of one process, which spares importing torch for each of them.

A line of standard input is a JSON list of arguments, the first one the file for the command's output. The
answer is a line with the process number of the command, and one with its exit code at its end.
"""

from __future__ import annotations

import atexit
import gc
import json
import os
import signal
import sys
import traceback


def warm_up() -> None:
    """Import what the commands need."""
    import torch

    import caloforge.cli.app
    import caloforge.generation
    import caloforge.report
    import caloforge.report.still
    import caloforge.speed.benchmark
    import caloforge.training  # noqa: F401

    torch.set_num_threads(1)


def run(log: str, arguments: list[str]) -> None:
    """Be the command, in a session of its own."""
    os.setsid()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    sys.argv = ["caloforge", *arguments]
    from caloforge.cli import main

    code: object = 0
    try:
        main()
    except SystemExit as end:
        code = end.code
    except BaseException:  # noqa: BLE001 (the child must not go on as the parent)
        traceback.print_exc()
        code = 1
    # what an interpreter does at its end, but for taking all modules apart, which takes seconds
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code if isinstance(code, int) else 0)


if __name__ == "__main__":
    warm_up()
    gc.freeze()
    for line in sys.stdin:
        log, *arguments = json.loads(line)
        child = os.fork()
        if not child:
            run(log, arguments)
        sys.stdout.write(f"{child}\n")
        sys.stdout.flush()
        sys.stdout.write(f"{os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])}\n")
        sys.stdout.flush()
