"""Several trainings at once: one thread each, the same numbers whatever the number of workers."""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from threading import Event
from typing import TYPE_CHECKING, TypeVar

from caloforge.devices import threads_as_before, usable_cores

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

__all__ = ["one_thread", "parallel"]

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


def parallel(
    task: Callable[[_Item, Event], _Result], items: Sequence[_Item], *, workers: int | None = None
) -> list[_Result]:
    """Run ``task`` on all items in threads, with one torch thread each.

    Args:
        task: Gets an item and an event that is set when it should give up (after Ctrl-C, or when
            another task failed).
        items: One task each.
        workers: Tasks at once; by default as many as there are usable cores.

    Returns:
        The results in the order of the items.
    """
    number = max(1, min(workers or usable_cores(), len(items)))
    stop = Event()
    with one_thread(), ThreadPoolExecutor(number, initializer=_use_one_thread) as pool:
        try:
            return list(pool.map(lambda item: task(item, stop), items))
        except BaseException:
            stop.set()
            raise


@contextmanager
def one_thread() -> Iterator[None]:
    """Sums have the same order, and so results the same last digits, whatever the machine."""
    with threads_as_before():
        _use_one_thread()
        yield


def _use_one_thread() -> None:
    torch = sys.modules.get("torch")
    if torch is not None:  # trees grow without it
        torch.set_num_threads(1)
