"""The part of a saved model that generates, where that needs no torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from safetensors import SafetensorError, safe_open

from caloforge.errors import CaloForgeError, FormatError
from caloforge.geometry import geometry_from_dict
from caloforge.models.samplers import sampler_class
from caloforge.trained.card import read_card
from caloforge.trained.configuration import (
    CONFIG,
    WEIGHTS,
    check_fingerprint,
    check_names,
    damaged,
    read_config,
    settings_of,
)

if TYPE_CHECKING:
    from pathlib import Path

    from caloforge.models.sampler import Sampler
    from caloforge.trained.stored import SavedRange

__all__ = ["SavedSampler", "read_sampler"]


@dataclass(frozen=True)
class SavedSampler:
    """What a folder holds.

    Attributes:
        model: Ready to generate.
        trained: Where it was trained.
        card: Whatever its training wrote down.
    """

    model: Sampler
    trained: SavedRange
    card: dict[str, Any]


def read_sampler(folder: Path) -> SavedSampler | None:
    """Read what generates; None when that takes networks.

    Raises:
        FormatError: As of ``caloforge.trained.files.read_model``.
    """
    config = read_config(folder)
    kind = sampler_class(config.model_name)
    if kind is None:
        return None
    card, source, path = read_card(folder), str(folder / CONFIG), folder / WEIGHTS
    settings = settings_of(config, kind.config_class, source=source)
    try:
        geometry = geometry_from_dict(config.geometry, source=source)
        with safe_open(path, framework="numpy") as file:
            check_fingerprint(file.metadata(), card, geometry, path)
            check_names(set(file.keys()), set(kind.tensors), path)
            model = kind(settings, geometry, {name: file.get_tensor(name) for name in kind.tensors})
    except FormatError:
        raise
    except (CaloForgeError, SafetensorError, OSError) as error:
        raise damaged(folder, error) from error
    return SavedSampler(model, config.trained, card)
