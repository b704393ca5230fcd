"""From one file format to another, block by block: projecting, moving, turning cells into points."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from caloforge.errors import ConfigError, GeometryError, bad
from caloforge.formats.base import ShowerReader
from caloforge.formats.detect import format_named, open_showers
from caloforge.formats.native import NATIVE, NativeWriter
from caloforge.formats.saving import writer_of
from caloforge.geometry import cut_cells, place, project, to_points

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from caloforge.formats.base import Format, ShowerWriter
    from caloforge.geometry import Geometry
    from caloforge.showers import Showers

__all__ = ["Changes", "convert_file"]

BLOCK = 200

_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Changes:
    """What happens to showers on their way.

    Attributes:
        geometry: Read-out of the output; the input's when None.
        offset: Shift of all points [mm], after the rotation.
        rotation: Turn about the beam [rad]; the azimuth turns with it.
        azimuth: In place of it, the azimuth in which all particles lean in the end [rad].
        project: Whether points become cells although the format could hold points.
        spread: Whether cells become points although the format could hold cells.
        skip: Leave out so many showers at the start.
        count: Convert only so many showers.
        cut: Whether cells below the threshold of the output's geometry are left out although nothing was
            projected; for geometries that were asked for.
    """

    geometry: Geometry | None = None
    offset: tuple[float, float] = (0.0, 0.0)
    rotation: float = 0.0
    azimuth: float | None = None
    project: bool = False
    spread: bool = False
    skip: int = 0
    count: int | None = None
    cut: bool = False

    def rows(self, total: int) -> range:
        """The showers that are converted, out of ``total``."""
        first = min(self.skip, total)
        return range(first, total if self.count is None else min(first + self.count, total))

    @property
    def moves(self) -> bool:
        """Whether points change their places."""
        return self.offset != (0.0, 0.0) or self.rotation != 0.0 or self.azimuth is not None


def convert_file(
    source: Path | ShowerReader,
    target: Path,
    *,
    name: str,
    changes: Changes | None = None,
    source_geometry: Geometry | None = None,
    force: bool = False,
    advance: Callable[[int], None] = lambda _: None,
) -> int:
    """Write the showers of ``source`` to ``target`` in the format ``name``; memory stays flat.

    Points become cells when the format holds cells only, cells become points (their centres) when
    it holds points only; cells change their geometry by way of points. Cells below the threshold of a
    geometry that is given are left out.

    Args:
        source: Any readable file, or one that is open already.
        target: The file to write.
        name: Of the output's format.
        changes: What to do on the way; nothing by default.
        source_geometry: Geometry of the input, when the file does not tell; an open one has its own.
        force: Replace ``target``.
        advance: Called with the number of showers of every block.

    Returns:
        Number of showers.

    Raises:
        ConfigError: The format cannot be written, or the changes contradict each other.
        DataError: The showers cannot be changed that way.
        FormatError: The input is damaged.
        GeometryError: The geometry does not fit, or none is known.
        OutputError: The output exists or cannot be written.
    """
    wanted = changes or Changes()
    if wanted.rotation and wanted.azimuth is not None:
        raise ConfigError("Showers are turned by an angle or to one: leave --rotate or --azimuth out.")
    if wanted.project and wanted.spread:
        raise ConfigError("Showers become either cells or points: leave --project or --points out.")
    form = format_named(name)
    if isinstance(source, ShowerReader):
        return _convert(source, target, form, wanted, force=force, advance=advance)
    with open_showers(source, geometry=source_geometry) as reader:
        return _convert(reader, target, form, wanted, force=force, advance=advance)


def _convert(
    reader: ShowerReader,
    target: Path,
    form: Format,
    wanted: Changes,
    *,
    force: bool,
    advance: Callable[[int], None],
) -> int:
    geometry = wanted.geometry or reader.geometry
    rows = wanted.rows(len(reader))
    if wanted.skip and not rows:
        what = f"showers of {reader.path} to skip"
        raise ConfigError(bad(what, got=wanted.skip, expected=f"less than its {len(reader)}"))
    _warn_of_depth(reader.geometry, geometry)
    with _writer(form, target, geometry, reader, force=force) as writer:
        for block in reader.blocks(BLOCK, start=rows.start, stop=rows.stop):
            changed = _changed(block, reader.geometry, geometry, form, wanted)
            writer.append(_cut(changed, geometry) if wanted.cut else changed)
            advance(len(block))
    return len(rows)


def _writer(
    form: Format, target: Path, geometry: Geometry | None, reader: ShowerReader, *, force: bool
) -> ShowerWriter:
    if form is NATIVE:
        return NativeWriter(target, geometry=geometry, force=force, provenance=_provenance(reader))
    return writer_of(form)(target, geometry=geometry, force=force)


def _provenance(reader: ShowerReader) -> dict[str, Any]:
    plain = (str, int, float, dict, list, type(None))
    told = {key: v if isinstance(v, plain) else str(v) for key, v in reader.provenance.items()}
    return {"converted_from": reader.path.name, "source": told}


def _changed(
    showers: Showers, source: Geometry | None, target: Geometry | None, form: Format, changes: Changes
) -> Showers:
    if changes.moves:
        showers = place(showers, offset=changes.offset, rotation=changes.rotation, azimuth=changes.azimuth)
    to_points_first = changes.spread or not form.cells or _differs(showers, target)
    if showers.cells is not None and to_points_first:
        showers = to_points(showers, _known(source))
        to_cells = form.cells and not changes.spread
    else:
        to_cells = changes.project or not form.points
    return project(showers, _known(target)) if to_cells and showers.points is not None else showers


def _cut(showers: Showers, geometry: Geometry | None) -> Showers:
    return showers if showers.cells is None or geometry is None else cut_cells(showers, geometry)


def _differs(showers: Showers, geometry: Geometry | None) -> bool:
    return geometry is not None and showers.meta.fingerprint not in {"", geometry.fingerprint}


def _warn_of_depth(source: Geometry | None, target: Geometry | None) -> None:
    """Say that the showers were made in another stack of plates; cells of other sizes are no matter."""
    if source and target and abs(source.depth - target.depth) > 0.01 * source.depth:
        _logger.warning(
            "The showers are from %s, %.4g mm deep; in the layers of %s, %.4g mm deep, they are not what "
            "real showers would be.",
            source.name,
            source.depth,
            target.name,
            target.depth,
        )


def _known(geometry: Geometry | None) -> Geometry:
    if geometry is None:
        raise GeometryError("The file does not tell its geometry: name it (--geometry).")
    return geometry
