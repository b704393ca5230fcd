"""Progress of long work, and how long a shower took."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from caloforge.cli.common import progress

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from caloforge.cli.common import Advance

__all__ = ["Watch"]


class Watch:
    """Shows progress, and measures the wall-clock time of the showers that are really made.

    Args:
        what: What is going on, such as "simulating".
        count: Showers in all.
    """

    def __init__(self, what: str, count: int) -> None:
        self._what = what
        self._count = count
        self._done = count
        self._started = 0.0

    def progress(self, done: int) -> AbstractContextManager[Advance]:
        """The progress bar of work that finds ``done`` showers on disk."""
        self._done, self._started = done, time.monotonic()
        return progress(self._what, self._count, done=done)

    @property
    def wall(self) -> str:
        """Time per shower until now, in words."""
        made = self._count - self._done
        if not made:
            return "all showers were there"
        return f"{1e3 * (time.monotonic() - self._started) / made:.3g} ms per shower"
