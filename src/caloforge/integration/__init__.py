"""Trained models inside of Geant4: caught particles become the model's hits, all others are simulated."""

from caloforge.integration.fast import FastSimulation
from caloforge.integration.limits import Limits, Reason
from caloforge.integration.settings import FastSettings
from caloforge.integration.worker import FastWorker, fast_production_of, simulate_fast

__all__ = [
    "FastSettings",
    "FastSimulation",
    "FastWorker",
    "Limits",
    "Reason",
    "fast_production_of",
    "simulate_fast",
]
