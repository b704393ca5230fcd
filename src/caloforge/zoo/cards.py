"""What a trained model tells of itself; that of a model in the package is read without loading networks."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NamedTuple

from caloforge.trained.stored import SavedRange
from caloforge.zoo.shipped import load_simulator, model_folder, shipped_models

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from caloforge.geometry import Geometry
    from caloforge.simulator import Simulator

__all__ = ["ModelCard", "card_of", "read_card"]


class ModelCard(NamedTuple):
    """A trained model in words and numbers.

    Attributes:
        model: Registered name.
        parameters: Numbers that its networks have learnt.
        geometry: The read-out.
        energy: Lowest and highest incident energy of the training [MeV].
        theta: Largest angle from the normal in the training [rad].
        particles: Particle codes of the training.
        card: All that its training and evaluation wrote down.
        stored_numbers: Numbers of data that it draws from, beside the parameters.
    """

    model: str
    parameters: int
    geometry: Geometry
    energy: tuple[float, float]
    theta: float
    particles: tuple[int, ...]
    card: Mapping[str, Any]
    stored_numbers: int = 0


def read_card(name_or_folder: str | Path) -> ModelCard:
    """The card of a model in the package, or of a saved one, which is loaded for it.

    Raises:
        ConfigError: The name is unknown.
        FormatError: The folder is not a saved model.
    """
    if str(name_or_folder) in shipped_models():
        return _shipped(model_folder(name_or_folder))
    return card_of(load_simulator(name_or_folder))


def card_of(simulator: Simulator) -> ModelCard:
    """The card of a model that is loaded."""
    model, trained = simulator.model, simulator.trained
    return ModelCard(
        model.name,
        model.learnt_numbers,
        model.geometry,
        trained.energy,
        trained.theta,
        trained.particles,
        simulator.card,
        model.stored_numbers,
    )


def _shipped(folder: Path) -> ModelCard:
    from caloforge.geometry import Geometry

    # both are our own: what networks need is checked when they are loaded
    config, card = (
        json.loads((folder / f"{n}.json").read_text(encoding="utf-8")) for n in ("config", "card")
    )
    trained = SavedRange.model_validate(config["trained"])
    return ModelCard(
        config["model_name"],
        card["parameters"],
        Geometry.model_validate(config["geometry"]),
        trained.energy,
        trained.theta,
        trained.particles,
        card,
        card.get("stored_numbers", 0),
    )
