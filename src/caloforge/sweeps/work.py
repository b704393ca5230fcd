"""One point of a sweep: trained in its run folder as ``caloforge train`` does it, then judged."""

from __future__ import annotations

import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from caloforge.errors import BusyError, CaloForgeError
from caloforge.files import locked, made
from caloforge.simulator import Simulator
from caloforge.sweeps.cache import lend_cache
from caloforge.sweeps.checks import config_of
from caloforge.sweeps.judging import judge_model
from caloforge.sweeps.outcomes import Outcome, read_outcome, write_outcome
from caloforge.training import Job, train_job

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from caloforge.sweeps.record import Sweep
    from caloforge.training.trainer import Progress

__all__ = ["PointWork", "job_of"]


@dataclass(frozen=True)
class PointWork:
    """What a process does; picklable.

    Attributes:
        sweep: The points.
        showers: To judge each trained model with; 0 leaves that out.
    """

    sweep: Sweep
    showers: int = 0

    def is_done(self, number: int) -> bool:
        """Whether there is nothing left to do for a point."""
        verdict = read_outcome(self.sweep.record(number)).verdict
        judged = not self.showers or (verdict is not None and verdict.asked == self.showers)
        return judged and self._is_trained(number)

    def there(self) -> Callable[[int], None]:
        """Set a worker's process up; what does a point there."""
        return self.do

    def do(self, number: int, on_progress: Progress | None = None) -> None:
        """Train and judge a point; what goes wrong is written down and ends this point alone.

        Raises:
            KeyboardInterrupt: After a signal; the state is saved.
        """
        torch.set_num_threads(self.sweep.request.threads)
        with _timed(self.sweep.record(number)) as book:
            try:
                simulator = self._train(number, on_progress)
                book.note(state="trained", sentence="", parameters=simulator.model.learnt_numbers)
                if self.showers:
                    book.note(verdict=judge_model(self.sweep, simulator, showers=self.showers))
            except BusyError:
                book.is_other = True  # who trains it tells how it went
            except CaloForgeError as error:
                book.note(state="failed", sentence=" ".join(str(error).split()))

    def _train(self, number: int, on_progress: Progress | None) -> Simulator:
        job = job_of(self.sweep, number)
        if self._is_trained(number):
            return Simulator.load(job.out / "model")
        busy = f"Another process is training in {job.out}."
        with made(job.out), locked(job.out / "lock", busy=busy, of=job.out):
            lend_cache(self.sweep.out, job.out, job.config, job.data, seed=job.seed)
            return train_job(job, on_progress=on_progress)

    def _is_trained(self, number: int) -> bool:
        """Also without its model it has to be trained again."""
        there = (self.sweep.folder(number) / "model" / "config.json").is_file()
        return there and read_outcome(self.sweep.record(number)).state == "trained"


def job_of(sweep: Sweep, number: int) -> Job:
    """The training of a point.

    Raises:
        ConfigError: Its configuration is wrong.
    """
    request = sweep.request
    return Job(
        config_of(sweep, number),
        tuple(Path(path) for path in request.data),
        sweep.folder(number),
        seed=sweep.points[number].seed,
        init_from=Path(request.init_from) if request.init_from else None,
        retrain=tuple(request.retrain),
        fine_tune=tuple(request.fine_tune),
        device=request.device,
        precision=request.precision,
    )


class _Book:
    """An outcome that changes."""

    def __init__(self, outcome: Outcome) -> None:
        self.outcome = outcome
        self.is_other = False  # another process is at work

    def note(self, **changes: object) -> None:
        self.outcome = self.outcome.model_copy(update=changes)


@contextmanager
def _timed(path: Path) -> Iterator[_Book]:
    """Keep the outcome of a point, with the time that was spent on it."""
    book, wall, cpu = _Book(read_outcome(path)), time.perf_counter(), time.process_time()
    try:
        yield book
    finally:
        if not book.is_other:
            before = book.outcome
            wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
            book.note(wall=round(before.wall + wall, 2), cpu=round(before.cpu + cpu, 2))
            write_outcome(path, book.outcome)
