"""A trained model in a folder: configuration, weights and card, all checked on the way in.

The weights carry the fingerprint of the geometry that they were trained for, in the metadata of
the safetensors file.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as packed

from caloforge.errors import CaloForgeError, FormatError, OutputError, bad
from caloforge.files import replacing, write_text
from caloforge.geometry import geometry_from_dict
from caloforge.models import build_model, model_class
from caloforge.trained.card import CARD, read_card
from caloforge.trained.compact import compact, flags, is_packed
from caloforge.trained.configuration import (
    CONFIG,
    FINGERPRINT,
    WEIGHTS,
    check_fingerprint,
    check_names,
    damaged,
    read_config,
    settings_of,
)

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from torch import Tensor

    from caloforge.models import GenerativeModel
    from caloforge.trained.configuration import SavedConfig
    from caloforge.trained.stored import SavedRange

__all__ = ["SavedModel", "read_model", "write_model"]


@dataclass(frozen=True)
class SavedModel:
    """What a folder holds.

    Attributes:
        model: With its weights, ready to sample.
        trained: Where it was trained.
        card: Whatever its training wrote down.
    """

    model: GenerativeModel
    trained: SavedRange
    card: dict[str, Any]


def write_model(
    folder: Path, model: GenerativeModel, trained: SavedRange, card: Mapping[str, Any], *, half: bool = False
) -> None:
    """Write ``config.json``, ``model.safetensors`` and ``card.json``.

    Args:
        folder: Made when it does not exist.
        model: The networks with preprocessing and calibration.
        trained: Where it was trained.
        card: Plain values.
        half: Store the networks' weights as 16-bit floats, and flags as bits.

    Raises:
        OutputError: The folder cannot be written.
    """
    config = {
        "model_name": model.name,
        "model": model.config.model_dump(mode="json"),
        "geometry": model.geometry.model_dump(mode="json"),
        "trained": trained.model_dump(mode="json"),
    }
    tensors = {k: compact(v) if half else v.contiguous() for k, v in model.state_dict().items()}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with replacing(folder / WEIGHTS) as part:
            # save_file keeps the file from other users
            part.write_bytes(packed(tensors, {FINGERPRINT: model.geometry.fingerprint}))
        for name, content in ((CARD, card), (CONFIG, config)):
            write_text(folder / name, json.dumps(content, indent=2))
    except OutputError:
        raise
    except OSError as error:
        msg = f"Cannot write the model to {folder}: {error.strerror}."
        raise OutputError(msg) from error


def read_model(folder: Path) -> SavedModel:
    """Read what ``write_model`` wrote.

    Raises:
        FormatError: The folder is not a saved model, a file is damaged, or the weights are those of
            another model or geometry.
    """
    config, card = read_config(folder), read_card(folder)
    try:
        model = _build(config, source=str(folder / CONFIG))
        _fill(model, folder / WEIGHTS, card)
    except FormatError:
        raise
    except (CaloForgeError, SafetensorError, OSError) as error:
        raise damaged(folder, error) from error
    return SavedModel(model.eval(), config.trained, card)


def _build(config: SavedConfig, *, source: str) -> GenerativeModel:
    settings = settings_of(config, model_class(config.model_name).config_class, source=source)
    return build_model(config.model_name, settings, geometry_from_dict(config.geometry, source=source))


def _fill(model: GenerativeModel, path: Path, card: Mapping[str, Any]) -> None:
    """Load the weights."""
    wanted = model.state_dict()
    with safe_open(path, framework="pt") as file:
        check_fingerprint(file.metadata(), card, model.geometry, path)
        check_names(set(file.keys()), set(wanted), path)
        tensors = {
            name: _checked(file.get_tensor(name), like, name, path, any_length=name in model.any_length)
            for name, like in wanted.items()
        }
    model.load_state_dict(tensors)


def _checked(tensor: Tensor, like: Tensor, name: str, path: Path, *, any_length: bool) -> Tensor:
    """A tensor of a file as the model has it; with ``any_length`` a vector may be longer or shorter."""
    if is_packed(tensor, like):
        return flags(tensor, like)
    if not (any_length and tensor.ndim == 1) and tensor.shape != like.shape:
        got, expected = (" x ".join(map(str, t.shape)) or "one number" for t in (tensor, like))
        raise FormatError(bad(f"{name} in {path}", got=got, expected=f"{expected}, as its config.json says"))
    halved = tensor.dtype == torch.float16 and like.dtype == torch.float32
    if tensor.dtype != like.dtype and not halved:
        got, expected = (str(t.dtype).removeprefix("torch.") for t in (tensor, like))
        raise FormatError(bad(f"{name} in {path}", got=got, expected=expected))
    if not torch.isfinite(tensor).all():
        raise FormatError(bad(f"{name} in {path}", got="NaN or infinity", expected="finite weights"))
    return tensor.to(like.dtype)
