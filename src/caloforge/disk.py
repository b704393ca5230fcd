"""Whether what is asked for can lie on the disk at all, said before hours of work."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from caloforge.errors import ConfigError, OutputError, bad, clipped

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["MOST_SHOWERS", "check_room"]

MOST_SHOWERS = 10**8  # in one file; one that has more is taken for damaged when it is read
_SHOWER = 100  # bytes that an almost empty shower takes, its share of a block's file included
_GB = 1e9


def check_room(out: Path, showers: int) -> None:
    """Refuse a number of showers that cannot fit, even if they are almost empty.

    Args:
        out: The file to write; its folder or the nearest one above it exists.
        showers: How many.

    Raises:
        ConfigError: They are more than ``MOST_SHOWERS``.
        OutputError: The disk has not enough room.
    """
    if showers > MOST_SHOWERS:
        got, expected = clipped(f"{showers:,}", 40), f"at most {MOST_SHOWERS:,} showers in a file"
        raise ConfigError(bad("--count", got=got, expected=expected, fix="split them by --seed"))
    folder = next(path for path in out.absolute().parents if path.exists())
    need, free = showers * _SHOWER, shutil.disk_usage(folder).free
    if need > free:
        msg = (
            f"{showers:,} showers take more than {need / _GB:,.1f} GB and {folder} has {free / _GB:,.1f} GB "
            f"free: make room, write elsewhere, or ask for fewer."
        )
        raise OutputError(msg)
