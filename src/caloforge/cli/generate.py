"""``caloforge generate``: showers from a trained model."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path  # noqa: TC003 (typer reads the annotations)
from typing import TYPE_CHECKING, Annotated

import typer

from caloforge.cli import complete
from caloforge.cli.arguments import BlockSize, TrainedModel  # noqa: TC001 (typer reads the annotations)
from caloforge.cli.beams import beam_of
from caloforge.cli.checks import check_model
from caloforge.cli.clusters import ClusterName, Jobs, Walltime, executor_of, read_cluster
from caloforge.cli.common import print_table
from caloforge.cli.machine import Device  # noqa: TC001 (typer reads the annotations)
from caloforge.cli.offsets import parse_offset
from caloforge.cli.planning import ending
from caloforge.cli.watch import Watch
from caloforge.disk import check_room
from caloforge.errors import ConfigError
from caloforge.files import check_output

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from caloforge.beam import Beam
    from caloforge.formats.base import Format
    from caloforge.generation import LikeFile

__all__ = ["generate"]


def generate(
    *,
    model: TrainedModel,
    out: Annotated[Path, typer.Option(metavar="FILE", help="File to write.")],
    energy: Annotated[
        str | None, typer.Option(metavar="GeV", help="Kinetic energy: 50, or a range 10:100.")
    ] = None,
    like: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Take the particles of this shower file, instead of --energy."),
    ] = None,
    count: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="N",
            help="How many showers in all; with --like by default as many as there.",
        ),
    ] = None,
    particle: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Default: what the model was trained on, if that is one kind.",
            autocompletion=complete.particle,
        ),
    ] = None,
    log: Annotated[bool, typer.Option("--log", help="Energies uniform in the logarithm.")] = False,
    theta: Annotated[
        str | None,
        typer.Option(
            metavar="DEGREES",
            help="Angle from the perpendicular, default 0: 20, or a range 0:60; with --phi also -30:30.",
        ),
    ] = None,
    phi: Annotated[
        str | None,
        typer.Option(metavar="DEGREES", help="Azimuth; default 0, or the full turn for a range of theta."),
    ] = None,
    seed: Annotated[
        int, typer.Option(min=0, metavar="N", help="Seed of the particles and their showers.")
    ] = 1,
    processes: Annotated[
        int, typer.Option(min=1, metavar="N", help="Worker processes; the showers stay the same.")
    ] = 1,
    cluster: ClusterName = None,
    jobs: Jobs = None,
    walltime: Walltime = None,
    device: Device = "cpu",
    threads: Annotated[int, typer.Option(min=1, metavar="N", help="CPU threads of every process.")] = 1,
    batch_size: Annotated[int, typer.Option(min=1, metavar="N", help="Showers computed together.")] = 100,
    block_size: BlockSize = None,
    steps: Annotated[
        int | None,
        typer.Option(min=1, metavar="N", help="Noise levels of the sampler, instead of the model's own."),
    ] = None,
    points: Annotated[
        bool, typer.Option("--points", help="Write the points, not the read-out cells above threshold.")
    ] = False,
    offset: Annotated[
        str, typer.Option(metavar="X,Y", help="Where the particle meets the front face, in mm.")
    ] = "0,0",
    format_name: Annotated[
        str,
        typer.Option(
            "--format",
            metavar="NAME",
            help="File format, see `caloforge convert --help`.",
            autocompletion=complete.writable,
        ),
    ] = "native",
    strict: Annotated[
        bool, typer.Option("--strict", help="Refuse particles outside of the trained range.")
    ] = False,
    append: Annotated[
        bool,
        typer.Option(
            "--append",
            help="Extend the file, if it is there, to --count showers in all: those that it would have from "
            "the start.",
        ),
    ] = False,
    allow_extrapolation: Annotated[
        bool,
        typer.Option(
            "--allow-extrapolation",
            help="Also for other particles, over twice or under half of the trained energies, or over 5 "
            "degrees beyond the angles; showers that cannot be right are refused all the same.",
        ),
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace the file.")] = False,
) -> None:
    r"""Generate showers with a trained model.

    The same seed gives the same showers, whatever the number of processes or the cluster. Interrupted,
    the same command goes on where it was.

    \b
    caloforge generate caloclouds-2-cm:siw-ecal --energy 10:100 --count 1000 \
      --seed 1 --out showers.h5
    caloforge generate caloclouds-2-cm:siw-ecal --energy 10:100 --count 2000 \
      --seed 1 --out showers.h5 --append
    caloforge generate runs/mine --like geant4.h5 --out showers.h5
    caloforge generate caloclouds-2:siw-ecal --energy 50 --count 100 \
      --offset 2.5,0 --points --out clouds.h5
    caloforge generate mosaic:siw-ecal --energy 10:100 --count 1000000 \
      --cluster dask://scheduler:8786 --out many.h5
    """
    if append and force:
        raise ConfigError("--append extends the file and --force replaces it: give one of them.")
    where = read_cluster(cluster, jobs=jobs, walltime=walltime, processes=processes)
    check_model(model)
    if (end := ending()) is None:
        check_output(out, force=force or append)
    from caloforge.formats import format_named
    from caloforge.generation import Generation, production_of
    from caloforge.generation import generate as run

    particles = _particles(model, energy, like, log=log, theta=theta, phi=phi, particle=particle)
    total, chosen = _count(count, particles), format_named(format_name)
    _check_format(chosen, points=points)
    if end is None:
        check_room(out, total)
    generation = Generation(
        model=model,
        particles=particles,
        seed=seed,
        batch_size=batch_size,
        readout=not points,
        offset=parse_offset(offset),
        sampler={"steps": steps} if steps else {},
        threads=threads,
        device=device,
        block_size=block_size,
    )
    writer = None if format_name == "native" else chosen.writer
    extent = {"strict": strict, "allow_extrapolation": allow_extrapolation}
    if end is not None:
        end(production_of(generation, total, writer=writer, **extent), out)
        return
    watch = Watch("generating", total)
    with executor_of(where) as executor:
        run(
            generation,
            out=out,
            count=total,
            processes=processes,
            executor=executor,
            writer=writer,
            force=force,
            append=append,
            progress=watch.progress,
            **extent,
        )
    rows = [("showers", str(total)), ("wall-clock time", watch.wall)]
    print_table(("", ""), rows, title=str(out))


def _particles(
    model: str,
    energy: str | None,
    like: Path | None,
    *,
    log: bool,
    theta: str | None,
    phi: str | None,
    particle: str | None,
) -> Beam | LikeFile:
    from caloforge.generation import LikeFile
    from caloforge.zoo import read_card

    if energy is not None and like is None:
        beam = beam_of(energy=energy, log=log, theta=theta or "0", phi=phi, particle=particle or "gamma")
        return beam if particle else replace(beam, pdg=_only_one(model, read_card(model).particles))
    if like is not None and energy is None:
        _refuse({"--log": log or None, "--theta": theta, "--phi": phi, "--particle": particle})
        return LikeFile(like)
    msg = "Give either --energy (with --count) or --like FILE: they say which particles to generate."
    raise ConfigError(msg)


def _only_one(model: str, particles: Sequence[int]) -> int:
    """What is generated when no particle is named."""
    if len(particles) > 1:
        from caloforge.particles import particle_name

        names = ", ".join(map(particle_name, particles))
        msg = f"--particle is missing: {model} knows {names}, name one of them."
        raise ConfigError(msg)
    return particles[0]


def _refuse(options: Mapping[str, object]) -> None:
    given = [option for option, value in options.items() if value is not None]
    if given:
        msg = f"--like takes energies, angles and particles from the file: leave {', '.join(given)} out."
        raise ConfigError(msg)


def _check_format(chosen: Format, *, points: bool) -> None:
    if chosen.writer is None:
        msg = f"The format {chosen.name} can only be read: see `caloforge convert --help` for the others."
        raise ConfigError(msg)
    if not (chosen.points if points else chosen.cells):
        kind, change = ("cells", "leave out") if points else ("points", "add")
        msg = f"The format {chosen.name} holds {kind} only: {change} --points."
        raise ConfigError(msg)


def _count(count: int | None, particles: Beam | LikeFile) -> int:
    from caloforge.formats import open_showers
    from caloforge.generation import LikeFile

    if count is not None:
        return count
    if not isinstance(particles, LikeFile):
        msg = "--count is missing: it says how many showers to generate."
        raise ConfigError(msg)
    with open_showers(particles.path) as reader:
        return len(reader)
