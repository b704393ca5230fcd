"""Whether a model can learn from showers: what they differ in must be a condition."""

from __future__ import annotations

from typing import TYPE_CHECKING

from caloforge.errors import DataError, bad
from caloforge.models import model_class
from caloforge.particles import particle_name

if TYPE_CHECKING:
    from caloforge.training.config import TrainConfig
    from caloforge.training.data import TrainingData

__all__ = ["check_suited"]


def check_suited(config: TrainConfig, data: TrainingData) -> None:
    """Make sure that angles and kinds of particles are conditions where showers differ in them.

    Raises:
        DataError: They are not.
    """
    _check_angles(config, data)
    _check_particles(config, data)


def _check_angles(config: TrainConfig, data: TrainingData) -> None:
    tilted = (abs(data.direction) > 1e-3).any(axis=1)
    if not tilted.any() or config.model.conditions.angles:
        return
    fix = _fix(config, "angles", "model.conditions.angles=true", "perpendicular ones")
    msg = f"{data.source_of(int(tilted.argmax()))} holds showers at angles: {fix}."
    raise DataError(msg)


def _check_particles(config: TrainConfig, data: TrainingData) -> None:
    declared, there = config.model.conditions.codes, data.particles
    if (len(there) == 1 and not declared) or set(there) <= set(declared):
        return
    names = [particle_name(code) for code in there]
    option = f"model.conditions.particles=[{','.join(names)}]"
    fix = _fix(config, "particles", option, "those of one particle")
    expected = f"those of {', '.join(config.model.conditions.particles) or 'one particle'}"
    what = ", ".join(path.name for path in data.sources)
    raise DataError(bad(what, got=f"showers of {' and '.join(names)}", expected=expected, fix=fix))


def _fix(config: TrainConfig, condition: str, option: str, others: str) -> str:
    if condition in model_class(config.model_name).knows:
        return f"train with {option}"
    return f"{config.model_name} knows no {condition}, so give {others}, or take another model"
