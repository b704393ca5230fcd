"""What the configurations of all models have."""

from __future__ import annotations

from caloforge.preprocessing.told import ConditionsConfig
from caloforge.records import Record

__all__ = ["ModelConfig"]


class ModelConfig(Record):
    """Base of the models' configurations; unknown keys are errors."""

    conditions: ConditionsConfig = ConditionsConfig()
    """What the model is told of a particle beside its energy."""
