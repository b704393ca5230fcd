"""Job files of batch systems for the blocks of a plan."""

from __future__ import annotations

import shlex
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from caloforge.cluster.opening import seconds_of
from caloforge.processes import threads_told

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["Jobs", "condor_file", "slurm_script"]


_AGAIN = "Jobs can be submitted again, also while others run: blocks that are there stay. When all are done:"


@dataclass(frozen=True, kw_only=True)
class Jobs:
    """What the jobs of a plan ask for.

    Attributes:
        folder: Of the plan.
        jobs: How many; job j makes the blocks j, j + jobs, j + 2 jobs and so on.
        walltime: Of a job, hours:minutes:seconds.
        memory: Of a job.
        queue: Partition or queue.
        account: Project that is charged.
    """

    folder: Path
    jobs: int
    walltime: str
    memory: str
    queue: str = ""
    account: str = ""

    @property
    def _join(self) -> str:
        return f"{_program()} join {shlex.quote(str(self.folder))}"


def slurm_script(jobs: Jobs) -> str:
    """A script for ``sbatch``."""
    folder, more = shlex.quote(str(jobs.folder)), {"partition": jobs.queue, "account": jobs.account}
    exports = " ".join(f"{name}={value}" for name, value in threads_told(1).items())
    lines = [
        "#!/bin/bash",
        f"# {_AGAIN}",
        f"#   {jobs._join}",
        "#SBATCH --job-name=caloforge",
        f"#SBATCH --array=0-{jobs.jobs - 1}",
        "#SBATCH --ntasks=1",
        "#SBATCH --cpus-per-task=1",
        f"#SBATCH --mem={jobs.memory}",
        f"#SBATCH --time={jobs.walltime}",
        "#SBATCH --requeue",
        "#SBATCH --open-mode=append",
        f"#SBATCH --output={folder}/job-%a.log",
        *(f"#SBATCH --{name}={value}" for name, value in more.items() if value),
        f"export {exports}",
        f'exec {_program()} make-block "$SLURM_ARRAY_TASK_ID" --every {jobs.jobs} --plan {folder}',
    ]
    return "\n".join(lines) + "\n"


def condor_file(jobs: Jobs) -> str:
    """A file for ``condor_submit``; with or without a disk that all machines share."""
    environment = " ".join(f"{name}={value}" for name, value in threads_told(1).items())
    charged = [f"accounting_group = {jobs.account}"] if jobs.account else []
    queue = [f'MY.Queue = "{jobs.queue}"'] if jobs.queue else []
    lines = [
        f"# {_AGAIN}",
        f"#   {jobs._join}",
        "universe = vanilla",
        f"executable = {sys.executable}",
        "transfer_executable = false",
        f'arguments = "-m caloforge make-block $(Process) --every {jobs.jobs} --plan ."',
        f'environment = "{environment}"',
        "# without a shared disk the plan travels to the job, and all blocks that it makes come back",
        f"initialdir = {jobs.folder}",
        "should_transfer_files = IF_NEEDED",
        "transfer_input_files = plan.json",
        "when_to_transfer_output = ON_EXIT",
        "output = job-$(Process).log",
        "error = job-$(Process).log",
        "log = jobs.condor",
        "request_cpus = 1",
        f"request_memory = {jobs.memory}",
        "request_disk = 1GB",
        f"MY.MaxRuntime = {seconds_of(jobs.walltime)}",
        "max_retries = 3",
        *charged,
        *queue,
        f"queue {jobs.jobs}",
    ]
    return "\n".join(lines) + "\n"


def _program() -> str:
    return f"{shlex.quote(sys.executable)} -m caloforge"
