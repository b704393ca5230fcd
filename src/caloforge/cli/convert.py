"""``caloforge convert``: from one file format to another."""

from __future__ import annotations

import math
from pathlib import Path  # noqa: TC003 (typer reads the annotations)
from typing import Annotated

import typer

from caloforge.cli import complete
from caloforge.cli.common import progress
from caloforge.cli.offsets import parse_offset
from caloforge.cli.units import Branches, EnergyUnit, reading_in
from caloforge.errors import ConfigError, bad
from caloforge.units import DEGREE

__all__ = ["convert"]


def convert(
    source: Annotated[Path, typer.Argument(metavar="IN", help="Shower file of any format.")],
    target: Annotated[Path, typer.Argument(metavar="OUT", help="File to write.")],
    *,
    format: Annotated[  # noqa: A002 (the option's name)
        str,
        typer.Option(
            metavar="NAME",
            help="native, calochallenge, showerdata, caloclouds, ddml, clic, ild, par04, lemurs, calogan, "
            "root or parquet.",
            autocompletion=complete.writable,
        ),
    ] = "native",
    geometry: Annotated[
        str | None,
        typer.Option(
            metavar="NAME|FILE",
            help="Read-out of the output; default: the input's.",
            autocompletion=complete.geometry,
        ),
    ] = None,
    input_geometry: Annotated[
        str | None,
        typer.Option(
            metavar="NAME|FILE",
            help="Read-out of the input, where the file does not tell.",
            autocompletion=complete.geometry,
        ),
    ] = None,
    offset: Annotated[str, typer.Option(metavar="X,Y", help="Shift all points, in mm.")] = "0,0",
    rotate: Annotated[
        float, typer.Option(metavar="DEGREES", help="Turn all points about the beam first.")
    ] = 0.0,
    azimuth: Annotated[
        float | None,
        typer.Option(
            metavar="DEGREES",
            help="Turn every shower's points so that all particles lean in this azimuth (90: to +y).",
        ),
    ] = None,
    project: Annotated[
        bool, typer.Option("--project", help="Turn points into read-out cells where points could stay.")
    ] = False,
    points: Annotated[
        bool, typer.Option("--points", help="Turn cells into points where cells could stay.")
    ] = False,
    skip: Annotated[
        int, typer.Option(min=0, metavar="N", help="Leave out so many showers at the start.")
    ] = 0,
    count: Annotated[int | None, typer.Option(min=1, metavar="N", help="Only so many showers.")] = None,
    energy_unit: EnergyUnit = None,
    branches: Branches = None,
    force: Annotated[bool, typer.Option("--force", help="Replace OUT.")] = False,
) -> None:
    r"""Convert a shower file to another format.

    Points become cells where the format holds cells only, and cells become points at their centres
    where it holds points only. Cells of one geometry come into another by way of points. Cells below
    the threshold of a geometry that is named are left out.

    \b
    caloforge convert siw_photons.h5 cells.h5 --project
    caloforge convert ds2.h5 out.hdf5 --format calochallenge
    caloforge convert dataset_2_1.hdf5 ds2.h5 --count 1000
    caloforge convert showers.h5 showers.root --format root
    caloforge convert showers.h5 moved.h5 --offset 1.5,-2 --rotate 90
    caloforge convert angled.h5 leaning.h5 --azimuth 90 --geometry siw-ecal-24x36x30 --project
    """
    from caloforge.formats import open_showers
    from caloforge.formats.convert import Changes, convert_file
    from caloforge.geometry import load_geometry

    wanted, known = (load_geometry(name) if name else None for name in (geometry, input_geometry))
    changes = Changes(
        geometry=wanted,
        offset=parse_offset(offset),
        rotation=_finite(rotate, "--rotate") * DEGREE,
        azimuth=None if azimuth is None else _finite(azimuth, "--azimuth") * DEGREE,
        project=project,
        spread=points,
        skip=skip,
        count=count,
        cut=bool(geometry or input_geometry),
    )
    with (
        reading_in(energy_unit, branches),
        open_showers(source, geometry=known) as reader,
        progress("converting", len(changes.rows(len(reader)))) as advance,
    ):
        done = convert_file(reader, target, name=format, changes=changes, force=force, advance=advance)
    typer.echo(f"{target}: {done} showers ({format})")


def _finite(angle: float, option: str) -> float:
    if not math.isfinite(angle):
        raise ConfigError(bad(option, got=f"{angle}", expected="a number of degrees"))
    return angle
