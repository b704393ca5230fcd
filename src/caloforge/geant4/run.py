"""Showers of a simulation, in worker processes, into a file."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from caloforge.blocks import Production, run_blocks
from caloforge.formats import NativeWriter
from caloforge.geant4.data import check_package, find_data, require
from caloforge.geant4.worker import Geant4Worker

if TYPE_CHECKING:
    from concurrent.futures import Executor
    from pathlib import Path

    from caloforge.blocks import Progress
    from caloforge.geant4.simulation import Simulation

__all__ = ["production_of", "simulate"]


def production_of(simulation: Simulation, count: int) -> Production:
    """The blocks of ``count`` showers.

    Raises:
        MissingDependencyError: Geant4 or its data are not there.
    """
    check_package()
    require(find_data(simulation.data), hadrons=simulation.hadrons)
    request = simulation.request()
    return Production(
        count=count,
        size=simulation.block,
        request=request,
        worker=Geant4Worker(simulation),
        isolate=True,
        writer=partial(NativeWriter, provenance=request),
        geometry=simulation.geometry,
        incident=simulation.incident,
    )


def simulate(
    simulation: Simulation,
    *,
    out: Path,
    count: int,
    processes: int = 1,
    executor: Executor | None = None,
    force: bool = False,
    progress: Progress | None = None,
) -> None:
    """Simulate ``count`` showers into a native file; goes on where it was interrupted.

    Args:
        simulation: What is wanted.
        out: The file to write.
        count: Showers.
        processes: Worker processes; the showers do not depend on it.
        executor: Of a cluster, in place of these; see ``run_blocks``.
        force: Replace ``out``.
        progress: See ``run_blocks``.

    Raises:
        MissingDependencyError: Geant4 or its data are not there.
        GeometryError: A material is unknown, or the sensors cannot be divided into cells.
        OutputError: ``out`` exists or cannot be written.
    """
    run_blocks(
        production_of(simulation, count),
        out=out,
        processes=processes,
        executor=executor,
        force=force,
        progress=progress,
    )
