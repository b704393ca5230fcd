"""``caloforge show``: the event display."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from caloforge.cli import complete
from caloforge.cli.units import EnergyUnit, reading_in
from caloforge.errors import ConfigError, DataError, GeometryError, bad
from caloforge.optional import REPORT, check_installed

if TYPE_CHECKING:
    from caloforge.geometry import Geometry
    from caloforge.report.scene import Panel

__all__ = ["show"]


def show(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Shower file of any format.")],
    *,
    event: Annotated[int, typer.Option(min=0, metavar="N", help="Number of the shower, from 0.")] = 0,
    out: Annotated[
        Path, typer.Option(metavar="FILE", help="File to write: .html to turn and zoom, .png, .pdf or .svg.")
    ] = Path("event.html"),
    compare: Annotated[
        list[Path] | None,
        typer.Option(metavar="FILE", help="The same shower of another file beside it; repeat for more."),
    ] = None,
    label: Annotated[
        list[str] | None,
        typer.Option(metavar="TEXT", help="Names of the files, in order. Default: the file names."),
    ] = None,
    energy_cut: Annotated[
        float, typer.Option(min=0, metavar="MeV", help="Leave out hits with less energy.")
    ] = 0.0,
    cells: Annotated[bool, typer.Option("--cells", help="Show points as read-out cells.")] = False,
    geometry: Annotated[
        str | None,
        typer.Option(
            metavar="NAME|FILE",
            help="Read-out, where the file does not tell.",
            autocompletion=complete.geometry,
        ),
    ] = None,
    energy_unit: EnergyUnit = None,
    dpi: Annotated[int, typer.Option(min=30, max=1200, metavar="N", help="Dots per inch of a PNG.")] = 150,
    force: Annotated[bool, typer.Option("--force", help="Replace the file.")] = False,
) -> None:
    r"""Draw a shower in its detector, to turn in a browser or as a picture.

    The page needs no other file and no network.

    \b
    caloforge show showers.h5 --event 3 --out event.html
    caloforge show geant4.h5 --compare generated.h5 --event 3 --cells \
      --out event.png
    """
    files = _checked(file, compare or [], label or [], out, force=force)
    check_installed(*REPORT, extra="report", what="Pictures of showers")
    from caloforge.geometry import load_geometry
    from caloforge.report.display import save_display

    known = load_geometry(geometry) if geometry else None
    with reading_in(energy_unit):
        panels = [_panel(*pair, event, known, cells=cells) for pair in files]
    save_display(panels, out, energy_cut=energy_cut, dpi=dpi, force=force)
    typer.echo(f"event {event}: {out}")


def _checked(
    file: Path, others: list[Path], labels: list[str], out: Path, *, force: bool
) -> list[tuple[str, Path]]:
    """Labels and files; what is wrong with the options is said before anything large is imported."""
    from caloforge.report.endings import check_ending

    check_ending(out)
    files = [file, *others]
    names = _labels(files, labels)
    from caloforge.files import check_output

    check_output(out, force=force)
    return list(zip(names, files, strict=True))


def _labels(files: list[Path], given: list[str]) -> list[str]:
    if given and len(given) != len(files):
        raise ConfigError(
            bad("--label", got=f"{len(given)} labels", expected=f"one for each of {len(files)}")
        )
    return given or [file.stem for file in files]


def _panel(label: str, file: Path, event: int, known: Geometry | None, *, cells: bool) -> Panel:
    from caloforge.formats import open_showers
    from caloforge.geometry import project

    with open_showers(file, geometry=known) as reader:
        if event >= len(reader):
            raise DataError(bad(f"event of {file}", got=event, expected=f"0 to {len(reader) - 1}"))
        if reader.geometry is None:
            msg = f"{file} does not tell its geometry: name it (--geometry)."
            raise GeometryError(msg)
        shower = reader.read(event, event + 1)
        if cells and shower.points is not None:
            shower = project(shower, reader.geometry)
        return label, shower, reader.geometry
