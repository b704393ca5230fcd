"""Events of Geant4 and a model together, in worker processes, into a file."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from caloforge.blocks import Production, run_blocks
from caloforge.errors import GeometryError, bad, shown
from caloforge.formats import NativeWriter
from caloforge.geant4.data import check_package, find_data, require
from caloforge.geant4.worker import Geant4Worker
from caloforge.integration.catching import Catcher
from caloforge.integration.collecting import collect
from caloforge.zoo.shipped import check_weights, exact_name

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Executor
    from pathlib import Path

    from numpy.typing import NDArray

    from caloforge.blocks import Progress
    from caloforge.geant4.simulation import Simulation
    from caloforge.integration.fast import FastSimulation
    from caloforge.integration.settings import FastSettings
    from caloforge.showers import Showers

__all__ = ["FastWorker", "fast_production_of", "simulate_fast"]


_BLOCKS = 5  # of Geant4's: a model makes many showers as fast as few


@dataclass(frozen=True)
class FastWorker:
    """Sets Geant4 and the model up in the process that calls it; returns what makes events.

    Attributes:
        simulation: The events.
        settings: The model.
        weights: Of the model, as ``weights_of`` tells them; empty is any.
    """

    simulation: Simulation
    settings: FastSettings
    weights: str = ""

    def __call__(self) -> Callable[[int, int], Showers]:
        """Set both up.

        Raises:
            ConfigError: As of ``FastSettings.load``.
            GeometryError: The model is one of another read-out, or as of ``Geant4Worker``.
            MissingDependencyError: Geant4 or its data are not there.
        """
        if self.weights:
            check_weights(self.settings.model, self.weights)
        fast = self.settings.load()
        _check_geometry(self.simulation, fast)
        catcher = Catcher(fast.reason)
        shoot = Geant4Worker(self.simulation).start(catcher)
        fast.warm_up()

        def make(start: int, stop: int) -> Showers:
            simulated, notes = shoot(start, stop), catcher.take()
            began = time.process_time()
            made = fast.showers(notes.caught, seed=self.simulation.seed)
            showers = collect(simulated, made, notes.caught.event, fast.geometry)
            extras = {f"fast_{name}": column for name, column in notes.columns.items()}
            extras["fast_cpu_seconds"] = _shared(time.process_time() - began, notes.columns["replaced"])
            return replace(showers, extras={**showers.extras, **extras})

        return make


def _check_geometry(simulation: Simulation, fast: FastSimulation) -> None:
    """Make sure that the model makes hits of the simulated read-out.

    Raises:
        GeometryError: It does not.
    """
    wanted, known = simulation.geometry, fast.geometry
    if wanted.fingerprint != known.fingerprint:
        got, expected = f"one of {shown(known.name)}", f"one of {shown(wanted.name)}"
        raise GeometryError(bad("model", got=got, expected=expected, fix="name the geometry of the model"))


def _shared(seconds: float, replaced: NDArray[np.integer]) -> NDArray[np.float32]:
    """The time of the model and of its hits, to every event by its replaced particles."""
    share = replaced / replaced.sum() if replaced.any() else np.full(len(replaced), 1 / len(replaced))
    return (seconds * share).astype(np.float32)


def fast_production_of(simulation: Simulation, settings: FastSettings, count: int) -> Production:
    """The blocks of ``count`` events; one, half a minute of Geant4 alone, is given to the model together.

    Raises:
        ConfigError: As of ``FastSettings.load``.
        GeometryError: The model is one of another read-out.
        MissingDependencyError: Geant4 or its data are not there.
    """
    check_package()
    require(find_data(simulation.data), hadrons=simulation.hadrons)
    settings = replace(settings, model=exact_name(settings.model))
    _check_geometry(simulation, settings.load())
    request = {**simulation.request(), "fast": settings.request()}
    return Production(
        count=count,
        size=simulation.block_size or _BLOCKS * simulation.block,
        request=request,
        worker=FastWorker(simulation, settings, request["fast"].get("weights", "")),
        isolate=True,
        writer=partial(NativeWriter, provenance=request),
        geometry=simulation.geometry,
        incident=simulation.incident,
    )


def simulate_fast(
    simulation: Simulation,
    settings: FastSettings,
    *,
    out: Path,
    count: int,
    processes: int = 1,
    executor: Executor | None = None,
    force: bool = False,
    progress: Progress | None = None,
) -> None:
    """Simulate ``count`` events, in which a model replaces particles, into a native file of read-out cells.

    The same events come out for the same arguments, whatever the number of processes; it goes on where it was
    interrupted.

    Args:
        simulation: The events.
        settings: The model and what it replaces.
        out: The file to write.
        count: Events.
        processes: Worker processes.
        executor: Of a cluster, in place of these; see ``run_blocks``.
        force: Replace ``out``.
        progress: See ``run_blocks``.

    Raises:
        ConfigError: As of ``FastSettings.load``.
        GeometryError: The model is one of another read-out, or as of ``caloforge.geant4.simulate``.
        MissingDependencyError: Geant4 or its data are not there.
        OutputError: ``out`` exists or cannot be written.
    """
    run_blocks(
        fast_production_of(simulation, settings, count),
        out=out,
        processes=processes,
        executor=executor,
        force=force,
        progress=progress,
    )
