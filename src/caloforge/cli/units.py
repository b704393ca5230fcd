"""The option for the unit of the hits in files of other programs."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["EnergyUnit", "reading_in"]

EnergyUnit = Annotated[
    str | None,
    typer.Option(
        "--energy-unit",
        metavar="MeV|GeV|keV",
        help="Unit of the hits in files of other programs; default: that of their format.",
    ),
]


@contextmanager
def reading_in(name: str | None) -> Iterator[None]:
    """Read files of other programs in a unit, by its name; None is that of their format.

    Raises:
        ConfigError: There is no such unit.
    """
    from caloforge.formats.sanity import assumed_unit, energy_unit

    with assumed_unit(None if name is None else energy_unit(name)):
        yield
