"""``caloforge simulate``: showers from Geant4."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path  # noqa: TC003 (typer reads the annotations)
from typing import TYPE_CHECKING, Annotated

import typer

from caloforge.cli import complete
from caloforge.cli.beams import beam_of
from caloforge.cli.common import print_table
from caloforge.cli.watch import Watch
from caloforge.disk import check_room

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["simulate"]


class Score(StrEnum):
    """Ways to record a shower."""

    STEPS = "steps"
    CELLS = "cells"


def simulate(
    *,
    geometry: Annotated[
        str,
        typer.Option(
            metavar="NAME|FILE",
            help="Calorimeter with known plates, see `caloforge geometries`.",
            autocompletion=complete.geometry,
        ),
    ],
    energy: Annotated[str, typer.Option(metavar="GeV", help="Kinetic energy: 50, or a range 10:100.")],
    count: Annotated[int, typer.Option(min=1, metavar="N", help="How many showers.")],
    out: Annotated[Path, typer.Option(metavar="FILE", help="File to write, in caloforge's own format.")],
    particle: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="gamma, e-, e+, mu- or pi0; with complete Geant4 data also pi+, proton, ...",
            autocompletion=complete.particle,
        ),
    ] = "gamma",
    log: Annotated[bool, typer.Option("--log", help="Energies uniform in the logarithm.")] = False,
    theta: Annotated[
        str,
        typer.Option(
            metavar="DEGREES",
            help="Angle from the perpendicular: 20, or a range 0:60; with --phi also -30:30, to both sides.",
        ),
    ] = "0",
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
    scoring: Annotated[
        Score,
        typer.Option(help="steps: points on a fine grid; cells: read-out cells, summed in C++, faster."),
    ] = Score.STEPS,
    readout: Annotated[
        bool,
        typer.Option("--readout", help="With --scoring steps: write read-out cells above threshold too."),
    ] = False,
    upstream: Annotated[
        float,
        typer.Option(
            metavar="X0",
            help="Radiation lengths of silicon in a plate 1 m in front of the calorimeter: early showers.",
        ),
    ] = 0.0,
    geant4_data: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="Folder of Geant4's data sets; default: CALOFORGE_GEANT4_DATA, or where Geant4 finds them.",
        ),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace the file.")] = False,
) -> None:
    r"""Simulate showers with Geant4.

    The same seed gives the same showers, whatever the number of processes. Interrupted, the same
    command goes on where it was.

    \b
    caloforge simulate --geometry siw-ecal --energy 10:100 --count 1000 \
      --seed 1 --out photons.h5
    caloforge simulate --geometry siw-ecal --particle e- --energy 1:100 --log \
      --theta 0:60 --count 1000 --processes 2 --out electrons.h5
    caloforge simulate --geometry cylinder-ds2 --particle e- --energy 50 \
      --count 100 --scoring cells --out cells.h5
    caloforge simulate --geometry clic-17x17x25 --particle e- --energy 2:500 \
      --theta -30:30 --phi 90 --count 1000 --scoring cells --out clic.h5
    caloforge simulate --geometry clic-51x51x25 --particle e- --energy 2:20 \
      --upstream 0.3 --count 1000 --scoring cells --out early.h5
    """
    from caloforge.geant4 import Simulation, Upstream
    from caloforge.geant4 import simulate as run
    from caloforge.geometry import load_geometry

    check_room(out, count)
    simulation = Simulation(
        geometry=load_geometry(geometry),
        beam=beam_of(energy=energy, log=log, theta=theta, phi=phi, particle=particle),
        seed=seed,
        scoring=scoring.value,
        readout=readout,
        data=geant4_data,
        upstream=Upstream(upstream),
    )
    watch = Watch("simulating", count)
    run(simulation, out=out, count=count, processes=processes, force=force, progress=watch.progress)
    _summarise(out, watch)


def _summarise(out: Path, watch: Watch) -> None:
    wall = watch.wall
    fraction, hits, cpu = _columns(out)
    rows = [
        ("showers", f"{len(fraction)}"),
        ("visible fraction", _mean_and_error(fraction)),
        ("hits per shower", _mean_and_error(hits)),
        ("CPU time", f"{1e3 * cpu.mean():.3g} ms per shower"),
        ("wall-clock time", wall),
    ]
    print_table(("", ""), rows, title=str(out))


def _columns(out: Path) -> list[NDArray[np.float64]]:
    """Visible fraction, number of hits and CPU seconds of every shower."""
    import numpy as np

    from caloforge.formats import open_showers

    parts = []
    with open_showers(out) as reader:
        for block in reader.blocks():
            fraction = block.visible_energy / block.incident.energy
            parts.append(np.stack([fraction, block.n_hits, block.extras["geant4_cpu_seconds"]]))
    return list(np.concatenate(parts, axis=1))


def _mean_and_error(values: NDArray[np.float64]) -> str:
    error = f" ± {values.std(ddof=1) / len(values) ** 0.5:.1g}" if len(values) > 1 else ""
    return f"{values.mean():.4g}{error}"
