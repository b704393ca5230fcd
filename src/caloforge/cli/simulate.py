"""``caloforge simulate``: showers from Geant4."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path  # noqa: TC003 (typer reads the annotations)
from typing import TYPE_CHECKING, Annotated, Any

import typer

from caloforge.cli import complete
from caloforge.cli.arguments import BlockSize  # noqa: TC001 (typer reads the annotations)
from caloforge.cli.clusters import ClusterName, Jobs, Walltime, executor_of, read_cluster
from caloforge.cli.common import print_table
from caloforge.cli.planning import ending
from caloforge.cli.shots import fast_of, shots_of
from caloforge.cli.watch import Watch
from caloforge.disk import check_room

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from caloforge.blocks import Production
    from caloforge.geant4 import Simulation
    from caloforge.integration import FastSettings

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
    out: Annotated[Path, typer.Option(metavar="FILE", help="File to write, in caloforge's own format.")],
    energy: Annotated[
        str | None, typer.Option(metavar="GeV", help="Kinetic energy: 50, or a range 10:100.")
    ] = None,
    count: Annotated[
        int | None,
        typer.Option(min=1, metavar="N", help="How many showers; with --events by default all of the file."),
    ] = None,
    events: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Events of several particles in place of --energy: a table (CSV) of event, particle, energy "
            "in GeV, and perhaps theta, phi in degrees, x, y in mm.",
        ),
    ] = None,
    particle: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="gamma (default), e-, e+, mu- or pi0; with complete Geant4 data also pi+, proton, ...",
            autocompletion=complete.particle,
        ),
    ] = None,
    log: Annotated[bool, typer.Option("--log", help="Energies uniform in the logarithm.")] = False,
    theta: Annotated[
        str | None,
        typer.Option(
            metavar="DEGREES",
            help="Angle from the perpendicular, default 0: 20, or a range 0:60; with --phi also -30:30, to "
            "both sides.",
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
    block_size: BlockSize = None,
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
    fast: Annotated[
        str | None,
        typer.Option(
            metavar="MODEL:TAG|FOLDER",
            help="A trained model that takes over the particles it knows at the front face; read-out cells.",
            autocompletion=complete.trained_model,
        ),
    ] = None,
    fast_particles: Annotated[
        str | None,
        typer.Option(
            metavar="NAMES", help="With --fast: which particles, as gamma,e-; default: all it knows."
        ),
    ] = None,
    fast_energy: Annotated[
        str | None,
        typer.Option(metavar="GeV", help="With --fast: which energies, as 10:50; default: all it knows."),
    ] = None,
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

    The same seed gives the same showers, whatever the number of processes or the cluster. Interrupted,
    the same command goes on where it was.

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
    caloforge simulate --geometry siw-ecal --energy 10:100 --count 1000 \
      --fast mosaic:siw-ecal --out fast.h5
    caloforge simulate --geometry siw-ecal --events jets.csv \
      --fast mosaic:siw-ecal-angles --out jets.h5
    caloforge simulate --geometry siw-ecal --energy 10:100 --count 100000 \
      --cluster slurm --jobs 100 --walltime 2:00:00 --out photons.h5
    """
    beam, total = shots_of(energy, count, events, log=log, theta=theta, phi=phi, particle=particle)
    where = read_cluster(cluster, jobs=jobs, walltime=walltime, processes=processes)
    settings = fast_of(fast, fast_particles, fast_energy)
    if (end := ending()) is None:
        check_room(out, total)
    from caloforge.geant4 import Simulation, Upstream
    from caloforge.geometry import load_geometry

    simulation = Simulation(
        geometry=load_geometry(geometry),
        beam=beam,
        seed=seed,
        scoring=scoring.value,
        readout=readout or fast is not None,
        data=geant4_data,
        upstream=Upstream(upstream),
        block_size=block_size,
    )
    if end is not None:
        end(_production(simulation, settings, total), out)
        return
    watch = Watch("simulating", total)
    options = {"processes": processes, "force": force, "progress": watch.progress}
    with executor_of(where) as executor:
        _run(simulation, settings, out=out, count=total, executor=executor, **options)
    _summarise(out, watch)


def _production(simulation: Simulation, settings: FastSettings | None, count: int) -> Production:
    if settings is None:
        from caloforge.geant4 import production_of

        return production_of(simulation, count)
    from caloforge.integration import fast_production_of

    return fast_production_of(simulation, settings, count)


def _run(simulation: Simulation, settings: FastSettings | None, **options: Any) -> None:
    if settings is None:
        from caloforge.geant4 import simulate as run

        run(simulation, **options)
        return
    from caloforge.integration import simulate_fast

    simulate_fast(simulation, settings, **options)


def _summarise(out: Path, watch: Watch) -> None:
    wall = watch.wall
    columns = _columns(out)
    fraction, hits, cpu = columns["fraction"], columns["hits"], columns["geant4_cpu_seconds"]
    rows = [
        ("showers", f"{len(fraction)}"),
        ("visible fraction", _mean_and_error(fraction)),
        ("hits per shower", _mean_and_error(hits)),
        ("CPU time", f"{1e3 * cpu.mean():.3g} ms per shower"),
        *_fast_rows(columns),
        ("wall-clock time", wall),
    ]
    print_table(("", ""), rows, title=str(out))


def _fast_rows(columns: dict[str, NDArray[np.float64]]) -> list[tuple[str, str]]:
    """What the model did, and why it did not do the rest."""
    from caloforge.formats.simulated import replaced_text

    if "fast_replaced" not in columns:
        return []
    return [
        ("CPU time of the model", f"{1e3 * columns['fast_cpu_seconds'].mean():.3g} ms per shower"),
        ("by the model", replaced_text({name: float(v.sum()) for name, v in columns.items()})),
    ]


def _columns(out: Path) -> dict[str, NDArray[np.float64]]:
    """Visible fraction, number of hits, and what was noted of every shower."""
    import numpy as np

    from caloforge.formats import open_showers

    parts = []
    with open_showers(out) as reader:
        for block in reader.blocks():
            fraction = block.visible_energy / block.incident.energy
            parts.append({"fraction": fraction, "hits": block.n_hits, **block.extras})
    return {name: np.concatenate([part[name] for part in parts]).astype(float) for name in parts[0]}


def _mean_and_error(values: NDArray[np.float64]) -> str:
    error = f" ± {values.std(ddof=1) / len(values) ** 0.5:.1g}" if len(values) > 1 else ""
    return f"{values.mean():.4g}{error}"
