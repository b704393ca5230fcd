"""``caloforge data``: showers of the package and Geant4's data sets."""

from __future__ import annotations

import shutil
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from caloforge.cli import complete
from caloforge.cli.common import print_table, progress
from caloforge.cli.helptext import help_text
from caloforge.errors import ConfigError, did_you_mean, shown
from caloforge.files import check_folder, check_output, replacing
from caloforge.names import DATA_SETS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["data"]

PHOTONS, GEANT4 = DATA_SETS

_FETCH = r"""Copy showers out of the package, or download Geant4's data sets.

Of Geant4's data only what the electromagnetic physics and FTFP_BERT read is downloaded (about
400 MB, 0.8 GB on disk). Interrupted, the same command goes on where it was.

\b
caloforge data fetch siw-ecal-photons --out geant4.h5
caloforge data fetch geant4
"""

data = typer.Typer(no_args_is_help=True)


@data.command("list")
def list_data() -> None:
    """List what can be fetched, and where it is now."""
    from caloforge.zoo.shipped import reference_path

    size = reference_path("siw-ecal").stat().st_size / 1e6
    photons = "Geant4 showers: 1,000 photons of 10 to 100 GeV in siw-ecal"
    tables = "Geant4's own data sets, which `caloforge simulate` reads"
    rows = [
        (PHOTONS, photons, f"{size:.1f} MB", "in the package"),
        (GEANT4, tables, "about 400 MB", _geant4_place()),
    ]
    print_table(("name", "what it is", "size", "where"), rows)


@data.command(help=help_text(_FETCH))
def fetch(
    name: Annotated[
        str,
        typer.Argument(
            metavar="NAME", help="One of `caloforge data list`.", autocompletion=complete.data_set
        ),
    ],
    *,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="PATH",
            help="File for showers, by default NAME.h5; folder for Geant4's data sets, by default the one "
            "where `caloforge simulate` looks.",
        ),
    ] = None,
    url: Annotated[
        str | None,
        typer.Option(metavar="URL", help="Where Geant4's archives are, instead of cern.ch; also file:///..."),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace a file.")] = False,
) -> None:
    """Bring one of ``DATA_SETS`` to this machine."""
    if name == PHOTONS:
        _copy_photons(out or Path(f"{PHOTONS}.h5"), force=force)
    elif name == GEANT4:
        _fetch_geant4(out, url)
    else:
        msg = f"There is no data set {shown(name)}: {did_you_mean(name, DATA_SETS)}."
        raise ConfigError(msg)


def _copy_photons(out: Path, *, force: bool) -> None:
    check_output(out, force=force)
    from caloforge.zoo.shipped import reference_path

    with replacing(out, force=force) as part:
        shutil.copyfile(reference_path("siw-ecal"), part)
    typer.echo(f"{out}: 1000 photons of 10 to 100 GeV in siw-ecal, simulated with Geant4")


def _fetch_geant4(out: Path | None, url: str | None) -> None:
    from caloforge.geant4.data import DATA_VARIABLE, own_folder
    from caloforge.geant4.datasets import URL
    from caloforge.geant4.download import fetch_data

    folder = out or own_folder()
    check_folder(folder)
    fetch_data(folder, url=url or URL, progress=_megabytes)
    typer.echo(f"Geant4's data sets are in {folder}")
    if out is not None:
        typer.echo(f"caloforge simulate finds them with --geant4-data {folder}, or {DATA_VARIABLE}={folder}")


@contextmanager
def _megabytes(what: str, total: int, done: int) -> Iterator[Callable[[int], None]]:
    """Progress in MB of what is counted in bytes."""
    bytes_done = done
    with progress(what, total // 10**6, done=done // 10**6, unit="MB") as advance:

        def count(n: int) -> None:
            nonlocal bytes_done
            before, bytes_done = bytes_done, bytes_done + n
            advance(bytes_done // 10**6 - before // 10**6)

        yield count


def _geant4_place() -> str:
    from caloforge.errors import MissingDependencyError
    from caloforge.geant4.data import find_data, require

    try:
        found = find_data()
        require(found, hadrons=True)
    except MissingDependencyError:
        return "not here"
    return str(found["G4EMLOW"].parent)
