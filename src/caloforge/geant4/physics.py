"""Physics lists. Imports Geant4: its data must be known before (``data.set_environment``)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import geant4_pybind as g4

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["RANGE_CUT", "physics_list"]

RANGE_CUT = 0.7  # mm, Geant4's default


def physics_list(particles: Iterable[int], *, hadrons: bool) -> Any:
    """The physics for showers of ``particles`` (codes of the Particle Data Group).

    Electromagnetic showers take ``G4EmStandardPhysics``, with decays when there are neutral pions;
    hadronic ones ``FTFP_BERT``. Atoms do not fluoresce: that needs more data and does not change showers.
    """
    physics = g4.FTFP_BERT() if hadrons else _Electromagnetic(decays=111 in set(particles))
    parameters = g4.G4EmParameters.Instance()
    parameters.SetVerbose(0)
    parameters.SetFluo(False)
    parameters.SetAuger(False)
    parameters.SetPixe(False)
    physics.SetVerboseLevel(0)
    return physics


class _Electromagnetic(g4.G4VModularPhysicsList):  # type: ignore[misc]
    def __init__(self, *, decays: bool) -> None:
        super().__init__()
        # Geant4 does not keep Python objects alive
        self.parts = [g4.G4EmStandardPhysics(), *([g4.G4DecayPhysics()] if decays else [])]
        for part in self.parts:
            self.RegisterPhysics(part)
