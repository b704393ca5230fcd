"""What the next steps need, made in a thread while the present one computes."""

from __future__ import annotations

from collections import deque
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import islice
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from concurrent.futures import Future

__all__ = ["prefetched"]

_Made = TypeVar("_Made")
_AHEAD = 2  # one that is being made, and one that waits: more would only take memory


@contextmanager
def prefetched(make: Callable[[int], _Made], numbers: Iterable[int]) -> Iterator[Iterator[_Made]]:
    """``make`` of all ``numbers`` in order, a few of them ahead; the thread ends with the context.

    An exception of ``make`` comes through where its number is asked for, and no earlier.

    Args:
        make: A function of the number alone, which other threads do not disturb.
        numbers: What is made.
    """
    pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="prefetch")
    try:
        yield _ahead(lambda number: pool.submit(make, number), iter(numbers))
    finally:
        pool.shutdown(cancel_futures=True)


def _ahead(submit: Callable[[int], Future[_Made]], numbers: Iterator[int]) -> Iterator[_Made]:
    waiting = deque(submit(number) for number in islice(numbers, _AHEAD))
    while waiting:
        made = waiting.popleft().result()
        waiting.extend(submit(number) for number in islice(numbers, 1))
        yield made
