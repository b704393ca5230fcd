"""How long Geant4 takes for a shower: the baseline of every speed-up."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from caloforge.blocks import run_tasks
from caloforge.geant4.simulation import Scoring, Simulation
from caloforge.geant4.worker import Geant4Worker
from caloforge.showers import Incident

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from caloforge.geometry import Geometry

__all__ = ["cpu_seconds_per_shower"]

_WARM_UP = 3  # showers that fill caches and build tables


def cpu_seconds_per_shower(
    geometry: Geometry,
    energies: Sequence[float],
    *,
    count: int = 10,
    pdg: int = 22,
    scoring: Scoring = "cells",
    seed: int = 1,
    data: Path | None = None,
) -> NDArray[np.float64]:
    """Measure Geant4's CPU time on one core, in a process of its own, at normal incidence.

    Scoring in read-out cells in C++ is the fair baseline: it does what is needed and nothing in Python.

    Args:
        geometry: The calorimeter, with slabs.
        energies: Kinetic energies [MeV], ``(E,)``.
        count: Showers of every energy.
        pdg: Particle code.
        scoring: See ``Simulation``.
        seed: Of the showers.
        data: Folder of Geant4's data sets; see ``find_data``.

    Returns:
        CPU seconds of every shower, ``(E, count)``; the set-up and warm-up are not in it.

    Raises:
        MissingDependencyError: Geant4 or its data are not there.
    """
    repeated = np.concatenate([np.full(_WARM_UP, energies[0]), np.repeat(energies, count)])
    simulation = Simulation(geometry, Incident.of(repeated, pdg=pdg), seed=seed, scoring=scoring, data=data)
    with tempfile.TemporaryDirectory() as logs:
        tasks = [(0, len(repeated))]
        [(_, showers)] = run_tasks(tasks, Geant4Worker(simulation), processes=1, logs=Path(logs))
    seconds = np.asarray(showers.extras["geant4_cpu_seconds"], dtype=np.float64)
    return seconds[_WARM_UP:].reshape(len(energies), count)
