"""Showers from Geant4: the only part of caloforge that imports ``geant4_pybind``.

Geant4 allows one run manager per process, so that showers are made in worker processes.
"""

from caloforge.geant4.run import production_of, simulate
from caloforge.geant4.simulation import Scoring, Simulation
from caloforge.geant4.upstream import Upstream
from caloforge.geant4.worker import Geant4Worker

__all__ = ["Geant4Worker", "Scoring", "Simulation", "Upstream", "production_of", "simulate"]
