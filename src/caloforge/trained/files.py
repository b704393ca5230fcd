"""A trained model in a folder: configuration, weights and card, all checked on the way in.

The weights carry the fingerprint of the geometry that they were trained for, in the metadata of
the safetensors file.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from pydantic import ConfigDict, ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as packed

from caloforge.errors import CaloForgeError, FormatError, OutputError, bad, clipped
from caloforge.files import replacing, write_text
from caloforge.geometry import geometry_from_dict
from caloforge.markup import parse_json, read_text
from caloforge.models import build_model, model_class
from caloforge.records import Record, first_problem
from caloforge.trained.card import CARD, read_card
from caloforge.trained.stored import SavedRange, with_conditions

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from torch import Tensor

    from caloforge.models import GenerativeModel

__all__ = ["SavedModel", "read_model", "write_model"]

_CONFIG, _WEIGHTS = "config.json", "model.safetensors"
_FINGERPRINT = "geometry_fingerprint"


class _Config(Record):
    """The content of ``config.json``."""

    model_config = ConfigDict(protected_namespaces=())

    model_name: str
    model: dict[str, Any]
    geometry: dict[str, Any]
    trained: SavedRange


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
        half: Store the networks' weights as 16-bit floats.

    Raises:
        OutputError: The folder cannot be written.
    """
    config = {
        "model_name": model.name,
        "model": model.config.model_dump(mode="json"),
        "geometry": model.geometry.model_dump(mode="json"),
        "trained": trained.model_dump(mode="json"),
    }
    tensors = {k: _compact(v, half=half) for k, v in model.state_dict().items()}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with replacing(folder / _WEIGHTS) as part:
            # save_file keeps the file from other users
            part.write_bytes(packed(tensors, {_FINGERPRINT: model.geometry.fingerprint}))
        for name, content in ((CARD, card), (_CONFIG, config)):
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
    missing = [name for name in (_CONFIG, _WEIGHTS, CARD) if not (folder / name).is_file()]
    if missing:
        msg = f"{folder} is not a saved model: it lacks {missing[0]}."
        raise FormatError(msg)
    config, card = _read_config(folder / _CONFIG), read_card(folder)
    try:
        model = _build(config, source=str(folder / _CONFIG))
        _fill(model, folder / _WEIGHTS, card)
    except FormatError:
        raise
    except (CaloForgeError, SafetensorError, OSError) as error:
        msg = (
            f"The model in {folder} is damaged, or of another version of caloforge: "
            f"{clipped(str(error), 160).rstrip('.')}."
        )
        raise FormatError(msg) from error
    return SavedModel(model.eval(), config.trained, card)


def _read_config(path: Path) -> _Config:
    text = read_text(path, what="configuration", error=FormatError)
    content = parse_json(text, source=f"The configuration {path} is damaged and", error=FormatError)
    try:
        return _Config.model_validate(content)
    except ValidationError as error:
        raise FormatError(_explain(error, str(path))) from error


def _build(config: _Config, *, source: str) -> GenerativeModel:
    kind = model_class(config.model_name).config_class
    try:
        settings = kind.model_validate(with_conditions(config.model))
    except ValidationError as error:
        raise FormatError(_explain(error, source)) from error
    return build_model(config.model_name, settings, geometry_from_dict(config.geometry, source=source))


def _explain(error: ValidationError, source: str) -> str:
    problem = first_problem(error)
    if problem.kind == "unknown":
        return f"{source} is damaged, or of another version of caloforge: unknown key {problem.where!r}."
    got = "nothing" if problem.kind == "missing" else problem.got
    what = f"{source} is damaged: {problem.where}" if problem.place else f"{source} is damaged"
    return bad(what, got=got, expected=problem.expected)


def _fill(model: GenerativeModel, path: Path, card: Mapping[str, Any]) -> None:
    """Load the weights."""
    wanted = model.state_dict()
    with safe_open(path, framework="pt") as file:
        stored = (file.metadata() or {}).get(_FINGERPRINT) or card.get(_FINGERPRINT)
        if stored and stored != model.geometry.fingerprint:
            got, expected = f"weights of the geometry {clipped(stored, 40)}", model.geometry.fingerprint
            raise FormatError(bad(f"{path}", got=got, expected=f"{expected}, that of the model's geometry"))
        names = set(file.keys())
        different = sorted(names ^ wanted.keys())
        if different:
            verb = "lacks the" if different[0] in wanted else "has an unknown"
            tensor = f"tensor {clipped(different[0], 60)!r}"
            msg = f"{path} {verb} {tensor}: the weights are damaged, or of another model."
            raise FormatError(msg)
        tensors = {
            name: _checked(file.get_tensor(name), like, name, path, any_length=name in model.any_length)
            for name, like in wanted.items()
        }
    model.load_state_dict(tensors)


def _checked(tensor: Tensor, like: Tensor, name: str, path: Path, *, any_length: bool) -> Tensor:
    """A tensor of a file as the model has it; with ``any_length`` a vector may be longer or shorter."""
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


def _compact(tensor: Tensor, *, half: bool) -> Tensor:
    small = half and tensor.dtype == torch.float32 and tensor.numel() > math.prod((8, 8))
    halved = tensor.half() if small else tensor
    # numbers beyond the range of 16 bits would become infinite
    return (halved if torch.isfinite(halved).all() else tensor).contiguous()
