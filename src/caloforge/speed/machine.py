"""The machine that a timing was made on, in words."""

from __future__ import annotations

import os
import platform
from pathlib import Path
from typing import Any

from caloforge.devices import usable_cores
from caloforge.optional import versions

__all__ = ["describe_machine", "load"]


def load() -> float | None:
    """Processes that ran at once, averaged over the last minute; None where it is unknown."""
    return os.getloadavg()[0] if hasattr(os, "getloadavg") else None


def describe_machine(device: str = "cpu") -> dict[str, Any]:
    """Processor, GPU, cores, memory, system and the versions that decide about speed, as JSON types.

    Args:
        device: Where networks run; a GPU is described when it is one.
    """
    return {
        "cpu": _processor(),
        "cores": os.cpu_count(),
        "usable_cores": usable_cores(),
        "memory_gib": _memory(),
        "system": platform.platform(),
        "python": platform.python_version(),
        **versions("caloforge", "torch", "numpy"),
        **({} if device == "cpu" else _gpu(device)),
    }


def _gpu(device: str) -> dict[str, Any]:
    import torch

    return {"gpu": torch.cuda.get_device_name(device), "cuda": torch.version.cuda}


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8", errors="replace").splitlines() if info.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def _memory() -> float | None:
    names = getattr(os, "sysconf_names", {})
    if not {"SC_PHYS_PAGES", "SC_PAGE_SIZE"} <= names.keys():
        return None
    return round(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30, 1)
