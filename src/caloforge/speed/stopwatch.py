"""A stopwatch that splits time between the parts of a computation."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, ParamSpec, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Stopwatch"]

P = ParamSpec("P")
T = TypeVar("T")


class Stopwatch:
    """Adds up the time of functions by label; a function inside of another counts for itself only.

    Attributes:
        seconds: Time of every label so far [s]; it can be cleared.

    Args:
        clock: Seconds since some moment; by default the CPU time of the process, over all threads.
    """

    def __init__(self, clock: Callable[[], float] = time.process_time) -> None:
        self.seconds: dict[str, float] = {}
        self._clock = clock
        self._inside: list[float] = []

    def timed(self, label: str, function: Callable[P, T]) -> Callable[P, T]:
        """The same function, its time added to ``label``."""

        def run(*args: P.args, **kwargs: P.kwargs) -> T:
            self._inside.append(0.0)
            start = self._clock()
            try:
                return function(*args, **kwargs)
            finally:
                took = self._clock() - start
                self.seconds[label] = self.seconds.get(label, 0.0) + took - self._inside.pop()
                if self._inside:
                    self._inside[-1] += took

        return run
