"""Time of the steps from a model on disk to a file of showers: load, sample, post-process, write."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, NamedTuple, ParamSpec, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["LOAD", "POST", "SAMPLE", "WRITE", "Seconds", "Stages"]

LOAD, SAMPLE, POST, WRITE = "load", "sample", "post-process", "write"

P = ParamSpec("P")
T = TypeVar("T")


class Seconds(NamedTuple):
    """Time by two clocks [s].

    Attributes:
        cpu: Of the process, over all threads.
        wall: Of the clock on the wall.
    """

    cpu: float
    wall: float


class Stages:
    """Adds up the time of steps, by label.

    Args:
        clock: Both times since some moment.

    Attributes:
        seconds: Time of every label so far.
    """

    def __init__(self, clock: Callable[[], Seconds] | None = None) -> None:
        self.seconds: dict[str, Seconds] = {}
        self._clock = clock or _now

    def run(self, label: str, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call a function, its time added to ``label``."""
        start = self._clock()
        result = function(*args, **kwargs)
        stop = self._clock()
        cpu, wall = self.seconds.get(label, Seconds(0.0, 0.0))
        self.seconds[label] = Seconds(cpu + stop.cpu - start.cpu, wall + stop.wall - start.wall)
        return result


def _now() -> Seconds:
    return Seconds(time.process_time(), time.perf_counter())
