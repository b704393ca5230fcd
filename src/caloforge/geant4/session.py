"""Geant4 set up in this process, shot by shot. Imports Geant4: its data must be known before."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import geant4_pybind as g4
import numpy as np

from caloforge.errors import CaloForgeError, ConfigError
from caloforge.geant4.data import check_elements
from caloforge.geant4.physics import RANGE_CUT, physics_list

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from caloforge.events import Events
    from caloforge.geant4.detector import Detector
    from caloforge.geant4.scoring import Scorer

__all__ = ["Session"]

_DISTANCE = 1.0  # mm from the gun to the first plate, along its normal


class Session:
    """Geant4 with one detector; there can be only one in a process.

    Args:
        detector: What is shot at.
        scorer: Told about the end of every event.
        data: Folders of the data sets, to check that the detector's elements are in them.
        particles: Codes of the particles that will be shot.
        hadrons: Whether hadronic physics is needed.
        reach: How far the first plate is in front of the calorimeter's front face [mm].

    Raises:
        MissingDependencyError: A data file is missing.
        CaloForgeError: Geant4 is in use in this process already.
    """

    def __init__(
        self,
        detector: Detector,
        scorer: Scorer,
        *,
        data: Mapping[str, Path],
        particles: Iterable[int],
        hadrons: bool,
        reach: float = 0.0,
    ) -> None:
        check_elements(data, detector.elements)
        if g4.G4RunManager.GetRunManager() is not None:
            raise CaloForgeError("Geant4 is in use in this process already: start another process.")
        self._manager = g4.G4RunManagerFactory.CreateRunManager(g4.G4RunManagerType.Serial)
        self._manager.SetVerboseLevel(0)
        self._actions = _Actions(scorer, reach + _DISTANCE)
        # Geant4 does not keep Python objects alive
        self._kept = (detector, physics_list(particles, hadrons=hadrons), self._actions)
        for part in self._kept:
            self._manager.SetUserInitialization(part)
        self._manager.Initialize()
        commands = g4.G4UImanager.GetUIpointer()
        # a cut set in the physics list is forgotten
        commands.ApplyCommand(f"/run/setCut {RANGE_CUT} mm")

    @property
    def energy(self) -> float:
        """Of the last event's particles, with their masses [MeV]."""
        return float(self._actions.gun.energy)

    def shoot(self, event: Events, seed: int) -> float:
        """Simulate one event.

        Args:
            event: Its particles; straight on, they cross the front face at their impact points.
            seed: Of Geant4's generator; the event depends on it and on nothing that ran before.

        Returns:
            CPU seconds.
        """
        self._actions.gun.aim(event)
        g4.G4Random.setTheSeed(seed)
        started = time.process_time()
        self._manager.BeamOn(1)
        return time.process_time() - started


class _Gun(g4.G4VUserPrimaryGeneratorAction):  # type: ignore[misc]
    def __init__(self, distance: float) -> None:
        super().__init__()
        self._gun, self._distance = g4.G4ParticleGun(1), distance
        self._shots: list[tuple[Any, float, list[float], list[float]]] = []
        self.energy = 0.0

    def aim(self, event: Events) -> None:
        kinds = [_definition(code) for code in event.particles.pdg.tolist()]
        masses = sum(kind.GetPDGMass() for kind in kinds)
        self.energy = float(np.sum(event.particles.energy)) + masses
        self._shots = list(zip(kinds, event.particles.energy.tolist(), *self._lines(event), strict=True))

    def _lines(self, event: Events) -> tuple[list[list[float]], list[list[float]]]:
        """Directions and starting points."""
        direction = event.particles.direction
        start = -self._distance * direction / direction[:, 2:]
        start[:, :2] += event.impact
        return direction.tolist(), start.tolist()

    def GeneratePrimaries(self, event: Any) -> None:  # noqa: N802 (Geant4's name)
        for kind, energy, direction, start in self._shots:
            self._gun.SetParticleDefinition(kind)
            self._gun.SetParticleEnergy(energy)
            self._gun.SetParticleMomentumDirection(g4.G4ThreeVector(*direction))
            self._gun.SetParticlePosition(g4.G4ThreeVector(*start))
            self._gun.GeneratePrimaryVertex(event)


def _definition(code: int) -> Any:
    particle = g4.G4ParticleTable.GetParticleTable().FindParticle(code)
    if particle is None:
        msg = f"This physics has no particle with the code {code}: shoot gamma, e-, e+ or pi0."
        raise ConfigError(msg)
    return particle


class _EventAction(g4.G4UserEventAction):  # type: ignore[misc]
    def __init__(self, scorer: Scorer) -> None:
        super().__init__()
        self._scorer = scorer

    def EndOfEventAction(self, event: Any) -> None:  # noqa: N802 (Geant4's name)
        self._scorer.end_of_event(event)


class _Actions(g4.G4VUserActionInitialization):  # type: ignore[misc]
    """Geant4 calls ``Build`` after the physics list is there, which actions need."""

    def __init__(self, scorer: Scorer, distance: float) -> None:
        super().__init__()
        self._scorer, self._distance = scorer, distance

    def Build(self) -> None:  # noqa: N802 (Geant4's name)
        self.gun, self.event = _Gun(self._distance), _EventAction(self._scorer)
        self.SetUserAction(self.gun)
        self.SetUserAction(self.event)
