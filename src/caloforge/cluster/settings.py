"""Which cluster: a word, an address, or a small YAML file."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Literal, get_args

from pydantic import Field, ValidationError, field_validator, model_validator

from caloforge.errors import ConfigError, bad, clipped, did_you_mean, shown
from caloforge.markup import LARGEST_YAML, parse_yaml, read_text
from caloforge.records import Record, first_problem, inconsistent

__all__ = ["KINDS", "QUEUES", "Cluster", "cluster_named"]

Kind = Literal["dask", "mpi", "slurm", "condor", "pbs", "lsf", "sge"]
KINDS: tuple[Kind, ...] = get_args(Kind)
QUEUES: tuple[Kind, ...] = ("slurm", "condor", "pbs", "lsf", "sge")
"""Batch systems, whose jobs are Dask's workers."""

_ADDRESS = re.compile(r"(dask|tcp|tls|ucx|ws|wss)://[^\s/]+:\d+/?")
_WALLTIME = re.compile(r"(\d+-)?\d{1,3}:[0-5]\d(:[0-5]\d)?")


class Cluster(Record):
    """Where blocks are made; the keys of the YAML file."""

    kind: Kind = "dask"
    """dask, mpi, or the batch system of which workers are asked for: slurm, condor, pbs, lsf, sge."""
    address: str = ""
    """Of Dask's scheduler, as dask://host:8786; without one, workers are started on this machine."""
    jobs: int | None = Field(default=None, ge=1, le=100_000)
    """Workers: jobs of the batch system, or processes of this machine; by default 1, or one a core."""
    walltime: str = "01:00:00"
    """Of a job, as hours:minutes:seconds."""
    memory: str = "4GB"
    """Of a job."""
    queue: str = ""
    """Partition or queue."""
    account: str = ""
    """Project that is charged."""
    directives: list[str] | dict[str, str] = Field(default_factory=list, max_length=100)
    """More lines of the job's head: a list, of HTCondor a section with keys."""
    prologue: list[str] = Field(default_factory=list, max_length=100)
    """Shell commands before the worker starts, such as module load."""
    python: str = ""
    """Python of the workers; by default the path of this one."""
    interface: str = ""
    """Network over which they talk, such as ib0."""

    @field_validator("address")
    @classmethod
    def _is_address(cls, value: str) -> str:
        if value and not _ADDRESS.fullmatch(value):
            raise ValueError("an address as dask://host:8786")
        return value

    @field_validator("walltime")
    @classmethod
    def _is_walltime(cls, value: str) -> str:
        if not _WALLTIME.fullmatch(value):
            raise ValueError("hours:minutes:seconds in quotes, as '02:00:00'")
        return value

    @model_validator(mode="after")
    def _goes_together(self) -> Cluster:
        if self.address and self.kind != "dask":
            raise inconsistent(got=f"an address for {self.kind}", expected="kind: dask with an address")
        if isinstance(self.directives, dict) != (self.kind == "condor") and self.directives:
            expected = "a section with keys" if self.kind == "condor" else "a list"
            raise inconsistent(got=f"directives of {self.kind}", expected=expected)
        return self

    @property
    def scheduler(self) -> str:
        """The address as Dask wants it."""
        return re.sub("^dask://", "tcp://", self.address)


def cluster_named(text: str, *, jobs: int | None = None, walltime: str | None = None) -> Cluster:
    """The cluster that an option names.

    Args:
        text: A kind, the address of Dask's scheduler, or a YAML file with the keys of ``Cluster``.
        jobs: Workers, in place of those of the file.
        walltime: Of a job, in place of that of the file.

    Raises:
        ConfigError: There is no such kind, the file is wrong, or the options do not go together.
    """
    told: dict[str, Any] = {"jobs": jobs, "walltime": walltime}
    content = _content(text) | {name: value for name, value in told.items() if value is not None}
    try:
        cluster = Cluster.model_validate(content)
    except ValidationError as error:
        raise ConfigError(_explain(error, text)) from None
    for name, value in told.items():
        if value is not None and (cluster.address or cluster.kind == "mpi"):
            msg = f"--{name} asks for workers, and {text} has its own: leave it out."
            raise ConfigError(msg)
    if walltime is not None and cluster.kind not in QUEUES:
        msg = f"--walltime is for jobs of a batch system, and {text} is none: leave it out."
        raise ConfigError(msg)
    return cluster


def _content(text: str) -> dict[str, Any]:
    if Path(text).suffix.lower() in {".yaml", ".yml"}:
        source = f"The cluster file {text}"
        content = read_text(Path(text), what="cluster file", error=ConfigError, largest=LARGEST_YAML)
        sections = parse_yaml(content, source=source, error=ConfigError)
        if not isinstance(sections, dict):
            raise ConfigError(bad(source, got=shown(sections), expected="keys and values, as kind: slurm"))
        return sections
    if "://" in text:
        return {"kind": "dask", "address": text}
    if text not in KINDS:
        hint = did_you_mean(text, KINDS)
        msg = f"Unknown cluster {clipped(text, 60)!r}: {hint}, or give dask://host:port or a YAML file."
        raise ConfigError(msg)
    return {"kind": text}


def _explain(error: ValidationError, text: str) -> str:
    problem = first_problem(error)
    what = f"{problem.where} of the cluster {clipped(text, 60)}" if problem.place else f"The cluster {text}"
    if problem.kind == "unknown":
        hint = did_you_mean(problem.where, Cluster.model_fields)
        return f"The cluster file {text} has an unknown key {problem.where!r}: {hint}."
    return bad(what, got=problem.got, expected=problem.expected)
