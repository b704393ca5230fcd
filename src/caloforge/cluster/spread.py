"""Tasks over an executor, whichever it is: few at a time, results as they come, failures in a sentence."""

from __future__ import annotations

from collections import deque
from concurrent.futures import CancelledError, Executor, Future
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, Self, TypeVar, cast

from caloforge.cluster.children import Remote
from caloforge.errors import CaloForgeError

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Sequence

__all__ = ["Spread", "run_in_order", "run_spread"]

T = TypeVar("T")
TaskT = TypeVar("TaskT", bound=tuple[Any, ...])

_AT_A_TIME = 4096  # tasks that an executor has: enough for a thousand workers, few enough for its memory


class Spread:
    """Tasks that an executor has; those that are not done are cancelled at the end of the ``with`` block.

    Args:
        work: Picklable; called once in a process of its own on every worker, returns the function.
        executor: Of ``concurrent.futures``, or anything like it. It stays open.
    """

    def __init__(self, work: Callable[[], Callable[..., Any]], executor: Executor) -> None:
        self._remote, self._executor = Remote.of(work), executor
        self._done = SimpleQueue[Future[Any]]()
        self._running: dict[Future[Any], tuple[Any, ...]] = {}

    def __len__(self) -> int:
        return len(self._running)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for future in self._running:
            future.cancel()

    def submit(self, task: tuple[Any, ...]) -> None:
        """Hand a task out: arguments of the function."""
        future = self._executor.submit(self._remote, *task)
        self._running[future] = task
        future.add_done_callback(self._done.put)

    def next(self) -> tuple[tuple[Any, ...], Any]:
        """Wait for the task that is done next; it and its result.

        Raises:
            CaloForgeError: The work failed or its process died, or the executor is lost.
        """
        future = self._done.get()
        return self._running.pop(future), _result(future)


def run_spread(
    tasks: Sequence[TaskT], work: Callable[[], Callable[..., T]], *, executor: Executor
) -> Generator[tuple[TaskT, T]]:
    """Let ``executor`` do ``tasks`` and yield results as they come.

    Args:
        tasks: Arguments of the function, handed out in order.
        work: As of ``Spread``.
        executor: As of ``Spread``.

    Yields:
        A task and its result.

    Raises:
        CaloForgeError: The work failed or its process died, or the executor is lost.
    """
    queue = deque(tasks)
    with Spread(work, executor) as spread:
        while queue or spread:
            while queue and len(spread) < _AT_A_TIME:
                spread.submit(queue.popleft())
            task, result = spread.next()
            yield cast("TaskT", task), result


def run_in_order(
    tasks: Sequence[tuple[Any, ...]],
    work: Callable[[], Callable[..., T]],
    *,
    executor: Executor,
    at_a_time: int = 256,
) -> Generator[T]:
    """The results of ``run_spread`` in the order of the tasks, which all differ.

    Args:
        tasks: Arguments of the function.
        work: As of ``Spread``.
        executor: As of ``Spread``.
        at_a_time: Tasks that are handed out, or done and wait for an earlier one.
    """
    queue, done = deque(tasks), dict[tuple[Any, ...], T]()
    with Spread(work, executor) as spread:
        for task in tasks:
            while task not in done:
                while queue and len(spread) + len(done) < at_a_time:
                    spread.submit(queue.popleft())
                finished, result = spread.next()
                done[finished] = result
            yield done.pop(task)


def _result(future: Future[T]) -> T:
    try:
        return future.result()
    except CaloForgeError:
        raise
    except CancelledError:
        msg = "The cluster gave a task up, or is gone: run the same command again to go on where it stopped."
        raise CaloForgeError(msg) from None
    except Exception as error:
        text = " ".join(str(error).split()) or type(error).__name__
        msg = f"The cluster failed ({text}): run the same command again to go on where it stopped."
        raise CaloForgeError(msg) from error
