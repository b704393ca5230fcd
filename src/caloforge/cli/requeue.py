"""A job of SLURM that goes back into the queue when its time is nearly over."""

from __future__ import annotations

import os
import subprocess
from contextlib import contextmanager
from typing import TYPE_CHECKING

from caloforge.cli.ranks import is_first
from caloforge.errors import ConfigError, OutputError
from caloforge.signals import Requeued, deferred

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["requeueing"]


@contextmanager
def requeueing(*, asked: bool) -> Iterator[None]:
    """Put this job back into the queue after SIGUSR1, when all is saved.

    Raises:
        ConfigError: It is asked for outside of a job.
        OutputError: The batch system refuses.
        Requeued: As before.
    """
    if asked and not _job():
        raise ConfigError("--requeue works in a job of SLURM (SLURM_JOB_ID is not set): leave it out.")
    try:
        yield
    except Requeued:
        if asked and is_first():
            _requeue(_job())
        raise


def _job() -> str:
    """The job's number, as the batch system wants it."""
    array = os.environ.get("SLURM_ARRAY_JOB_ID"), os.environ.get("SLURM_ARRAY_TASK_ID")
    return "_".join(map(str, array)) if all(array) else os.environ.get("SLURM_JOB_ID", "")


@deferred()  # the batch system ends the job with a signal
def _requeue(job: str) -> None:
    try:
        done = subprocess.run(["scontrol", "requeue", job], capture_output=True, text=True, check=False)
        problem = "" if done.returncode == 0 else " ".join(done.stderr.split()) or f"code {done.returncode}"
    except OSError as error:
        problem = str(error.strerror)
    if problem:
        msg = f"The state is saved, but scontrol did not requeue the job {job} ({problem}): submit it again."
        raise OutputError(msg)
