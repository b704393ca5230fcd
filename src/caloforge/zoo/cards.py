"""What a trained model tells of itself; that of a model with a name is read without loading networks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from caloforge.trained.card import read_card as read_saved_card
from caloforge.trained.configuration import CONFIG, read_config
from caloforge.zoo.shipped import find_installed, load_simulator

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from caloforge.geometry import Geometry
    from caloforge.simulator import Simulator

__all__ = ["ModelCard", "card_of", "read_card", "read_folder"]


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
    """The card of a model with a name, or of a saved one, which is loaded for it.

    Raises:
        ConfigError: The name is unknown.
        FormatError: The folder is not a saved model.
    """
    found = find_installed(str(name_or_folder))
    if found is not None:
        return read_folder(found.folder)
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


def read_folder(folder: Path) -> ModelCard:
    """The card of a published model, which tells what else its networks would be loaded for.

    Raises:
        FormatError: It is damaged.
    """
    from caloforge.geometry import geometry_from_dict

    config, card = read_config(folder), read_saved_card(folder)
    trained = config.trained
    return ModelCard(
        config.model_name,
        card["parameters"],
        geometry_from_dict(config.geometry, source=str(folder / CONFIG)),
        trained.energy,
        trained.theta,
        trained.particles,
        card,
        card.get("stored_numbers", 0),
    )
