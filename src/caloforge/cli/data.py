"""``caloforge data``: showers of the package, Geant4's data sets and the public ones of the field."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Annotated

import typer

from caloforge.cli import complete
from caloforge.cli.common import megabytes, print_table
from caloforge.cli.helptext import help_text
from caloforge.errors import ConfigError, did_you_mean, shown
from caloforge.files import check_folder, check_output, replacing
from caloforge.names import DATA_SETS

__all__ = ["data"]

PHOTONS, GEANT4, *_ = DATA_SETS

_FETCH = r"""Copy showers out of the package, or download Geant4's data sets or a public data set of showers.

Of Geant4's data only what the electromagnetic physics and FTFP_BERT read is downloaded (about
400 MB, 0.8 GB on disk). Public data sets come from Zenodo, their MD5 sums are compared. Interrupted,
the same command goes on where it was.

\b
caloforge data fetch siw-ecal-photons --out geant4.h5
caloforge data fetch geant4
caloforge data fetch calochallenge-2 --file dataset_2_1.hdf5 --out calochallenge
"""

data = typer.Typer(no_args_is_help=True)


@data.command("list")
def list_data(
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="[NAME]",
            help="A public data set, whose files are listed.",
            autocompletion=complete.data_set,
            show_default=False,
        ),
    ] = None,
) -> None:
    """List what can be fetched, and where it is, or the files of one data set."""
    if name is None:
        print_table(("name", "what it is", "size", "opens with", "licence", "where"), _all_rows())
    else:
        _list_files(name)


def _all_rows() -> list[tuple[str, ...]]:
    from caloforge.public.records import RECORDS
    from caloforge.zoo.shipped import reference_path

    size = reference_path("siw-ecal").stat().st_size / 1e6
    photons = "Geant4 showers: 1,000 photons of 10 to 100 GeV in siw-ecal"
    tables = "Geant4's own data sets, which `caloforge simulate` reads"
    return [
        (PHOTONS, photons, f"{size:.1f} MB", "native", "Apache-2.0", "in the package"),
        (GEANT4, tables, "about 400 MB", "-", "Geant4's", _geant4_place()),
        *((r.name, r.title, r.size or "?", r.form, r.licence_text, r.place) for r in RECORDS),
    ]


def _list_files(name: str) -> None:
    """Name, size and sum of every file of a record."""
    from caloforge.public.fetch import files_of
    from caloforge.public.records import record_named

    record = record_named(name)
    known = files_of(record)
    rows = [(f.name, f"{f.size / 1e6:,.1f} MB" if f.size else "?", f.md5) for f in known.files]
    title = f"{record.title} ({record.place}, licence: {known.licence or record.licence_text})"
    print_table(("file", "size", "MD5"), rows, title=title)


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
            help="File for showers of the package, by default NAME.h5; folder for others, by default NAME, "
            "and for Geant4's data sets the one where `caloforge simulate` looks.",
        ),
    ] = None,
    file: Annotated[
        list[str] | None,
        typer.Option(metavar="FILE", help="Only this file of a public data set; may be repeated."),
    ] = None,
    mirror: Annotated[
        str | None,
        typer.Option(
            "--mirror",
            "--url",
            metavar="URL",
            help="Where the files are, instead of Zenodo or cern.ch; also file:///...",
        ),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace a file.")] = False,
) -> None:
    """Bring one of ``DATA_SETS`` to this machine."""
    if name not in DATA_SETS:
        msg = f"There is no data set {shown(name)}: {did_you_mean(name, DATA_SETS)}."
        raise ConfigError(msg)
    if file and name in {PHOTONS, GEANT4}:
        msg = f"{name} has no files to choose from: leave --file out."
        raise ConfigError(msg)
    if name == PHOTONS:
        _copy_photons(out or Path(f"{PHOTONS}.h5"), force=force)
    elif name == GEANT4:
        _fetch_geant4(out, mirror)
    else:
        _fetch_public(name, out or Path(name), file or [], mirror, force=force)


def _fetch_public(name: str, folder: Path, names: list[str], mirror: str | None, *, force: bool) -> None:
    from caloforge.public.fetch import choose_files, fetch_files, files_of
    from caloforge.public.records import record_named

    record = record_named(name)
    check_folder(folder)
    known = files_of(record)
    files = choose_files(record, known.files, names)
    paths = fetch_files(record, files, folder, progress=megabytes, mirror=mirror, force=force)
    for path in paths:
        typer.echo(f"{path}: {path.stat().st_size / 1e6:,.1f} MB, MD5 as the record says")
    typer.echo(f"Cite {record.place}, licence: {known.licence or record.licence_text}. What is in it:")
    typer.echo(" ".join(filter(None, (f"caloforge inspect {paths[0]}", record.options))))


def _copy_photons(out: Path, *, force: bool) -> None:
    check_output(out, force=force)
    from caloforge.zoo.shipped import reference_path

    with replacing(out, force=force) as part:
        shutil.copyfile(reference_path("siw-ecal"), part)
    typer.echo(f"{out}: 1000 photons of 10 to 100 GeV in siw-ecal, simulated with Geant4")


def _fetch_geant4(out: Path | None, mirror: str | None) -> None:
    from caloforge.geant4.data import DATA_VARIABLE, own_folder
    from caloforge.geant4.datasets import URL
    from caloforge.geant4.download import fetch_data

    folder = out or own_folder()
    check_folder(folder)
    fetch_data(folder, url=mirror or URL, progress=megabytes)
    typer.echo(f"Geant4's data sets are in {folder}")
    if out is not None:
        typer.echo(f"caloforge simulate finds them with --geant4-data {folder}, or {DATA_VARIABLE}={folder}")


def _geant4_place() -> str:
    from caloforge.errors import MissingDependencyError
    from caloforge.geant4.data import find_data, require

    try:
        found = find_data()
        require(found, hadrons=True)
    except MissingDependencyError:
        return "not here"
    return str(found["G4EMLOW"].parent)
