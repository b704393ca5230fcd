"""What a model is told of the incident particle, as a configuration says it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from pydantic import BeforeValidator, Field, model_validator

from caloforge.errors import ConfigError
from caloforge.particles import particle_code, particle_name
from caloforge.records import Record, inconsistent

if TYPE_CHECKING:
    from typing import Self

__all__ = ["ConditionsConfig"]


def _name(particle: object) -> str:
    if not isinstance(particle, str | int):
        msg = "a particle's name or PDG code"
        raise ValueError(msg)  # noqa: TRY004 (pydantic tells of a ValueError)
    try:
        return particle_name(particle_code(particle))
    except ConfigError as error:
        raise ValueError(str(error)) from error


class ConditionsConfig(Record):
    """What a model is told of a particle beside its energy: the same keys for every model."""

    angles: bool = False
    """Whether the incidence angles are conditions."""
    particles: Annotated[tuple[Annotated[str, BeforeValidator(_name)], ...], Field(max_length=64)] = ()
    """The kinds of particles that the model tells apart, by name or PDG code; none: it knows one, whichever
    it is trained on."""

    @model_validator(mode="after")
    def _each_once(self) -> Self:
        if len(set(self.particles)) < len(self.particles):
            got, expected = f"particles {', '.join(self.particles)}", "every kind once"
            raise inconsistent(got=got, expected=expected)
        return self

    @property
    def codes(self) -> tuple[int, ...]:
        """The particles' codes."""
        return tuple(particle_code(name) for name in self.particles)
