"""Trained models by name, of the package and downloaded, and the Geant4 reference of the package."""

from typing import TYPE_CHECKING

from caloforge.lazy import attributes
from caloforge.zoo.cards import ModelCard, card_of, read_card
from caloforge.zoo.shipped import (
    load_simulator,
    model_folder,
    recorded_time,
    reference_path,
    shipped_models,
    weights_of,
)

if TYPE_CHECKING:
    from caloforge.zoo.fetch import download_models

__all__ = [
    "ModelCard",
    "card_of",
    "download_models",
    "load_simulator",
    "model_folder",
    "read_card",
    "recorded_time",
    "reference_path",
    "shipped_models",
    "weights_of",
]

__getattr__ = attributes(__name__, {"download_models": "fetch"})  # HTTP is for who downloads
