"""Memory of this process."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import NamedTuple

__all__ = ["Memory", "peak_memory"]


class Memory(NamedTuple):
    """Largest resident memory of the process until then [bytes].

    Attributes:
        imported: After the imports.
        loaded: After the model is loaded.
        peak: In the end.
    """

    imported: int
    loaded: int
    peak: int


def peak_memory() -> int:
    """Largest resident memory of this process so far [bytes].

    Linux's own record is read where there is one: ``getrusage`` remembers the memory of the parent. 0 where
    the system does not tell (Windows).
    """
    status = Path("/proc/self/status")
    if status.exists():
        lines = status.read_text(encoding="ascii").splitlines()
        kilobytes = next((line.split()[1] for line in lines if line.startswith("VmHWM:")), "")
        if kilobytes:
            return 1024 * int(kilobytes)
    try:
        import resource
    except ImportError:
        return 0
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else 1024 * peak
