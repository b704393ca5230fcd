"""Models by name, as classes and as networks."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

import torch

from caloforge.errors import ConfigError, did_you_mean
from caloforge.names import model_names, model_places

if TYPE_CHECKING:
    from caloforge.geometry import Geometry
    from caloforge.models.base import GenerativeModel, ModelConfig

__all__ = ["build_model", "model_class", "model_names"]


def model_class(name: str) -> type[GenerativeModel]:
    """The class of a registered model.

    Raises:
        ConfigError: The name is unknown.
    """
    places = model_places()
    if name not in places:
        msg = f"Unknown model {name!r}: {did_you_mean(name, places)}."
        raise ConfigError(msg)
    module, attribute = places[name].split(":")
    found: type[GenerativeModel] = getattr(import_module(module), attribute)
    return found


def build_model(name: str, config: ModelConfig, geometry: Geometry, *, seed: int = 0) -> GenerativeModel:
    """Build an untrained model: its weights depend on ``seed`` alone, no global random state changes.

    Raises:
        ConfigError: The name is unknown.
    """
    kind = model_class(name)
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        return kind.build(config, geometry)
