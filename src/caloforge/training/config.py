"""Configuration of a training run: presets, files, overrides."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar, get_args, get_origin

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from caloforge.errors import ConfigError, bad, did_you_mean
from caloforge.models import ModelConfig, StageConfig, model_class
from caloforge.names import PRESETS, check_preset, preset_names

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = ["TrainConfig", "load_config", "preset_names"]

_Config = TypeVar("_Config", bound=BaseModel)


class TrainConfig(BaseModel):
    """All that determines a training run beside the data and the seed.

    Attributes:
        model_name: Registered model.
        model: Its configuration.
        training: Stage name to how it is trained.
        geometry: Read-out: a name of the catalogue or a file; "" takes the data file's own.
        symmetry: ``square`` turns and mirrors every shower at random, which is exact for square
            cells; ``none`` leaves them.
        log_steps: Steps between two lines of the log.
        checkpoint_steps: Steps between two checkpoints; a multiple of ``log_steps``.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())

    model_name: str
    model: ModelConfig
    training: dict[str, StageConfig]
    geometry: str = ""
    symmetry: Literal["square", "none"] = "square"
    log_steps: int = Field(default=100, gt=0)
    checkpoint_steps: int = Field(default=500, gt=0)

    def as_dict(self) -> dict[str, Any]:
        """Plain values, as a YAML file holds them."""
        dump = self.model_dump(mode="json", exclude={"model"})
        return {**dump, "model": self.model.model_dump(mode="json")}


def load_config(source: str | Path, overrides: Sequence[str] = ()) -> TrainConfig:
    """Load a preset (``caloclouds-2/small``) or a YAML file and apply ``key=value`` overrides.

    Raises:
        ConfigError: The preset or a key is unknown, or a value is out of range.
    """
    content = _read(source)
    for override in overrides:
        _apply(content, override)
    return parse_config(content, source=str(source))


def parse_config(content: dict[str, Any], *, source: str) -> TrainConfig:
    """Validate the content of a configuration.

    Raises:
        ConfigError: A key is unknown or a value is out of range.
    """
    config_class = model_class(str(content.get("model_name", ""))).config_class
    model = _validated(config_class, content.get("model", {}), source, place="model")
    config = _validated(TrainConfig, {**content, "model": model}, source)
    if config.checkpoint_steps % config.log_steps:
        what, got = f"checkpoint_steps in {source}", config.checkpoint_steps
        msg = bad(what, got=got, expected=f"a multiple of log_steps, which is {config.log_steps}")
        raise ConfigError(msg)
    return config


def _read(source: str | Path) -> dict[str, Any]:
    path = Path(source)
    check_preset(str(source))
    if path.suffix in {".yaml", ".yml"}:
        text = path.read_text(encoding="utf-8")
    else:
        text = (PRESETS / f"{source}.yaml").read_text(encoding="utf-8")
    try:
        content = yaml.safe_load(text)
    except yaml.YAMLError as error:
        msg = f"The configuration {source} is not valid YAML: {error}."
        raise ConfigError(msg) from error
    if not isinstance(content, dict):
        msg = f"The configuration {source} must be a mapping with model_name, model and training."
        raise ConfigError(msg)
    return content


def _apply(content: dict[str, Any], override: str) -> None:
    key, sign, value = override.partition("=")
    if not sign or not key:
        msg = f"The override {override!r} is not of the form key=value, e.g. training.shower_flow.steps=100."
        raise ConfigError(msg)
    *parents, last = key.split(".")
    place = content
    for parent in parents:
        place = place.setdefault(parent, {})
        if not isinstance(place, dict):
            msg = f"The override {override!r} reaches into {parent!r}, which is not a section."
            raise ConfigError(msg)
    try:
        place[last] = yaml.safe_load(value)
    except yaml.YAMLError as error:
        msg = f"The override {override!r} has a value that is not valid YAML: quote or correct it."
        raise ConfigError(msg) from error


def _validated(kind: type[_Config], content: Any, source: str, *, place: str = "") -> _Config:
    try:
        return kind.model_validate(content)
    except ValidationError as error:
        raise ConfigError(_explain(error, kind, source, place)) from error


def _explain(error: ValidationError, kind: type[BaseModel], source: str, start: str) -> str:
    first = error.errors()[0]
    path = [part for part in (start, *map(str, first["loc"])) if part]
    place = ".".join(path)
    if first["type"] == "extra_forbidden":
        return f"Unknown key {place!r} in {source}: {did_you_mean(path[-1], _siblings(kind, first['loc']))}."
    if first["type"] == "missing":
        return f"The configuration {source} lacks {place!r}: add it, or start from a preset."
    problem = first["msg"].replace("Input should", "it should").replace("String should", "it should")
    return f"{place} in {source}: got {first['input']!r:.60}, {problem}."


def _siblings(kind: Any, place: Sequence[int | str]) -> Iterable[str]:
    """The keys of the section that ``place`` is in."""
    for part in place[:-1]:
        is_table = get_origin(kind) is dict
        kind = get_args(kind)[1] if is_table else kind.model_fields[str(part)].annotation
    return list(kind.model_fields)
