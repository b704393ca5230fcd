"""Executors of clusters, opened and closed."""

from __future__ import annotations

import logging
import shutil
import sys
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

from caloforge.cluster.settings import QUEUES
from caloforge.devices import usable_cores
from caloforge.errors import CaloForgeError, ConfigError, MissingDependencyError
from caloforge.optional import needed
from caloforge.processes import spawning
from caloforge.signals import kept

if TYPE_CHECKING:
    from collections.abc import Iterator
    from concurrent.futures import Executor

    from caloforge.cluster.settings import Cluster

__all__ = ["opened", "seconds_of"]

_SECONDS = 30  # until a scheduler must have answered
_FAILURES = 10  # workers that may die on a block before it is given up: batch systems take jobs away

_SUBMIT = {"slurm": "sbatch", "condor": "condor_submit", "pbs": "qsub", "lsf": "bsub", "sge": "qsub"}
_TALKATIVE = ("asyncio", "distributed", "tornado")

_logger = logging.getLogger(__name__)


@contextmanager
def opened(cluster: Cluster) -> Iterator[Executor]:
    """An executor on ``cluster``; workers that were started for it end with the block.

    Raises:
        CaloForgeError: The cluster does not answer, or the batch system refuses.
        ConfigError: MPI has no workers, the batch system is not here, or this is Windows.
        MissingDependencyError: The package for it is not installed.
    """
    if sys.platform == "win32":  # pipes to processes of workers are inherited as in Unix
        raise ConfigError("Workers of clusters run on Linux and macOS: leave out --cluster.")
    with _mpi() if cluster.kind == "mpi" else _dask(cluster) as executor:
        yield executor


def _needed(package: str) -> Any:
    with kept():  # dask_jobqueue would make Ctrl-C an exit without an error
        return needed(package, extra="cluster", what="Dask's workers")


@contextmanager
def _dask(cluster: Cluster) -> Iterator[Executor]:
    dask, distributed = _needed("dask"), _needed("distributed")
    _quiet()
    with ExitStack() as stack:
        stack.enter_context(dask.config.set({"distributed.scheduler.allowed-failures": _FAILURES}))
        try:
            place = cluster.scheduler or stack.enter_context(_workers(cluster))
            client = stack.enter_context(distributed.Client(place, timeout=_SECONDS, set_as_default=False))
        except CaloForgeError:
            raise
        except (OSError, RuntimeError, ValueError) as error:
            raise CaloForgeError(_no_answer(cluster, error)) from error
        _logger.debug("Dask's scheduler is %s", client.scheduler.address)
        if not client.scheduler_info()["workers"]:
            _logger.info("waiting for workers of the cluster")
        # a task is no function of its arguments alone: it writes a file
        yield client.get_executor(pure=False)


def _workers(cluster: Cluster) -> Any:
    """A scheduler in this process, with workers that are started."""
    if cluster.kind in QUEUES:
        return _queue(cluster)
    with spawning():  # Ctrl-C on a terminal reaches all its processes: workers leave it to this one
        return _needed("distributed").LocalCluster(
            n_workers=cluster.jobs or usable_cores(),
            threads_per_worker=1,
            dashboard_address=":0",
            silence_logs=logging.CRITICAL,
        )


def _queue(cluster: Cluster) -> Any:
    """Workers that are jobs of a batch system; blocks are made as soon as the first one runs."""
    if shutil.which(program := _SUBMIT[cluster.kind]) is None:  # Dask would wait for its jobs for ever
        msg = f"{cluster.kind} needs the program {program}, which is not here: work where jobs are submitted."
        raise ConfigError(msg)
    jobqueue = _needed("dask_jobqueue")
    names = {"slurm": "SLURM", "condor": "HTCondor", "pbs": "PBS", "lsf": "LSF", "sge": "SGE"}
    workers = getattr(jobqueue, f"{names[cluster.kind]}Cluster")(**_options(cluster))
    workers.scale(jobs=cluster.jobs or 1)
    return workers


def _options(cluster: Cluster) -> dict[str, Any]:
    """How ``dask_jobqueue`` calls what the settings say."""
    options: dict[str, Any] = {
        "cores": 1,
        "processes": 1,
        "memory": cluster.memory,
        "python": cluster.python or sys.executable,
        "job_script_prologue": cluster.prologue,
        "job_extra_directives": cluster.directives,
        "silence_logs": "critical",
    }
    if cluster.interface:
        options["interface"] = cluster.interface
    if cluster.kind == "condor":
        limit = {"MY.MaxRuntime": str(seconds_of(cluster.walltime))}
        charged = {"accounting_group": cluster.account} if cluster.account else {}
        more = cluster.directives if isinstance(cluster.directives, dict) else {}
        return {**options, "disk": "1GB", "job_extra_directives": {**limit, **charged, **more}}
    project = "project" if cluster.kind in {"lsf", "sge"} else "account"
    named = {"queue": cluster.queue, project: cluster.account}
    walltime = _hours_and_minutes(cluster.walltime) if cluster.kind == "lsf" else cluster.walltime
    return {**options, "walltime": walltime, **{k: v for k, v in named.items() if v}}


def seconds_of(walltime: str) -> int:
    """The seconds of days-hours:minutes:seconds."""
    days, _, clock = walltime.rpartition("-")
    hours, minutes, *seconds = map(int, clock.split(":"))
    return int(days or 0) * 86_400 + hours * 3_600 + minutes * 60 + sum(seconds)


def _hours_and_minutes(walltime: str) -> str:
    """As LSF wants it, rounded up."""
    hours, minutes = divmod(-(-seconds_of(walltime) // 60), 60)
    return f"{hours}:{minutes:02d}"


def _quiet() -> None:
    """What happens to a cluster is told by the error that it leads to, once."""
    if not _logger.isEnabledFor(logging.DEBUG):
        known = [name for name in logging.root.manager.loggerDict if name.split(".")[0] in _TALKATIVE]
        for name in (*_TALKATIVE, *known):
            logging.getLogger(name).setLevel(logging.CRITICAL)


def _no_answer(cluster: Cluster, error: Exception) -> str:
    reason = " ".join(str(error).split())[:200].rstrip(".") or type(error).__name__
    if cluster.address:
        return f"No Dask scheduler answers at {cluster.address}: start `dask scheduler` there ({reason})."
    return f"The cluster {cluster.kind} cannot be started: {reason}."


@contextmanager
def _mpi() -> Iterator[Executor]:
    try:
        from mpi4py import MPI
        from mpi4py.futures import MPIPoolExecutor
    except (ImportError, RuntimeError) as error:
        reason = str(error).splitlines()[0]
        msg = f"MPI needs mpi4py and an MPI library ({reason}): install with pip install 'caloforge[mpi]'."
        raise MissingDependencyError(msg) from error
    if MPI.COMM_WORLD.size < 2:
        raise ConfigError(
            "MPI has no workers: start as `mpiexec -n 5 python -m mpi4py.futures -m caloforge ...`, with one "
            "process more than workers."
        )
    with MPIPoolExecutor() as executor:
        yield executor
