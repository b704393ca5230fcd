"""``caloforge plan``: showers in blocks for jobs of a batch system."""

from __future__ import annotations

from enum import StrEnum
from functools import partial
from pathlib import Path  # noqa: TC003 (typer reads the annotations)
from typing import TYPE_CHECKING, Annotated

import typer

from caloforge.cli.common import print_table
from caloforge.cli.planning import run_ended, run_sweep_ended

if TYPE_CHECKING:
    from collections.abc import Callable

    from caloforge.blocks import Production
    from caloforge.blocks.submit import Jobs
    from caloforge.sweeps import Sweep

__all__ = ["plan"]

_MOST_JOBS = 100  # by default: each of them starts Geant4 or loads the model once


class Submit(StrEnum):
    """Batch systems for which a job file is written."""

    SLURM = "slurm"
    CONDOR = "condor"


def plan(
    ctx: typer.Context,
    command: Annotated[
        list[str],
        typer.Argument(
            metavar="COMMAND",
            help="simulate, generate or sweep with its options, --out too; those of plan stand before it.",
        ),
    ],
    *,
    submit: Annotated[
        Submit | None, typer.Option(help="Write the job file for this batch system, too.")
    ] = None,
    jobs: Annotated[
        int | None,
        typer.Option(min=1, metavar="N", help="Jobs, each with its share of blocks; default at most 100."),
    ] = None,
    walltime: Annotated[str, typer.Option(metavar="H:MM:SS", help="Of a job.")] = "1:00:00",
    memory: Annotated[str, typer.Option(metavar="SIZE", help="Of a job.")] = "4G",
    queue: Annotated[str, typer.Option(metavar="NAME", help="Partition or queue.")] = "",
    account: Annotated[str, typer.Option(metavar="NAME", help="Project that is charged.")] = "",
    force: Annotated[
        bool, typer.Option("--force", help="Drop a plan of other showers and its blocks.")
    ] = False,
) -> None:
    r"""Plan showers that jobs make block by block: for clusters on which no program may wait for others.

    Writes the folder OUT.parts with plan.json: the blocks' ranges, the seed, all settings and their
    hash. Jobs run `caloforge make-block`, in any order and on any machines; `caloforge join` makes the
    file. The showers are those that the command itself would make.

    \b
    caloforge plan --submit slurm --jobs 100 simulate --geometry siw-ecal \
      --energy 10:100 --count 100000 --seed 1 --out photons.h5
    sbatch photons.h5.parts/jobs.sbatch
    caloforge join photons.h5.parts
    caloforge plan --submit condor generate mosaic:siw-ecal --energy 50 \
      --count 1000000 --seed 1 --out many.h5
    condor_submit many.h5.parts/jobs.submit
    caloforge plan --submit slurm --walltime 8:00:00 sweep pyramid/small \
      --vary training.energies.learning_rate=1e-3,3e-3 --data p.h5 --out rates
    sbatch rates/jobs.sbatch
    """
    from caloforge.blocks.submit import Jobs

    if submit is not None:
        from caloforge.cluster.settings import cluster_named

        cluster_named(submit.value, walltime=walltime)  # which says what is wrong with it
    asked = partial(Jobs, walltime=walltime, memory=memory, queue=queue, account=account)
    if command and command[0] == "sweep":
        _plan_sweep(ctx, command, submit, asked, jobs)
        return
    folders: list[tuple[Path, Production]] = []

    def write(production: Production, out: Path) -> None:
        from caloforge.blocks.plan import write_plan
        from caloforge.zoo.shipped import exact_name

        words = [exact_name(word) for word in command]  # a download must not change what jobs make
        folders.append((write_plan(production, out, words, force=force), production))

    run_ended(ctx, command, write)
    [(folder, production)] = folders
    count = min(jobs or _MOST_JOBS, production.blocks)
    rows = [
        ("showers", f"{production.count}"),
        ("blocks", f"{production.blocks} of {production.size}, 0 to {production.blocks - 1}"),
        ("make one", f"caloforge make-block 0 --plan {folder}"),
        *_submitted(submit, asked(folder=folder.absolute(), jobs=count)),
        ("then", f"caloforge join {folder}"),
    ]
    print_table(("", ""), rows, title=f"{folder}/plan.json")


def _plan_sweep(
    ctx: typer.Context,
    command: list[str],
    submit: Submit | None,
    asked: Callable[..., Jobs],
    jobs: int | None,
) -> None:
    found: list[tuple[Sweep, int]] = []
    run_sweep_ended(ctx, command, lambda sweep, showers: found.append((sweep, showers)))
    from caloforge.blocks.submit import points_work
    from caloforge.sweeps import begin

    [(sweep, showers)] = found
    begin(sweep)
    count = min(jobs or _MOST_JOBS, len(sweep.points))
    judged = ("--judge", f"--showers {showers}") if showers else ()
    work, threads = points_work(*judged), sweep.request.threads
    rows = [
        ("points", f"{len(sweep.points)}, 0 to {len(sweep.points) - 1}"),
        ("train one", " ".join((f"caloforge sweep --out {sweep.out} --point 0", *judged))),
        *_submitted(submit, asked(folder=sweep.out.absolute(), jobs=count, work=work, threads=threads)),
        ("then", f"caloforge sweep --out {sweep.out}"),
    ]
    print_table(("", ""), rows, title=f"{sweep.out}/sweep.json")


def _submitted(system: Submit | None, jobs: Jobs) -> list[tuple[str, str]]:
    """Write the job file."""
    from caloforge.blocks.submit import condor_file, slurm_script
    from caloforge.files import write_text

    if system is None:
        return []
    slurm = system is Submit.SLURM
    path = jobs.folder / ("jobs.sbatch" if slurm else "jobs.submit")
    write_text(path, slurm_script(jobs) if slurm else condor_file(jobs))
    return [(f"{jobs.jobs} jobs", f"{'sbatch' if slurm else 'condor_submit'} {path}")]
