"""The calorimeter's front face: who arrives there, and who goes no further. Imports Geant4."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import geant4_pybind as g4

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Arrival", "Face"]

_ROUNDING = 1e-6  # mm


class Arrival(NamedTuple):
    """A particle at the front face, on its way in.

    Attributes:
        pdg: Its code.
        energy: Kinetic energy [MeV].
        total: With its mass [MeV].
        impact: x and y [mm].
        direction: Unit vector; z points into the calorimeter.
    """

    pdg: int
    energy: float
    total: float
    impact: tuple[float, float]
    direction: tuple[float, float, float]


class Face(g4.G4VSensitiveDetector):  # type: ignore[misc]
    """Watches the vacuum in front of the calorimeter, and stops what ``stops`` wants.

    The vacuum is that of the world, no volume of its own: so a run that stops nothing takes the steps
    and the random numbers of one without a face. A step that ends on the front face and goes on inwards
    is an arrival, unless it began there: so scatters a particle that leaves and turns round in the
    border. A stopped particle has entered nothing and left nothing in a sensor.

    Args:
        stops: Called once for every arrival; whether the particle ends here.
    """

    def __init__(self, stops: Callable[[Arrival], bool]) -> None:
        super().__init__("face")
        self._stops = stops

    def ProcessHits(self, step: Any, history: Any) -> bool:  # noqa: N802, ARG002 (Geant4's names)
        """Look at the ends of a step in the vacuum."""
        begin, end = step.GetPreStepPoint().GetPosition(), step.GetPostStepPoint()
        position, direction = end.GetPosition(), end.GetMomentumDirection()
        if begin.z > -_ROUNDING or abs(position.z) > _ROUNDING or direction.z <= 0.0:
            return False
        track = step.GetTrack()
        arrival = Arrival(
            track.GetDefinition().GetPDGEncoding(),
            track.GetKineticEnergy(),
            track.GetTotalEnergy(),
            (position.x, position.y),
            (direction.x, direction.y, direction.z),
        )
        if self._stops(arrival):
            track.SetTrackStatus(g4.G4TrackStatus.fStopAndKill)
        return True
