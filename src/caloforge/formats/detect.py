"""Open a shower file of any registered format."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from caloforge.errors import ConfigError, FormatError, clipped, did_you_mean, shown
from caloforge.formats.base import reading
from caloforge.formats.calochallenge import CALOCHALLENGE
from caloforge.formats.caloclouds import CALOCLOUDS
from caloforge.formats.calogan import CALOGAN
from caloforge.formats.clic import CLIC
from caloforge.formats.containers import few, kind_of_file, open_any
from caloforge.formats.ddml import DDML
from caloforge.formats.edm4hep import EDM4HEP
from caloforge.formats.fine_grid import FINE_GRID
from caloforge.formats.geant4_b4 import GEANT4_B4
from caloforge.formats.hdf5 import shape_of
from caloforge.formats.ild import ILD
from caloforge.formats.lemurs import LEMURS
from caloforge.formats.native import NATIVE
from caloforge.formats.par04 import PAR04
from caloforge.formats.parquet import PARQUET, what_parquet_holds
from caloforge.formats.root import ROOT, what_root_holds
from caloforge.formats.sanity import unit_of_hits, warn_of_proportions
from caloforge.formats.showerdata import SHOWERDATA

if TYPE_CHECKING:
    from collections.abc import Callable

    import h5py

    from caloforge.formats.base import Format, ShowerReader
    from caloforge.geometry import Geometry

__all__ = ["FORMATS", "detect_format", "format_named", "open_showers"]

# CaloClouds before DDML: both have ``events``, DDML's test is the weaker one.
FORMATS: tuple[Format, ...] = (
    NATIVE,
    FINE_GRID,
    CALOCHALLENGE,
    SHOWERDATA,
    CALOCLOUDS,
    DDML,
    CLIC,
    ILD,
    PAR04,
    LEMURS,
    CALOGAN,
    # ROOT last: its test is the weakest of the ROOT files
    EDM4HEP,
    GEANT4_B4,
    ROOT,
    PARQUET,
)


def format_named(name: str) -> Format:
    """Look a format up.

    Raises:
        ConfigError: The name is unknown.
    """
    formats = {f.name: f for f in FORMATS}
    if name not in formats:
        msg = f"Unknown file format {shown(name)}: {did_you_mean(name, formats)}."
        raise ConfigError(msg)
    return formats[name]


def detect_format(path: str | Path) -> Format:
    """Recognise the format of a file by its content.

    Raises:
        FormatError: The file is missing, not HDF5, ROOT or Parquet, damaged, or of no registered format.
        MissingDependencyError: The package that reads such files is not installed.
    """
    path = Path(path)
    kind = kind_of_file(path)
    candidates = [f for f in FORMATS if f.container == kind]
    with open_any(path, kind) as file, reading(path, "what it holds"):
        for candidate in candidates:
            if candidate.detect(file):
                return candidate
        found = _FOUND[kind](file)
    known = ", ".join(f.name for f in candidates)
    msg = f"{path} is {kind} but of none of the formats {known}; it has {found}."
    raise FormatError(msg)


def _found(file: h5py.File) -> str:
    """The first few names in an HDF5 file with the shapes of datasets."""
    return few(f"{clipped(n, 20)} {clipped(str(shape_of(file, n) or ''), 24)}".strip() for n in sorted(file))


_FOUND: dict[str, Callable[[Any], str]] = {
    "HDF5": _found,
    "ROOT": what_root_holds,
    "Parquet": what_parquet_holds,
}


def open_showers(path: str | Path, *, geometry: Geometry | None = None) -> ShowerReader:
    """Open a shower file of any registered format for streaming.

    A warning says when its first showers are out of all proportion.

    Args:
        path: The file.
        geometry: Overrides the geometry that the file names or implies.

    Raises:
        DataError: Its particles cannot be right.
        FormatError: The file is missing, damaged or of no registered format.
        GeometryError: The file was written for another geometry.
    """
    path = Path(path)
    reader = detect_format(path).reader(path, geometry)
    reader.hit_unit = unit_of_hits(reader)
    try:
        warn_of_proportions(reader)
    except BaseException:
        reader.close()
        raise
    return reader
