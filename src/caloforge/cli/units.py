"""The options for the units and columns of files of other programs."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Branches", "EnergyUnit", "reading_in"]

Branches = Annotated[
    str | None,
    typer.Option(
        "--branches",
        metavar="NAME=BRANCH[:UNIT],...",
        help="What columns of ROOT and Parquet files mean, as in incident_energy=Etrue:GeV,energy=hit_E.",
    ),
]

EnergyUnit = Annotated[
    str | None,
    typer.Option(
        "--energy-unit",
        metavar="MeV|GeV|keV",
        help="Unit of the hits in files of other programs; default: that of their format.",
    ),
]


@contextmanager
def reading_in(name: str | None, branches: str | None = None) -> Iterator[None]:
    """Read files of other programs in a unit, by its name; None is that of their format.

    Args:
        name: Of the unit of the hits.
        branches: What columns of ROOT and Parquet files mean.

    Raises:
        ConfigError: There is no such unit, or ``branches`` cannot be understood.
    """
    from caloforge.formats.branches import assumed_names, parse_names
    from caloforge.formats.sanity import assumed_unit, energy_unit

    with (
        assumed_unit(None if name is None else energy_unit(name)),
        assumed_names(parse_names(branches or "")),
    ):
        yield
