"""``caloforge sweep``: train a preset with many values of its keys, and compare."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003 (typer reads the annotations)
from typing import Annotated

import typer

from caloforge.cli import complete
from caloforge.cli.clusters import ClusterName, Jobs, Walltime, executor_of, read_cluster
from caloforge.cli.machine import Arithmetic, Device, Precision
from caloforge.cli.planning import sweep_ending
from caloforge.cli.sweeping import (
    SHOWERS,
    Asked,
    check_sweep,
    chosen,
    judging,
    list_points,
    run_sweep,
    show_sweep,
    sweep_of,
)
from caloforge.errors import ConfigError

__all__ = ["sweep"]


def sweep(
    *,
    preset: Annotated[
        str | None,
        typer.Argument(
            metavar="[MODEL/PRESET|YAML]",
            help="A preset of `caloforge models`, or your own file; left out, the sweep in --out goes on.",
            autocompletion=complete.preset,
            show_default=False,
        ),
    ] = None,
    overrides: Annotated[
        list[str] | None,
        typer.Argument(metavar="KEY=VALUE", help="Changes to it, in all points; as of `caloforge train`."),
    ] = None,
    vary: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KEY=A,B,C",
            help="A key and its values, also log:LOW:HIGH:N or lin:LOW:HIGH:N; repeat for a grid.",
        ),
    ] = None,
    seeds: Annotated[
        str,
        typer.Option(
            metavar="A,B,C", help="Train every configuration with each of these, to see how they scatter."
        ),
    ] = "1",
    data: Annotated[
        list[Path] | None,
        typer.Option(metavar="FILE", help="Showers to train on, as of `caloforge train`. Repeatable."),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER", help="Folder of the sweep; what is there goes on, or gets more points."
        ),
    ] = None,
    random: Annotated[
        int | None,
        typer.Option(min=1, metavar="N", help="Only so many of the grid's combinations, drawn at random."),
    ] = None,
    draw_seed: Annotated[int, typer.Option(min=0, metavar="N", help="Seed of that choice.")] = 1,
    judge: Annotated[
        bool,
        typer.Option(
            "--judge",
            help="Judge each model: boosted trees against the report part of the data.",
        ),
    ] = False,
    showers: Annotated[
        int | None,
        typer.Option(min=200, metavar="N", help=f"With --judge: of each class at most; default {SHOWERS}."),
    ] = None,
    point: Annotated[
        int | None,
        typer.Option(min=0, metavar="K", help="Train this point alone: what one job of an array does."),
    ] = None,
    every: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="With --point: from K on, every N-th point.")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Check and list the points; train and write nothing.")
    ] = False,
    show: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Print the tables of a sweep as far as it is.")
    ] = None,
    init_from: Annotated[
        Path | None,
        typer.Option(
            metavar="MODEL:TAG|FOLDER",
            help="As of `caloforge train`, like the next two.",
            autocompletion=complete.trained_model,
        ),
    ] = None,
    retrain: Annotated[list[str] | None, typer.Option(metavar="STAGE")] = None,
    fine_tune: Annotated[list[str] | None, typer.Option(metavar="STAGE")] = None,
    processes: Annotated[
        int, typer.Option(min=1, metavar="N", help="Points at a time; the results stay the same.")
    ] = 1,
    cluster: ClusterName = None,
    jobs: Jobs = None,
    walltime: Walltime = None,
    device: Device = "cpu",
    precision: Arithmetic = Precision.FULL,
    threads: Annotated[int, typer.Option(min=1, metavar="N", help="CPU threads of every training.")] = 1,
) -> None:
    r"""Train a preset with many values of its keys, and compare the models.

    Every point of the grid is a run folder of its own in --out, as `caloforge train` makes it, to the
    bit. Interrupted, the same command goes on; points that are trained stay. A point that fails is told
    in the table and ends alone. The folder gets results.csv, results.md and results.png.

    \b
    caloforge sweep caloclouds-2/small --data photons.h5 --out sweeps/rates \
      --vary training.point_diffusion.learning_rate=log:1e-4:1e-2:5 \
      --vary training.point_diffusion.ema=0.99,0.999 --seeds 1,2 --judge
    caloforge sweep --show sweeps/rates
    caloforge sweep calopointflow-2/small training.points.steps=500 --data p.h5 \
      --vary model.points.transforms=4,8 --out sweeps/depth --processes 4
    caloforge sweep mine.yaml --data p.h5 --out sweeps/mine --random 20 \
      --vary training.flow.batch_size=16,32,64 \
      --vary training.flow.learning_rate=log:1e-4:1e-2:9 --cluster site.yaml
    caloforge sweep --out sweeps/mine --point "$SLURM_ARRAY_TASK_ID" --every 10
    """
    if show is not None:
        show_sweep(show)
        return
    asked = Asked(
        preset=preset,
        overrides=tuple(overrides or ()),
        vary=tuple(vary or ()),
        seeds=seeds,
        data=tuple(data or ()),
        random=random,
        draw_seed=draw_seed,
        init_from=init_from,
        retrain=tuple(retrain or ()),
        fine_tune=tuple(fine_tune or ()),
        device=device,
        precision=precision.value,
        threads=threads,
    )
    if out is None:
        raise ConfigError("--out is missing: it says where the points are trained.")
    where = read_cluster(cluster, jobs=jobs, walltime=walltime, processes=processes)
    number = judging(judge=judge, showers=showers)
    found = sweep_of(asked, out)
    numbers = chosen(found, point, every)
    check_sweep(found, numbers)
    if (end := sweep_ending()) is not None:
        end(found, number)
        return
    if dry_run:
        list_points(found, numbers)
        return
    with executor_of(where) as executor:
        run_sweep(found, numbers, showers=number, processes=processes, executor=executor, alone=point is None)
