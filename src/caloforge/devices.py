"""Where networks run: the words of ``--device``, and threads."""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

from caloforge.errors import ConfigError, bad, shown

if TYPE_CHECKING:
    from collections.abc import Iterator

    import torch

__all__ = ["device_type", "find_device", "threads_as_before", "usable_cores"]


def find_device(name: str) -> torch.device:
    """The device of a name.

    Args:
        name: ``cpu``; ``cuda``, or one of several as ``cuda:1``; ``auto`` for a GPU if there is one.

    Raises:
        ConfigError: The name is another, or the machine has no such device.
    """
    import torch  # here: the command line looks at names before it needs it

    gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if name == "cpu" or (name == "auto" and not gpus):
        return torch.device("cpu")
    if gpus and name in {"auto", "cuda"}:
        return torch.device("cuda", torch.cuda.current_device())
    if name in {f"cuda:{number}" for number in range(gpus)}:
        return torch.device(name)
    expected = "cpu, auto or an accelerator that this machine has"
    raise ConfigError(bad("device", got=shown(name), expected=expected))


def device_type(name: str) -> str:
    """The kind of a device, ``cpu`` or ``cuda``, by its name; arguments and errors as of ``find_device``."""
    return name if name == "cpu" else find_device(name).type  # for the CPU nobody has to look


@contextmanager
def threads_as_before() -> Iterator[None]:
    """Undo changes of torch's number of threads in the end."""
    torch = sys.modules.get("torch")
    if torch is None:  # what generates without it changes nothing
        yield
        return
    before = torch.get_num_threads()
    try:
        yield
    finally:
        torch.set_num_threads(before)


def usable_cores() -> int:
    """Processor cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
