"""Models by name, as classes and as networks."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

import torch

from caloforge.errors import CaloForgeError, ConfigError, clipped, did_you_mean
from caloforge.models.budget import budget
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
        msg = f"Unknown model {clipped(name, 60)!r}: {did_you_mean(name, places)}."
        raise ConfigError(msg)
    module, attribute = places[name].split(":")
    found: type[GenerativeModel] = getattr(import_module(module), attribute)
    return found


def build_model(name: str, config: ModelConfig, geometry: Geometry, *, seed: int = 0) -> GenerativeModel:
    """Build an untrained model: its weights depend on ``seed`` alone, no global random state changes.

    Raises:
        ConfigError: The name is unknown, or the sizes do not go together or ask for too many
            parameters.
    """
    kind = model_class(name)
    with torch.random.fork_rng(devices=[]), budget(name):
        torch.default_generator.manual_seed(seed)
        try:
            return kind.build(config, geometry)
        except CaloForgeError:
            raise
        except (RuntimeError, ValueError, ArithmeticError) as error:  # sizes that do not go together
            msg = f"The model {name} cannot be built with these sizes: {clipped(str(error)).rstrip('.')}."
            raise ConfigError(msg) from error
