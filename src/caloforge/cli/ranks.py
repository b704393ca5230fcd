"""Processes of one launch (``torchrun``) speak with one voice.

All read the same options and end of the same causes. What is wrong is told by the process that finds it;
those that stop because of it find out that it has been told from the store that the launcher keeps.
"""

from __future__ import annotations

import os
from contextlib import suppress
from datetime import timedelta

__all__ = ["is_first", "is_one_of_several", "tells"]

_PATIENCE = timedelta(seconds=5)


def is_one_of_several() -> bool:
    """Whether a launcher has started several processes."""
    return os.environ.get("WORLD_SIZE", "1") != "1"


def is_first() -> bool:
    """Whether this process shows what is to be seen."""
    return not is_one_of_several() or os.environ.get("RANK", "0") == "0"


def tells() -> bool:
    """Whether it is this process that tells why all end: the first that asks."""
    if not is_one_of_several() or os.environ.get("TORCHELASTIC_USE_AGENT_STORE") != "True":
        return True
    with suppress(Exception):  # without the launcher's store everybody tells
        from torch.distributed import TCPStore  # type: ignore[attr-defined]

        host, port = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])
        store = TCPStore(host, port, is_master=False, timeout=_PATIENCE, wait_for_workers=False)
        launch = os.environ.get("TORCHELASTIC_RUN_ID", ""), os.environ.get("TORCHELASTIC_RESTART_COUNT", "")
        return store.add(f"caloforge/told/{'/'.join(launch)}", 1) == 1
    return True
