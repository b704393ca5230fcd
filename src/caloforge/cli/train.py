"""``caloforge train``: train a model from a preset or a file."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003 (typer reads the annotations)
from typing import TYPE_CHECKING, Annotated

import typer

from caloforge.cli import complete
from caloforge.cli.checks import check_model, check_showers
from caloforge.cli.clusters import ClusterName, Jobs, Walltime, executor_of, read_cluster
from caloforge.cli.common import print_table
from caloforge.cli.machine import Arithmetic, Device, Precision
from caloforge.cli.ranks import is_first, is_one_of_several
from caloforge.cli.requeue import requeueing
from caloforge.cli.stage_progress import JointProgress, StageProgress
from caloforge.errors import ConfigError
from caloforge.files import check_folder
from caloforge.names import check_preset

if TYPE_CHECKING:
    from caloforge.simulator import Simulator

__all__ = ["train"]


def train(
    *,
    preset: Annotated[
        str,
        typer.Argument(
            metavar="MODEL/PRESET|YAML",
            help="A preset of `caloforge models`, or your own file.",
            autocompletion=complete.preset,
        ),
    ],
    overrides: Annotated[
        list[str] | None,
        typer.Argument(metavar="KEY=VALUE", help="Changes to it; `caloforge models MODEL` has the keys."),
    ] = None,
    data: Annotated[
        list[Path],
        typer.Option(metavar="FILE", help="Showers: 70 % train, 10 % tune, 20 % are kept back. Repeatable."),
    ],
    out: Annotated[
        Path, typer.Option(metavar="FOLDER", help="Run folder; training goes on when it holds this run.")
    ],
    seed: Annotated[
        int, typer.Option(min=0, metavar="N", help="Seed of the weights, batches and noise.")
    ] = 1,
    init_from: Annotated[
        Path | None,
        typer.Option(
            metavar="MODEL:TAG|FOLDER",
            help="Take over the networks of a trained model, skip their stages.",
            autocompletion=complete.trained_model,
        ),
    ] = None,
    retrain: Annotated[
        list[str] | None,
        typer.Option(
            metavar="STAGE", help="Train this stage although --init-from brings it along. Repeatable."
        ),
    ] = None,
    fine_tune: Annotated[
        list[str] | None,
        typer.Option(metavar="STAGE", help="Train this stage further, from --init-from. Repeatable."),
    ] = None,
    stage: Annotated[
        str | None,
        typer.Option(metavar="STAGE", help="Train this stage alone, e.g. one on each machine."),
    ] = None,
    stages: Annotated[
        int, typer.Option(min=1, metavar="N", help="Stages to train at a time, each in its own process.")
    ] = 1,
    cluster: ClusterName = None,
    jobs: Jobs = None,
    walltime: Walltime = None,
    device: Device = "cpu",
    precision: Arithmetic = Precision.FULL,
    compiles: Annotated[
        bool, typer.Option("--compile", help="Compile the networks: minutes first, then faster steps.")
    ] = False,
    requeue: Annotated[
        bool, typer.Option("--requeue", help="In a job of SLURM: put it back into the queue after SIGUSR1.")
    ] = False,
    threads: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="CPU threads of a stage; default all, shared.")
    ] = None,
) -> None:
    r"""Train a model.

    Interrupted, the same command goes on from the last checkpoint. The run folder keeps the
    configuration, a folder for every stage and the trained model, which `caloforge generate FOLDER`
    uses. Of stages trained apart with --stage, folders stages/STAGE can be copied from one run folder
    to another; the command without --stage puts the model together.

    \b
    caloforge train caloclouds-2/small --data photons.h5 --out runs/edm
    caloforge train caloclouds-2-cm/small --data photons.h5 --out runs/cm \
      --init-from runs/edm
    caloforge train caloclouds-2/small --data angles.h5 --out runs/angles \
      model.conditions.angles=true training.point_diffusion.steps=8000
    caloforge train pyramid/small --data photons.h5 --out runs/pyramid --stages 2
    caloforge train pyramid/small --data photons.h5 --out runs/pyramid \
      --stage energies
    caloforge train l2lflows/small --data photons.h5 --out runs/flows \
      --cluster dask://scheduler:8786 --threads 1
    torchrun --nproc-per-node 4 -m caloforge train caloclouds-2/paper \
      --data photons.h5 --out runs/four --device cuda
    caloforge train caloclouds-2/paper --data photons.h5 --out runs/one \
      training.point_diffusion.accumulate=4
    """
    _check(preset, data, out, init_from)
    where = read_cluster(cluster, jobs=jobs, walltime=walltime)
    _check_stages(stage, stages, cluster)
    import torch

    from caloforge.training import Job, load_config, train_job, train_stage

    torch.set_num_threads(threads or max(1, torch.get_num_threads() // stages))
    job = Job(
        load_config(preset, overrides or ()),
        tuple(data),
        out,
        seed=seed,
        init_from=init_from,
        retrain=tuple(retrain or ()),
        fine_tune=tuple(fine_tune or ()),
        device=device,
        precision=precision.value,
        compiles=compiles,
    )
    apart = stages > 1 or where is not None
    with requeueing(asked=requeue), JointProgress() if apart else StageProgress() as show:
        if stage is None:
            with executor_of(where) as executor:
                simulator = train_job(job, processes=stages, executor=executor, on_progress=show)
        else:
            missing = train_stage(job, stage, on_progress=show)
    if not is_first():
        return
    if stage is None:
        _summarise(simulator, out)
    else:
        left = f"still to train: {', '.join(missing)}" if missing else "train without --stage for the model"
        typer.echo(f"{stage} is trained in {out}; {left}")


def _check(preset: str, data: list[Path], out: Path, init_from: Path | None) -> None:
    """What is wrong at first sight is told before torch is imported."""
    check_preset(preset)
    check_showers(data)
    check_folder(out)
    if init_from is not None:
        check_model(init_from)


def _check_stages(stage: str | None, stages: int, cluster: str | None) -> None:
    if stage is not None and (stages > 1 or cluster is not None):
        other = f"--stages {stages}" if stages > 1 else f"--cluster {cluster}"
        msg = f"--stage {stage} trains one stage, {other} several at a time: leave out one of them."
        raise ConfigError(msg)
    if is_one_of_several() and (stages > 1 or cluster is not None):
        msg = (
            "Processes of torchrun train each stage together: leave out torchrun, or --stages and --cluster."
        )
        raise ConfigError(msg)
    if stages > 1 and cluster is not None:
        raise ConfigError("--stages are trained here, with --cluster there: leave out one of them.")


def _summarise(simulator: Simulator, out: Path) -> None:
    rows = []
    for stage, numbers in simulator.card["stages"].items():
        shown = {k: f"{v:.4g}" for k, v in numbers.items() if isinstance(v, (int, float))}
        rows.append((stage, ", ".join(f"{k} {v}" for k, v in shown.items())))
    print_table(("stage", "last numbers"), rows, title=f"{simulator.model.name} in {out}")
