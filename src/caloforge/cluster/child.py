"""A process of its own on a cluster's worker: started there, fed with tasks, over when the worker is.

Geant4 is once in a process and for good, torch has threads: neither belongs into the process of a cluster's
worker, which may do something else next. ``multiprocessing`` does not start children of Dask's workers, which
are daemons; so this is a program, ``python -m caloforge.cluster.child``.
"""

from __future__ import annotations

import os
import pickle
import sys
import threading
import traceback
from multiprocessing.connection import Connection

from caloforge.errors import CaloForgeError, clipped
from caloforge.signals import ignore_signals

__all__ = ["IDLE", "main"]

IDLE = 60.0
"""Seconds without a task after which the process ends, so that a cluster is not full of them."""


def main() -> None:
    """Serve tasks until there are none; the argument is the connection's file descriptor."""
    ignore_signals()
    threading.Thread(target=_follow_worker, daemon=True).start()
    connection = Connection(int(sys.argv[1]))
    try:
        work = pickle.loads(connection.recv_bytes())()
        while connection.poll(IDLE):
            connection.send((work(*connection.recv()), None))
    except (EOFError, ConnectionError):
        return
    except BaseException as error:  # noqa: BLE001 (everything is reported)
        traceback.print_exc()
        connection.send((None, _sentence(error)))


def _follow_worker() -> None:
    """End when the worker is gone, also when it was killed: standard input then ends."""
    sys.stdin.buffer.read()
    os._exit(1)


def _sentence(error: BaseException) -> CaloForgeError:
    if isinstance(error, CaloForgeError):
        return error
    return CaloForgeError(f"A worker failed with {clipped(f'{type(error).__name__}: {error}', 300)}.")


if __name__ == "__main__":
    main()
