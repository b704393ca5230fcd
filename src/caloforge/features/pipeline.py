"""Work on the blocks of a file while the next ones are read; the results come in order."""

from __future__ import annotations

from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar

from caloforge.devices import usable_cores

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["pipelined"]

_Block = TypeVar("_Block")
_Result = TypeVar("_Result")


def pipelined(
    blocks: Iterator[_Block], work: Callable[[_Block], _Result], *, threads: int | None = None
) -> Iterator[_Result]:
    """``map(work, blocks)`` with one thread that reads and others that work.

    Inflating and sums over arrays leave Python to the other threads. Blocks are read one after the
    other, in order, and few are held.

    Args:
        blocks: Read block by block.
        work: On a block; must not depend on the others.
        threads: In all; by default one a core. With one, everything is done here.
    """
    number = usable_cores() if threads is None else threads
    if number < 2:
        yield from map(work, blocks)
        return
    with ThreadPoolExecutor(1) as reader, ThreadPoolExecutor(number) as workers:
        waiting: deque[Future[tuple[_Result] | None]] = deque()

        def step(read: Future[tuple[_Block] | None]) -> tuple[_Result] | None:
            block = read.result()
            return None if block is None else (work(block[0]),)

        def more() -> None:
            waiting.append(workers.submit(step, reader.submit(_next, blocks)))

        try:
            for _ in range(number + 1):
                more()
            while (done := waiting.popleft().result()) is not None:
                more()
                yield done[0]
        finally:
            reader.shutdown(cancel_futures=True)
            workers.shutdown(cancel_futures=True)


def _next(blocks: Iterator[_Block]) -> tuple[_Block] | None:
    """The next block in a tuple, None at the end."""
    for block in blocks:
        return (block,)
    return None
