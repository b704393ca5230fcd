"""The worker that makes showers in a process of its own: Geant4's events as ``Showers``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from caloforge.geant4.clusters import Clusters
from caloforge.geant4.data import check_package, find_data, require, set_environment
from caloforge.geometry import project
from caloforge.showers import Showers

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from caloforge.geant4.scoring import CellScorer, StepScorer
    from caloforge.geant4.session import Session
    from caloforge.geant4.simulation import Simulation
    from caloforge.showers import Incident

__all__ = ["Geant4Worker"]


@dataclass(frozen=True)
class Geant4Worker:
    """Sets Geant4 up in the process that calls it; returns what makes showers ``start`` to ``stop``."""

    simulation: Simulation

    def __call__(self) -> Callable[[int, int], Showers]:
        """Set Geant4 up.

        Raises:
            MissingDependencyError: Geant4 or its data are not there.
            GeometryError: A material is unknown, or the sensors cannot be divided into cells.
        """
        check_package()
        data = find_data(self.simulation.data)
        require(data, hadrons=self.simulation.hadrons)
        set_environment(data)
        steps = self.simulation.scoring == "steps"
        return _steps(self.simulation, data) if steps else _cells(self.simulation, data)


def _steps(simulation: Simulation, data: dict[str, Path]) -> Callable[[int, int], Showers]:
    from caloforge.geant4.scoring import StepScorer

    scorer = StepScorer()
    session, clusters = _session(simulation, scorer, data), Clusters(simulation.geometry)

    scale = np.float32(simulation.meta.sampling_fraction)

    def make(start: int, stop: int) -> Showers:
        clouds, extras = [], []
        for incident, seed in _shots(simulation, start, stop):
            seconds = session.shoot(incident, seed)
            steps = scorer.steps()
            clouds.append(clusters(steps))
            extras.append((seconds, float(steps[:, 3].sum()), len(steps)))
        columns = _extras(("cpu_seconds", "f4"), ("deposited", "f4"), ("steps", "i4"), rows=extras)
        showers = Showers(
            incident=simulation.incident(start, stop),
            offsets=_offsets([len(cloud.energy) for cloud in clouds]),
            energy=np.divide(np.concatenate([cloud.energy for cloud in clouds]), scale, dtype=np.float32),
            points=np.concatenate([cloud.points for cloud in clouds]),
            meta=simulation.meta,
            extras=columns,
        )
        return project(showers, simulation.geometry) if simulation.readout else showers

    return make


def _cells(simulation: Simulation, data: dict[str, Path]) -> Callable[[int, int], Showers]:
    from caloforge.geant4.scoring import CellScorer

    scorer, geometry = CellScorer(simulation.geometry), simulation.geometry
    session = _session(simulation, scorer, data)

    def make(start: int, stop: int) -> Showers:
        cells, energies, extras = [], [], []
        for incident, seed in _shots(simulation, start, stop):
            seconds = session.shoot(incident, seed)
            sums = scorer.cells()
            energy = (sums.energy / geometry.sampling_fraction).astype(np.float32)
            above = energy >= geometry.threshold
            cells.append(sums.cells[above])
            energies.append(energy[above])
            extras.append((seconds, float(sums.energy.sum()) + sums.outside))
        return Showers(
            incident=simulation.incident(start, stop),
            offsets=_offsets([len(energy) for energy in energies]),
            energy=np.concatenate(energies),
            cells=np.concatenate(cells).astype(np.int32),
            meta=simulation.meta,
            extras=_extras(("cpu_seconds", "f4"), ("deposited", "f4"), rows=extras),
        )

    return make


def _session(simulation: Simulation, scorer: StepScorer | CellScorer, data: dict[str, Path]) -> Session:
    from caloforge.geant4.detector import Detector
    from caloforge.geant4.session import Session

    upstream = simulation.upstream
    divided = simulation.scoring == "cells"
    detector = Detector(simulation.geometry, scorer, divided=divided, upstream=upstream)
    particles, hadrons = simulation.particles, simulation.hadrons
    return Session(detector, scorer, data=data, particles=particles, hadrons=hadrons, reach=upstream.reach)


def _shots(simulation: Simulation, start: int, stop: int) -> list[tuple[Incident, int]]:
    incident = simulation.incident(start, stop)
    return [(incident[n : n + 1], simulation.geant4_seed(start + n)) for n in range(stop - start)]


def _offsets(lengths: list[int]) -> NDArray[np.int64]:
    return np.cumsum([0, *lengths], dtype=np.int64)


def _extras(*columns: tuple[str, str], rows: Sequence[tuple[float, ...]]) -> dict[str, NDArray[Any]]:
    values = zip(*rows, strict=True)
    return {f"geant4_{name}": np.array(v, dtype) for (name, dtype), v in zip(columns, values, strict=True)}
