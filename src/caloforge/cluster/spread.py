"""Tasks over an executor, whichever it is: few at a time, results as they come, failures in a sentence."""

from __future__ import annotations

from collections import deque
from concurrent.futures import CancelledError, Executor, Future
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, TypeVar

from caloforge.cluster.children import Remote
from caloforge.errors import CaloForgeError

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Sequence

__all__ = ["run_spread"]

T = TypeVar("T")
TaskT = TypeVar("TaskT", bound=tuple[Any, ...])

_AT_A_TIME = 4096  # tasks that an executor has: enough for a thousand workers, few enough for its memory


def run_spread(
    tasks: Sequence[TaskT], work: Callable[[], Callable[..., T]], *, executor: Executor
) -> Generator[tuple[TaskT, T]]:
    """Let ``executor`` do ``tasks`` and yield results as they come.

    Args:
        tasks: Arguments of the function, handed out in order.
        work: Picklable; called once in a process of its own on every worker, returns the function.
        executor: Of ``concurrent.futures``, or anything like it. It stays open.

    Yields:
        A task and its result.

    Raises:
        CaloForgeError: The work failed or its process died, or the executor is lost.
    """
    queue, done = deque(tasks), SimpleQueue[Future[T]]()
    remote, running = Remote.of(work), dict[Future[T], TaskT]()
    try:
        while queue or running:
            while queue and len(running) < _AT_A_TIME:
                task = queue.popleft()
                future = executor.submit(remote, *task)
                running[future] = task
                future.add_done_callback(done.put)
            future = done.get()
            yield running.pop(future), _result(future)
    finally:
        for future in running:
            future.cancel()


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
