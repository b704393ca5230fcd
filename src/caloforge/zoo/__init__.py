"""Trained models and a Geant4 reference that come with the package."""

from caloforge.zoo.cards import ModelCard, card_of, read_card
from caloforge.zoo.shipped import (
    load_simulator,
    model_folder,
    recorded_time,
    reference_path,
    shipped_models,
    weights_of,
)

__all__ = [
    "ModelCard",
    "card_of",
    "load_simulator",
    "model_folder",
    "read_card",
    "recorded_time",
    "reference_path",
    "shipped_models",
    "weights_of",
]
