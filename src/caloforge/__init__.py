"""Fast calorimeter shower simulation: data from Geant4, generative models, evaluation, deployment."""

__all__ = ["__version__"]

__version__ = "0.1.0"
