"""What is wrong with the points of a sweep is told before the first one is trained."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from caloforge.errors import ConfigError, did_you_mean, shown
from caloforge.models import build_model
from caloforge.training import load_config
from caloforge.training.data import read_out_of
from caloforge.training.trainer import check_stages

if TYPE_CHECKING:
    from collections.abc import Iterable

    from caloforge.models import GenerativeModel
    from caloforge.sweeps.record import Sweep
    from caloforge.training import TrainConfig

__all__ = ["check_points", "config_of"]


def config_of(sweep: Sweep, number: int) -> TrainConfig:
    """The configuration of a point.

    Raises:
        ConfigError: A key or a value is wrong.
    """
    point, request = sweep.points[number], sweep.request
    return load_config(request.preset, (*request.overrides, *point.overrides))


def check_points(sweep: Sweep, numbers: Iterable[int]) -> None:
    """Make sure that points have a configuration that fits their model.

    Raises:
        ConfigError: A key or a value is wrong, or there is no such stage.
        GeometryError: There is no such read-out.
    """
    seen: set[str] = set()
    for number in numbers:
        config = config_of(sweep, number)
        told = config.as_dict()
        sections = {name: sorted(section["turns"]) for name, section in told["training"].items()}
        kind = json.dumps([told["model"], told["geometry"], sections], sort_keys=True)
        if kind not in seen:  # models of one shape differ in their training alone
            seen.add(kind)
            _check_model(sweep, config)


def _check_model(sweep: Sweep, config: TrainConfig) -> None:
    geometry = read_out_of(config.geometry, Path(sweep.request.data[0]))
    model = build_model(config.model_name, config.model, geometry, seed=0)
    _check_sections(sweep, model)
    check_stages(model, config)


def _check_sections(sweep: Sweep, model: GenerativeModel) -> None:
    """A section of no stage is a slip in a key."""
    known = list(dict.fromkeys(stage.settings for stage in model.stages()))
    overrides = [override.partition("=")[0] for override in sweep.request.overrides]
    for key in (*sweep.keys, *overrides):
        section, _, rest = key.removeprefix("training.").partition(".")
        if key.startswith("training.") and rest and section not in known:
            msg = f"Unknown stage {shown(section)} in {key}: {did_you_mean(section, known)}."
            raise ConfigError(msg)
