"""Job files of batch systems, for the blocks of a plan or the points of a sweep."""

from __future__ import annotations

import shlex
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from caloforge.cluster.opening import seconds_of
from caloforge.processes import threads_told

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["BLOCKS", "Jobs", "Work", "condor_file", "points_work", "slurm_script"]


_AGAIN = "Jobs can be submitted again, also while others run: what is there stays. When all are done:"


class Work(NamedTuple):
    """What jobs do.

    Attributes:
        command: Of one; ``{job}`` is its number, ``{jobs}`` how many there are, ``{folder}`` where they work.
        after: When all are done.
        travels: A file that is all that a job needs where there is no shared disk; "" where it needs that.
    """

    command: str
    after: str
    travels: str


BLOCKS = Work("make-block {job} --every {jobs} --plan {folder}", "join {folder}", "plan.json")
"""The blocks of a plan."""


def points_work(*options: str) -> Work:
    """The points of a sweep, with options of ``caloforge sweep``."""
    command = " ".join(("sweep --out {folder} --point {job} --every {jobs}", *options))
    return Work(command, "sweep --out {folder}", "")


@dataclass(frozen=True, kw_only=True)
class Jobs:
    """What jobs ask for.

    Attributes:
        folder: Where they work: that of the plan, or of the sweep.
        jobs: How many; job j makes the blocks j, j + jobs, j + 2 jobs and so on.
        walltime: Of a job, hours:minutes:seconds.
        memory: Of a job.
        queue: Partition or queue.
        account: Project that is charged.
        work: What they do.
        threads: Cores of a job.
    """

    folder: Path
    jobs: int
    walltime: str
    memory: str
    queue: str = ""
    account: str = ""
    work: Work = BLOCKS
    threads: int = 1

    @property
    def after(self) -> str:
        """The command when all are done."""
        return f"{_program()} {self.work.after.format(folder=shlex.quote(str(self.folder)))}"

    def command(self, job: str, folder: str) -> str:
        """What a job does, whose number and folder the batch system calls so."""
        return self.work.command.format(job=job, jobs=self.jobs, folder=folder)

    @property
    def environment(self) -> str:
        """Variables that tell the number of threads."""
        return " ".join(f"{name}={value}" for name, value in threads_told(self.threads).items())


def slurm_script(jobs: Jobs) -> str:
    """A script for ``sbatch``."""
    folder, job = shlex.quote(str(jobs.folder)), '"$SLURM_ARRAY_TASK_ID"'
    more = {"partition": jobs.queue, "account": jobs.account}
    lines = [
        "#!/bin/bash",
        f"# {_AGAIN}",
        f"#   {jobs.after}",
        "#SBATCH --job-name=caloforge",
        f"#SBATCH --array=0-{jobs.jobs - 1}",
        "#SBATCH --ntasks=1",
        f"#SBATCH --cpus-per-task={jobs.threads}",
        f"#SBATCH --mem={jobs.memory}",
        f"#SBATCH --time={jobs.walltime}",
        "#SBATCH --requeue",
        "#SBATCH --open-mode=append",
        f"#SBATCH --output={folder}/job-%a.log",
        *(f"#SBATCH --{name}={value}" for name, value in more.items() if value),
        f"export {jobs.environment}",
        f"exec {_program()} {jobs.command(job, folder)}",
    ]
    return "\n".join(lines) + "\n"


def condor_file(jobs: Jobs) -> str:
    """A file for ``condor_submit``."""
    place = "." if jobs.work.travels else f"'{jobs.folder}'"
    charged = [f"accounting_group = {jobs.account}"] if jobs.account else []
    queue = [f'MY.Queue = "{jobs.queue}"'] if jobs.queue else []
    lines = [
        f"# {_AGAIN}",
        f"#   {jobs.after}",
        "universe = vanilla",
        f"executable = {sys.executable}",
        "transfer_executable = false",
        f'arguments = "-m caloforge {jobs.command("$(Process)", place)}"',
        f'environment = "{jobs.environment}"',
        f"initialdir = {jobs.folder}",
        *_transfers(jobs.work),
        "output = job-$(Process).log",
        "error = job-$(Process).log",
        "log = jobs.condor",
        f"request_cpus = {jobs.threads}",
        f"request_memory = {jobs.memory}",
        "request_disk = 1GB",
        f"MY.MaxRuntime = {seconds_of(jobs.walltime)}",
        "max_retries = 3",
        *charged,
        *queue,
        f"queue {jobs.jobs}",
    ]
    return "\n".join(lines) + "\n"


def _transfers(work: Work) -> list[str]:
    if not work.travels:
        return ["should_transfer_files = NO"]
    return [
        "# without a shared disk the plan travels to the job, and all blocks that it makes come back",
        "should_transfer_files = IF_NEEDED",
        f"transfer_input_files = {work.travels}",
        "when_to_transfer_output = ON_EXIT",
    ]


def _program() -> str:
    return f"{shlex.quote(sys.executable)} -m caloforge"
