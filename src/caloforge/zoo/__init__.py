"""Trained models and a Geant4 reference that come with the package."""

from caloforge.zoo.shipped import load_simulator, model_folder, recorded_time, reference_path, shipped_models

__all__ = ["load_simulator", "model_folder", "recorded_time", "reference_path", "shipped_models"]
