"""Open a shower file of any registered format."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from caloforge.errors import ConfigError, FormatError, clipped, did_you_mean, shown
from caloforge.formats.base import reading
from caloforge.formats.calochallenge import CALOCHALLENGE
from caloforge.formats.caloclouds import CALOCLOUDS
from caloforge.formats.calogan import CALOGAN
from caloforge.formats.clic import CLIC
from caloforge.formats.ddml import DDML
from caloforge.formats.fine_grid import FINE_GRID
from caloforge.formats.hdf5 import shape_of
from caloforge.formats.ild import ILD
from caloforge.formats.lemurs import LEMURS
from caloforge.formats.native import NATIVE
from caloforge.formats.opening import open_hdf5
from caloforge.formats.par04 import PAR04
from caloforge.formats.sanity import unit_of_hits, warn_of_proportions
from caloforge.formats.showerdata import SHOWERDATA

if TYPE_CHECKING:
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
        FormatError: The file is missing, not HDF5, damaged, or of no registered format.
    """
    path = Path(path)
    with open_hdf5(path) as file, reading(path, "what it holds"):
        for candidate in FORMATS:
            if candidate.detect(file):
                return candidate
        found = _found(file)
    msg = f"{path} is HDF5 but of none of the formats {', '.join(f.name for f in FORMATS)}; it has {found}."
    raise FormatError(msg)


def _found(file: h5py.File) -> str:
    """The first few names in a file with the shapes of datasets."""
    names = sorted(file)
    shown = [f"{clipped(n, 20)} {clipped(str(shape_of(file, n) or ''), 24)}".strip() for n in names[:4]]
    return ", ".join([*shown, "..."] if len(names) > 4 else shown) or "no content"


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
