"""Configuration of a training run: presets, files, overrides."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar, get_args, get_origin

from pydantic import ConfigDict, Field, ValidationError

from caloforge.errors import ConfigError, bad, did_you_mean, shown
from caloforge.markup import LARGEST_YAML, parse_yaml, read_text
from caloforge.models import ModelConfig, StageConfig, model_class
from caloforge.names import PRESETS, check_preset, preset_names
from caloforge.records import Record, first_problem

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = ["TrainConfig", "load_config", "preset_names"]

_Config = TypeVar("_Config", bound=Record)


class TrainConfig(Record):
    """All that determines a training run beside the data and the seed.

    >>> from caloforge.training import load_config
    >>> load_config("pyramid/smoke", ["training.cells.steps=20"])
    TrainConfig(pyramid, cells 20 steps, energies 50 steps)
    """

    model_config = ConfigDict(protected_namespaces=())

    model_name: str
    """Registered model."""
    model: ModelConfig
    """Its configuration."""
    training: dict[str, StageConfig]
    """Stage name to how it is trained."""
    geometry: str = ""
    """Read-out: a name of the catalogue or a file; "" takes the data file's own."""
    symmetry: Literal["square", "none"] = "square"
    """``square`` turns and mirrors every shower at random, which is exact for square cells; ``none`` leaves
    them."""
    log_steps: int = Field(default=100, ge=1, le=10**9)
    """Steps between two lines of the log."""
    checkpoint_steps: int = Field(default=500, ge=1, le=10**9)
    """Steps between two checkpoints; a multiple of ``log_steps``."""

    def __repr__(self) -> str:
        stages = (f"{name} {stage.steps} steps" for name, stage in self.training.items())
        return f"{type(self).__name__}({', '.join([self.model_name, *stages])})"

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
    name = content.get("model_name")
    if not isinstance(name, str):
        what, expected = f"model_name in {source}", "the name of a model, as in a preset"
        raise ConfigError(bad(what, got="nothing" if name is None else shown(name), expected=expected))
    config_class = model_class(name).config_class
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
        text = read_text(path, what="configuration", error=ConfigError, largest=LARGEST_YAML)
    else:
        text = (PRESETS / f"{source}.yaml").read_text(encoding="utf-8")
    content = parse_yaml(text, source=f"The configuration {source}", error=ConfigError)
    if not isinstance(content, dict):
        msg = f"The configuration {source} must be a mapping with model_name, model and training."
        raise ConfigError(msg)
    return content


def _apply(content: dict[str, Any], override: str) -> None:
    key, sign, value = override.partition("=")
    if not sign or not key:
        msg = (
            f"The override {shown(override)} is not of the form key=value, "
            "e.g. training.shower_flow.steps=100."
        )
        raise ConfigError(msg)
    *parents, last = key.split(".")
    place = content
    for parent in parents:
        place = place.setdefault(parent, {})
        if not isinstance(place, dict):
            msg = f"The override {shown(override)} reaches into {shown(parent)}, which is not a section."
            raise ConfigError(msg)
    place[last] = parse_yaml(value, source=f"The value of the override {shown(override)}", error=ConfigError)


def _validated(kind: type[_Config], content: Any, source: str, *, place: str = "") -> _Config:
    try:
        return kind.model_validate(content)
    except ValidationError as error:
        raise ConfigError(_explain(error, kind, source, place)) from error


def _explain(error: ValidationError, kind: type[Record], source: str, start: str) -> str:
    problem = first_problem(error)
    place = ".".join(part for part in (start, problem.where) if part)
    if problem.kind == "unknown":
        hint = did_you_mean(str(problem.place[-1]), _siblings(kind, problem.place))
        return f"Unknown key {place!r} in {source}: {hint}."
    if problem.kind == "missing":
        return f"The configuration {source} lacks {place!r}: add it, or start from a preset."
    return bad(f"{place or 'the configuration'} in {source}", got=problem.got, expected=problem.expected)


def _siblings(kind: Any, place: Sequence[int | str]) -> Iterable[str]:
    """The keys of the section that ``place`` is in."""
    for part in place[:-1]:
        fields = _section(kind)
        kind = fields[str(part)].annotation if str(part) in fields else _values(kind)
    return list(_section(kind))


def _section(kind: Any) -> dict[str, Any]:
    """The fields of a section, also of one that may be left out."""
    found = next((k for k in (kind, *get_args(kind)) if isinstance(k, type) and issubclass(k, Record)), None)
    return found.model_fields if found and get_origin(kind) is not dict else {}


def _values(kind: Any) -> Any:
    """What a table holds."""
    return get_args(kind)[-1] if get_args(kind) else kind
