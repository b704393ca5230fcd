"""The options that say where blocks are made."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from caloforge.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from concurrent.futures import Executor

    from caloforge.cluster import Cluster

__all__ = ["ClusterName", "Jobs", "Walltime", "executor_of", "read_cluster"]

ClusterName = Annotated[
    str | None,
    typer.Option(
        metavar="NAME|ADDRESS|FILE",
        help="Work on a cluster: dask://host:8786, dask (workers here), slurm, condor, pbs, mpi, or a YAML "
        "file.",
    ),
]
Jobs = Annotated[
    int | None, typer.Option(min=1, metavar="N", help="With --cluster: workers that are asked for.")
]
Walltime = Annotated[
    str | None, typer.Option(metavar="H:MM:SS", help="With --cluster slurm and the like: of each job.")
]


def read_cluster(
    name: str | None, *, jobs: int | None, walltime: str | None, processes: int = 1
) -> Cluster | None:
    """The cluster that the options name, if there is one; before anything heavy is imported.

    Raises:
        ConfigError: The options do not go together, or there is no such cluster.
    """
    if name is None:
        if jobs is not None or walltime is not None:
            raise ConfigError("--jobs and --walltime need --cluster NAME: give it, or leave them out.")
        return None
    if processes > 1:
        raise ConfigError("--processes are of this machine, --cluster has --jobs: leave --processes out.")
    from caloforge.cluster.settings import cluster_named

    return cluster_named(name, jobs=jobs, walltime=walltime)


@contextmanager
def executor_of(cluster: Cluster | None) -> Iterator[Executor | None]:
    """The executor of a cluster, open; nothing where there is none."""
    if cluster is None:
        yield None
        return
    from caloforge.cluster import opened

    with opened(cluster) as executor:
        yield executor
