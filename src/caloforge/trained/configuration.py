"""The files of a saved model that are read without loading its networks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import ConfigDict, ValidationError

from caloforge.errors import FormatError, bad, clipped
from caloforge.markup import parse_json, read_text
from caloforge.records import Record, first_problem
from caloforge.trained.card import CARD
from caloforge.trained.stored import SavedRange, with_conditions

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from caloforge.geometry import Geometry

__all__ = [
    "CONFIG",
    "FINGERPRINT",
    "WEIGHTS",
    "SavedConfig",
    "check_fingerprint",
    "check_names",
    "damaged",
    "read_config",
    "settings_of",
]

CONFIG, WEIGHTS = "config.json", "model.safetensors"

FINGERPRINT = "geometry_fingerprint"
"""Of the weights, in the metadata of their file; older ones have it in the card alone."""

_Settings = TypeVar("_Settings", bound=Record)


class SavedConfig(Record):
    """The content of ``config.json``."""

    model_config = ConfigDict(protected_namespaces=())

    model_name: str
    """Registered model."""
    model: dict[str, Any]
    """Its configuration."""
    geometry: dict[str, Any]
    """The read-out."""
    trained: SavedRange
    """Where it was trained."""


def read_config(folder: Path) -> SavedConfig:
    """Read the configuration in the folder of a saved model.

    Raises:
        FormatError: The folder is not a saved model, or the file is damaged.
    """
    missing = [name for name in (CONFIG, WEIGHTS, CARD) if not (folder / name).is_file()]
    if missing:
        msg = f"{folder} is not a saved model: it lacks {missing[0]}."
        raise FormatError(msg)
    path = folder / CONFIG
    text = read_text(path, what="configuration", error=FormatError)
    content = parse_json(text, source=f"The configuration {path} is damaged and", error=FormatError)
    return _validated(SavedConfig, content, str(path))


def settings_of(config: SavedConfig, kind: type[_Settings], *, source: str) -> _Settings:
    """The model's own configuration.

    Args:
        config: What was read.
        kind: The class of the model's configurations.
        source: The file, for errors.

    Raises:
        FormatError: It is damaged.
    """
    return _validated(kind, with_conditions(config.model), source)


def _validated(kind: type[_Settings], content: Any, source: str) -> _Settings:
    try:
        return kind.model_validate(content)
    except ValidationError as error:
        raise FormatError(_explain(error, source)) from error


def _explain(error: ValidationError, source: str) -> str:
    problem = first_problem(error)
    if problem.kind == "unknown":
        return f"{source} is damaged, or of another version of caloforge: unknown key {problem.where!r}."
    got = "nothing" if problem.kind == "missing" else problem.got
    what = f"{source} is damaged: {problem.where}" if problem.place else f"{source} is damaged"
    return bad(what, got=got, expected=problem.expected)


def check_fingerprint(
    metadata: Mapping[str, str] | None, card: Mapping[str, Any], geometry: Geometry, path: Path
) -> None:
    """Make sure that weights are those of the model's geometry.

    Raises:
        FormatError: They are not.
    """
    stored = (metadata or {}).get(FINGERPRINT) or card.get(FINGERPRINT)
    if stored and stored != geometry.fingerprint:
        got, expected = f"weights of the geometry {clipped(stored, 40)}", geometry.fingerprint
        raise FormatError(bad(f"{path}", got=got, expected=f"{expected}, that of the model's geometry"))


def check_names(names: set[str], wanted: set[str], path: Path) -> None:
    """Make sure that a file has the tensors of a model.

    Raises:
        FormatError: It has not.
    """
    different = sorted(names ^ wanted)
    if different:
        verb = "lacks the" if different[0] in wanted else "has an unknown"
        tensor = f"tensor {clipped(different[0], 60)!r}"
        msg = f"{path} {verb} {tensor}: the weights are damaged, or of another model."
        raise FormatError(msg)


def damaged(folder: Path, error: Exception) -> FormatError:
    """What is said of a folder whose files cannot be read."""
    reason = clipped(str(error), 160).rstrip(".")
    return FormatError(f"The model in {folder} is damaged, or of another version of caloforge: {reason}.")
