"""Configuration of a training run: presets, files, overrides."""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from caloforge.errors import ConfigError, did_you_mean
from caloforge.models import ModelConfig, StageConfig, model_class

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["TrainConfig", "load_config", "preset_names"]

_PRESETS = resources.files("caloforge") / "presets"


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
    symmetry: str = Field(default="square", pattern="^(square|none)$")
    log_steps: int = Field(default=100, gt=0)
    checkpoint_steps: int = Field(default=500, gt=0)

    def as_dict(self) -> dict[str, Any]:
        """Plain values, as a YAML file holds them."""
        dump = self.model_dump(mode="json", exclude={"model"})
        return {**dump, "model": self.model.model_dump(mode="json")}


def preset_names() -> list[str]:
    """All presets as ``model/preset``."""
    folders = [entry for entry in _PRESETS.iterdir() if entry.is_dir()]
    return sorted(f"{d.name}/{p.name.removesuffix('.yaml')}" for d in folders for p in d.iterdir())


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
    fields = dict(content)
    config_class = model_class(str(fields.get("model_name", ""))).config_class
    try:
        fields["model"] = config_class.model_validate(fields.get("model", {}))
        config = TrainConfig.model_validate(fields)
    except ValidationError as error:
        raise ConfigError(_explain(error, source)) from error
    if config.checkpoint_steps % config.log_steps:
        msg = f"{source}: checkpoint_steps must be a multiple of log_steps, got {config.checkpoint_steps}."
        raise ConfigError(msg)
    return config


def _read(source: str | Path) -> dict[str, Any]:
    path = Path(source)
    if path.suffix in {".yaml", ".yml"}:
        if not path.is_file():
            msg = f"There is no configuration file {path}."
            raise ConfigError(msg)
        text = path.read_text(encoding="utf-8")
    else:
        if str(source) not in preset_names():
            msg = f"Unknown preset {str(source)!r}: {did_you_mean(str(source), preset_names())}."
            raise ConfigError(msg)
        text = (_PRESETS / f"{source}.yaml").read_text(encoding="utf-8")
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


def _explain(error: ValidationError, source: str) -> str:
    first = error.errors()[0]
    place = ".".join(map(str, first["loc"]))
    if first["type"] == "extra_forbidden":
        return f"Unknown key {place!r} in {source}: see `caloforge models` or the preset's file for the keys."
    return f"The configuration {source} is wrong at {place}: {first['msg']} (got {first['input']!r})."
