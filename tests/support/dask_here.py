"""A Dask cluster of this machine whose parts can be killed, and a batch system that runs jobs at once."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

__all__ = ["DaskHere", "dask_here", "fake_sbatch", "wait_for"]


def wait_for(what: Callable[[], object], *, seconds: float = 60.0) -> None:
    """Wait until something is true."""
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline, "it took too long"
        time.sleep(0.02)


@dataclass
class DaskHere:
    """A scheduler and its workers.

    Attributes:
        folder: For the scheduler's file and all logs.
        path: More folders for Python's modules.
    """

    folder: Path
    path: str = ""
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def address(self) -> str:
        """Of the scheduler, as caloforge takes it."""
        described: str = json.loads((self.folder / "scheduler.json").read_text())["address"]
        return described.replace("tcp://", "dask://")

    def start(self, *command: object) -> subprocess.Popen[bytes]:
        """Start a part of the cluster; it and all its children are a group."""
        log = (self.folder / f"{len(self.processes)}.log").open("wb")
        environment = {**os.environ, "PYTHONPATH": self.path} if self.path else None
        process = subprocess.Popen(
            [sys.executable, "-m", *map(str, command)],
            stdout=log,
            stderr=log,
            cwd=self.folder,
            env=environment,
            start_new_session=True,
        )
        log.close()
        self.processes.append(process)
        return process

    @property
    def scheduler(self) -> subprocess.Popen[bytes]:
        """The scheduler."""
        return self.processes[0]

    def worker(self, number: int) -> subprocess.Popen[bytes]:
        """A worker, from 0."""
        return self.processes[number + 1]

    def kill(self, process: subprocess.Popen[bytes]) -> None:
        """As a machine that fails: at once, with all that runs on it."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@contextlib.contextmanager
def dask_here(folder: Path, *, workers: int = 2, path: str = "") -> Iterator[DaskHere]:
    """Start a scheduler and workers; all are gone in the end."""
    folder.mkdir()
    here = DaskHere(folder, path)
    try:
        options = ("--port", 0, "--host", "127.0.0.1", "--no-dashboard", "--scheduler-file", "scheduler.json")
        here.start("distributed.cli.dask_scheduler", *options)
        wait_for((folder / "scheduler.json").exists)
        for _ in range(workers):
            here.start(
                "distributed.cli.dask_worker",
                *("--scheduler-file", "scheduler.json", "--nthreads", 1, "--no-dashboard", "--no-nanny"),
            )
        yield here
    finally:
        for process in here.processes:
            here.kill(process)


SBATCH = """#!{python}
import os, re, subprocess, sys
script = sys.argv[-1]
text = open(script).read()
low, high = map(int, re.search(r"--array=(\\d+)-(\\d+)", text).groups())
jobs = []
for number in range(low, high + 1):
    environment = {{**os.environ, "SLURM_ARRAY_TASK_ID": str(number)}}
    log = open(re.search(r"--output=(.*)", text)[1].replace("%a", str(number)), "ab")
    jobs.append(subprocess.Popen(["bash", script], env=environment, stdout=log, stderr=log, cwd="/"))
codes = [job.wait() for job in jobs]
print("Submitted batch job 1")
sys.exit(max(codes))
"""


def fake_sbatch(folder: Path) -> Path:
    """A program that understands the array and the log of a script, and runs its jobs at the same time."""
    folder.mkdir(exist_ok=True)
    program = folder / "sbatch"
    program.write_text(SBATCH.format(python=sys.executable))
    program.chmod(0o755)
    return program
