"""The worker that makes showers in a process of its own: Geant4's events as ``Showers``."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from caloforge.geant4.clusters import Clusters
from caloforge.geant4.data import check_package, find_data, require, set_environment
from caloforge.geometry import cut_cells, project
from caloforge.showers import Showers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from caloforge.geant4.face import Arrival
    from caloforge.geant4.scoring import CellScorer, StepScorer
    from caloforge.geant4.session import Session
    from caloforge.geant4.simulation import Simulation

__all__ = ["Geant4Worker", "Watcher"]


class Watcher(Protocol):
    """Sees every particle that arrives at the calorimeter's front face."""

    def begin(self, event: int) -> None:
        """Event number ``event`` comes next."""
        ...

    def stops(self, arrival: Arrival) -> bool:
        """Whether a particle ends here."""
        ...

    def end(self, energy: float) -> None:
        """The event is over; its particles had so much energy, with their masses [MeV]."""
        ...


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
        make = self.start()
        return lambda start, stop: self._delivered(make(start, stop))

    def _delivered(self, showers: Showers) -> Showers:
        geometry = self.simulation.geometry
        if showers.cells is not None:
            return cut_cells(showers, geometry)
        return project(showers, geometry) if self.simulation.readout else showers

    def start(self, watcher: Watcher | None = None) -> Callable[[int, int], Showers]:
        """Set Geant4 up for showers before they are read out: points, or cells below threshold, too.

        Args:
            watcher: Of the front face.

        Raises:
            MissingDependencyError: Geant4 or its data are not there.
            GeometryError: A material is unknown, or the sensors cannot be divided into cells.
        """
        check_package()
        data = find_data(self.simulation.data)
        require(data, hadrons=self.simulation.hadrons)
        set_environment(data)
        make = _steps if self.simulation.scoring == "steps" else _cells
        return make(self.simulation, data, watcher)


def _steps(
    simulation: Simulation, data: dict[str, Path], watcher: Watcher | None
) -> Callable[[int, int], Showers]:
    from caloforge.geant4.scoring import StepScorer

    scorer = StepScorer()
    session, clusters = _session(simulation, scorer, data, watcher), Clusters(simulation.geometry)

    scale = np.float32(simulation.meta.sampling_fraction)

    def make(start: int, stop: int) -> Showers:
        clouds, extras = [], []
        for seconds in _shots(simulation, session, watcher, start, stop):
            steps = scorer.steps()
            clouds.append(clusters(steps))
            extras.append((seconds, float(steps[:, 3].sum()), len(steps)))
        return Showers(
            incident=simulation.incident(start, stop),
            offsets=_offsets([len(cloud.energy) for cloud in clouds]),
            energy=np.divide(np.concatenate([cloud.energy for cloud in clouds]), scale, dtype=np.float32),
            points=np.concatenate([cloud.points for cloud in clouds]),
            meta=simulation.meta,
            extras=_extras(("cpu_seconds", "f4"), ("deposited", "f4"), ("steps", "i4"), rows=extras),
        )

    return make


def _cells(
    simulation: Simulation, data: dict[str, Path], watcher: Watcher | None
) -> Callable[[int, int], Showers]:
    from caloforge.geant4.scoring import CellScorer

    scorer, geometry = CellScorer(simulation.geometry), simulation.geometry
    session = _session(simulation, scorer, data, watcher)

    def make(start: int, stop: int) -> Showers:
        sums, extras = [], []
        for seconds in _shots(simulation, session, watcher, start, stop):
            sums.append(scorer.cells())
            extras.append((seconds, float(sums[-1].energy.sum()) + sums[-1].outside))
        energy = np.concatenate([one.energy for one in sums]) / geometry.sampling_fraction
        return Showers(
            incident=simulation.incident(start, stop),
            offsets=_offsets([len(one.energy) for one in sums]),
            energy=energy.astype(np.float32),
            cells=np.concatenate([one.cells for one in sums]).astype(np.int32),
            meta=replace(simulation.meta, threshold=0.0),
            extras=_extras(("cpu_seconds", "f4"), ("deposited", "f4"), rows=extras),
        )

    return make


def _session(
    simulation: Simulation, scorer: StepScorer | CellScorer, data: dict[str, Path], watcher: Watcher | None
) -> Session:
    from caloforge.geant4.detector import Detector
    from caloforge.geant4.face import Face
    from caloforge.geant4.session import Session

    upstream = simulation.upstream
    divided = simulation.scoring == "cells"
    face = Face(watcher.stops) if watcher is not None else None
    detector = Detector(simulation.geometry, scorer, divided=divided, upstream=upstream, face=face)
    particles, hadrons = simulation.particles, simulation.hadrons
    return Session(detector, scorer, data=data, particles=particles, hadrons=hadrons, reach=upstream.reach)


def _shots(
    simulation: Simulation, session: Session, watcher: Watcher | None, start: int, stop: int
) -> Iterator[float]:
    """Shoot events ``start`` to ``stop`` one after the other; CPU seconds of each."""
    events = simulation.events(start, stop)
    for n in range(len(events)):
        if watcher is not None:
            watcher.begin(start + n)
        yield session.shoot(events[n : n + 1], simulation.geant4_seed(start + n))
        if watcher is not None:
            watcher.end(session.energy)


def _offsets(lengths: list[int]) -> NDArray[np.int64]:
    return np.cumsum([0, *lengths], dtype=np.int64)


def _extras(*columns: tuple[str, str], rows: Sequence[tuple[float, ...]]) -> dict[str, NDArray[Any]]:
    values = zip(*rows, strict=True)
    return {f"geant4_{name}": np.array(v, dtype) for (name, dtype), v in zip(columns, values, strict=True)}
