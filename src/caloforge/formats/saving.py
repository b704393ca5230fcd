"""Showers in memory to a file of any format."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from caloforge.errors import ConfigError, GeometryError, shown
from caloforge.formats.detect import FORMATS, format_named
from caloforge.geometry import geometry_names, load_geometry, project, to_points

if TYPE_CHECKING:
    from caloforge.formats.base import Format, WriterFactory
    from caloforge.geometry import Geometry
    from caloforge.showers import ShowerMeta, Showers

__all__ = ["save", "writer_of"]


def writer_of(form: Format) -> WriterFactory:
    """What writes files of a format.

    Raises:
        ConfigError: They can only be read.
    """
    if form.writer is None:
        known = ", ".join(f.name for f in FORMATS if f.writer is not None)
        msg = f"The format {form.name!r} can only be read: choose one of {known}."
        raise ConfigError(msg)
    return form.writer


def save(
    showers: Showers,
    path: str | Path,
    *,
    geometry: Geometry | None = None,
    name: str = "native",
    force: bool = False,
) -> None:
    """Write showers to a file: cells become points, or points cells, where the format holds only those.

    Args:
        showers: Of one geometry.
        path: The file.
        geometry: Theirs; by default that of its name in the catalogue.
        name: Of the format.
        force: Replace the file.

    Raises:
        ConfigError: There is no such format, or it is only read.
        FormatError: The format cannot hold these showers.
        GeometryError: The geometry is not theirs, or is needed and not given.
        OutputError: The file exists or cannot be written.
    """
    form = format_named(name)
    known = _checked(geometry, showers.meta) if geometry else _catalogued(showers.meta)
    with writer_of(form)(Path(path), geometry=known, force=force) as writer:
        writer.append(_suited(showers, form, known))


def _suited(showers: Showers, form: Format, geometry: Geometry | None) -> Showers:
    if showers.cells is None and not form.points:
        return project(showers, _required(geometry))
    if showers.points is None and not form.cells:
        return to_points(showers, _required(geometry))
    return showers


def _required(geometry: Geometry | None) -> Geometry:
    if geometry is None:
        raise GeometryError("The geometry of these showers is not known: give geometry=...")
    return geometry


def _checked(geometry: Geometry, meta: ShowerMeta) -> Geometry:
    if meta.fingerprint not in {"", geometry.fingerprint}:
        msg = (
            f"The showers are of the geometry {shown(meta.geometry)} ({meta.fingerprint}), "
            f"not of {shown(geometry.name)} ({geometry.fingerprint})."
        )
        raise GeometryError(msg)
    return geometry


def _catalogued(meta: ShowerMeta) -> Geometry | None:
    """The geometry of the catalogue that showers name, if it is theirs."""
    if meta.geometry not in geometry_names():
        return None
    found = load_geometry(meta.geometry)
    return found if meta.fingerprint in {"", found.fingerprint} else None
