"""Signals in the middle of a training: a step comes to its end, in all processes that train together."""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch

from caloforge.signals import STOPPING, handled, interruption

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

    from caloforge.training.together import Together

__all__ = ["StopSignals"]

_GRACE = 20.0  # seconds in which a launcher passes on what each process has got by itself


class StopSignals:
    """What asked to stop; a process alone stops at once after a second signal.

    Processes of one training get every signal several times: from the terminal or the batch system, and from
    their launcher, which waits half a minute for them.

    Args:
        together: The processes.
    """

    def __init__(self, together: Together) -> None:
        self._together = together
        self._own = [0] * len(STOPPING)
        self._all = [0] * len(STOPPING)
        self._since = 0.0

    @property
    def received(self) -> list[int]:
        """How often this process was asked to stop, by kinds of signals."""
        return list(self._own)

    def heard(self, signals: list[int]) -> None:
        """The same of all processes together."""
        self._all = signals

    @property
    def is_asked(self) -> bool:
        """Whether to stop after a step: all processes say the same."""
        return any(self._own if self._together.ranks == 1 else self._all)

    def act(self) -> None:
        """Stop when a signal asked any of the processes to, all together.

        Raises:
            KeyboardInterrupt: Of the kind of the signal.
        """
        total = self._together.summed(torch.tensor(self._own))
        for number, count in zip(STOPPING, total.tolist(), strict=True):
            if count:
                raise interruption(number)

    @contextmanager
    def awaited(self) -> Iterator[None]:
        """Let a step come to its end."""
        with handled(self._handle):
            yield

    def _handle(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002 (signal's signature)
        again = any(self._own)
        if again and self._together.ranks > 1 and time.monotonic() - self._since < _GRACE:
            return
        if again:
            raise interruption(number)
        self._own[STOPPING.index(number)] += 1
        self._since = time.monotonic()
