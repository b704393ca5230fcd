"""Where a model was trained, as it is stored: read without loading networks."""

from __future__ import annotations

import math
from typing import Annotated, Any

from pydantic import Field, field_validator, model_validator

from caloforge.particles import LARGEST_CODE
from caloforge.records import Record

__all__ = ["SavedRange", "with_conditions"]

_Energy = Annotated[float, Field(gt=0)]
_Code = Annotated[int, Field(ge=-LARGEST_CODE, le=LARGEST_CODE)]


class SavedRange(Record):
    """Where a model was trained, as it is stored."""

    energy: tuple[_Energy, _Energy]
    """Lowest and highest incident energy [MeV]."""
    theta: float = Field(ge=0, le=math.pi / 2)
    """Largest angle from the normal [rad]."""
    particles: Annotated[tuple[_Code, ...], Field(min_length=1, max_length=1024)]
    """Particle codes; files of before several were possible have the only one as ``pdg``."""

    @model_validator(mode="before")
    @classmethod
    def _older(cls, content: Any) -> Any:
        if not isinstance(content, dict) or "pdg" not in content or "particles" in content:
            return content
        rest = {key: value for key, value in content.items() if key != "pdg"}
        return {**rest, "particles": [content["pdg"]]}

    @field_validator("energy")
    @classmethod
    def _rising(cls, ends: tuple[float, float]) -> tuple[float, float]:
        if ends[1] < ends[0]:
            msg = "the lowest energy first"
            raise ValueError(msg)
        return ends


def with_conditions(settings: dict[str, Any]) -> dict[str, Any]:
    """A model's stored configuration with its ``conditions``; older ones have ``angles`` by themselves."""
    if "angles" not in settings or "conditions" in settings:
        return settings
    rest = {key: value for key, value in settings.items() if key != "angles"}
    return {**rest, "conditions": {"angles": settings["angles"]}}
