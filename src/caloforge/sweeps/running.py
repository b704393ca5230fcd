"""The points of a sweep, trained here, in processes, or by a cluster; what is done stays."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from caloforge.cluster import run_spread
from caloforge.sweeps.outcomes import read_outcome, write_outcome
from caloforge.sweeps.work import PointWork
from caloforge.training.apart import run_apart

if TYPE_CHECKING:
    from collections.abc import Sequence
    from concurrent.futures import Executor

    from caloforge.errors import CaloForgeError
    from caloforge.sweeps.record import Sweep

__all__ = ["Told", "run_points"]

Told = Callable[[int, str, int, int, float], None]
"""Gets a point's number, its stage, the steps done, all steps, and the latest loss."""


def run_points(
    sweep: Sweep,
    numbers: Sequence[int],
    *,
    showers: int = 0,
    processes: int = 1,
    executor: Executor | None = None,
    on_progress: Told | None = None,
    on_end: Callable[[int], None] = lambda number: None,  # noqa: ARG005
) -> None:
    """Train points, and judge them; each goes on where it was interrupted, those that are done stay.

    A point has the weights of a single ``train`` of its configuration, to the bit, wherever it is trained.
    One that fails ends alone: its outcome tells why.

    Args:
        sweep: The points.
        numbers: Which of them.
        showers: To judge each model with; 0 leaves that out.
        processes: Points at a time, with more than one each in a process of its own.
        executor: Of a cluster, in place of these; the machines must share the disk.
        on_progress: Hears of steps, not of those on a cluster.
        on_end: Called with the number of each that has ended.

    Raises:
        CaloForgeError: The cluster is lost.
        KeyboardInterrupt: After a signal; the states are saved.
    """
    work = PointWork(sweep, showers)
    waiting = []
    for number in numbers:
        if work.is_done(number):
            on_end(number)
        else:
            waiting.append(number)
    if executor is not None:
        for (number,), _ in run_spread([(n,) for n in waiting], work.there, executor=executor):
            on_end(number)
    elif processes > 1 and len(waiting) > 1:
        _run_apart(work, waiting, processes, on_progress, on_end)
    else:
        for number in waiting:
            work.do(number, on_progress and partial(on_progress, number))
            on_end(number)


def _run_apart(
    work: PointWork,
    numbers: Sequence[int],
    processes: int,
    on_progress: Told | None,
    on_end: Callable[[int], None],
) -> None:
    def end(name: str, error: CaloForgeError | None) -> None:
        if error is not None:  # the process died, or there is a fault in the program
            path = work.sweep.record(int(name))
            failed = {"state": "failed", "sentence": str(error)}
            write_outcome(path, read_outcome(path).model_copy(update=failed))
        on_end(int(name))

    def tell(stage: str, done: int, total: int, loss: float) -> None:
        number, _, stage = stage.partition(" ")
        if on_progress is not None:
            on_progress(int(number), stage, done, total, loss)

    needs = {str(number): () for number in numbers}
    run_apart(needs, partial(_do, work), processes=processes, on_progress=tell, on_end=end, what="point")


def _do(work: PointWork, name: str, tell: Any) -> None:
    def on_progress(stage: str, done: int, total: int, loss: float) -> None:
        tell(f"{name} {stage}", done, total, loss)

    work.do(int(name), on_progress)
