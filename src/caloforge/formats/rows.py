"""Tables with a row for every shower: a particle in numbers, its hits in lists (ROOT trees, Parquet)."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from caloforge.disk import MOST_SHOWERS
from caloforge.errors import ConfigError, DataError, FormatError, GeometryError, bad
from caloforge.formats.attributes import Attributes, agreed_geometry, meta_attribute
from caloforge.formats.base import ShowerReader, reading
from caloforge.formats.branches import PARTICLE, find_sources, named
from caloforge.formats.checks import check_incident, check_once
from caloforge.formats.clouds import depth_of_layer
from caloforge.geometry import check_cells
from caloforge.showers import PHOTON, Incident, ShowerMeta, Showers

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from caloforge.formats.branches import Named, Source
    from caloforge.geometry import Geometry

__all__ = ["NOTE", "Lists", "RowReader", "is_table", "missing"]

NOTE = "caloforge"
"""Where our own tables keep what else is known: JSON of texts."""


class Lists(NamedTuple):
    """A column with a list for every shower, flat.

    Attributes:
        offsets: ``(B + 1,)``, from 0.
        values: ``(H,)``.
    """

    offsets: NDArray[np.int64]
    values: NDArray[Any]


class RowReader(ShowerReader):
    """Reads a table; a subclass opens it and reads columns of it."""

    def __init__(self, path: Path, geometry: Geometry | None = None) -> None:
        self.path = path
        self._open()
        try:
            with reading(path, "what it holds"):
                self._understand(geometry)
        except BaseException:
            self.close()
            raise

    @abstractmethod
    def _open(self) -> None:
        """Open the file."""

    @abstractmethod
    def _kinds(self) -> Mapping[str, bool]:
        """Whether a column has a list for every shower, or a number, by its name; others are left out."""

    @abstractmethod
    def _rows(self) -> int:
        """Count the rows."""

    @abstractmethod
    def _columns(self, names: Sequence[str], start: int, stop: int) -> dict[str, NDArray[Any] | Lists]:
        """Read some rows of columns; those of hits come as ``Lists``."""

    @abstractmethod
    def _texts(self) -> Mapping[str, str]:
        """What our own writers noted."""

    def __len__(self) -> int:
        return self._count

    def incident(self) -> Incident:
        """All incident particles of the file."""
        with reading(self.path, "incident particles"):
            return self._incident(slice(0, self._count))

    def read(self, start: int, stop: int) -> Showers:
        """Read showers ``start`` to ``stop`` (exclusive)."""
        stop = max(start, min(stop, self._count))
        with reading(self.path, f"showers {start} to {stop - 1}"):
            columns = self._columns(self._names(self._sources), start, stop)
            showers = self._showers(columns, stop - start)
            if showers.cells is not None:
                check_once(showers.cells, showers.offsets)
        if showers.cells is not None and self.geometry is not None:
            with reading(self.path, f"showers {start} to {stop - 1}"):
                check_cells(showers, self.geometry)
        return showers

    def _understand(self, geometry: Geometry | None) -> None:
        notes = Attributes(str(self.path), self._texts())
        self.foreign = not notes.attrs.get("caloforge_format")
        kinds = self._kinds()
        self._sources = find_sources(kinds, named())
        lacking = missing(self._sources)
        if lacking:
            got = ", ".join(list(kinds)[:6]) or "none"
            fix = "name the columns (--branches)"
            raise FormatError(bad(f"columns of {self.path}", got=got, expected=lacking, fix=fix))
        self._drop_second_places()
        if self.foreign:
            self.hit_unit = self._sources["energy"].unit
            self.incident_unit = self._sources["incident_energy"].unit
        self._count = self._rows()
        if self._count > MOST_SHOWERS:
            msg = bad(
                f"showers of {self.path}", got=f"{self._count:.4g}", expected=f"at most {MOST_SHOWERS:.0e}"
            )
            raise FormatError(msg)
        self.geometry = agreed_geometry(notes, self.path, geometry)  # type: ignore[arg-type, unused-ignore]
        self.meta = meta_attribute(notes, "caloforge_meta") or self._foreign_meta()
        if self._needs_layers() and self.geometry is None:
            what = "cells" if "cell" in self._sources else "layers but no depths"
            msg = f"{self.path} has {what}: name their geometry (--geometry)."
            raise GeometryError(msg)
        check_incident(self._incident, self._count)

    def _drop_second_places(self) -> None:
        """A hit has one place: a cell, else a depth, else a layer."""
        unused: tuple[str, ...] = ("layer",) if "z" in self._sources else ()
        unused = ("x", "y", "z", "layer") if "cell" in self._sources else unused
        self._sources = {name: source for name, source in self._sources.items() if name not in unused}

    def _needs_layers(self) -> bool:
        return "layer" in self._sources or "cell" in self._sources

    def _foreign_meta(self) -> ShowerMeta:
        geometry = self.geometry
        if geometry is None:
            return ShowerMeta()
        cells = "cell" in self._sources
        return ShowerMeta(geometry=geometry.name, fingerprint=geometry.fingerprint if cells else "")

    @staticmethod
    def _names(sources: Mapping[str, Source]) -> list[str]:
        return sorted({source.branch for source in sources.values() if source.branch})

    def _incident(self, rows: slice) -> Incident:
        start, stop, _ = rows.indices(self._count)
        sources = {name: source for name, source in self._sources.items() if name in PARTICLE}
        return self._particles(self._columns(self._names(sources), start, stop), stop - start)

    def _particles(self, columns: Mapping[str, NDArray[Any] | Lists], count: int) -> Incident:
        pdg = self.geometry.pdg if self.geometry is not None else PHOTON
        energy, theta, phi = (
            self._of_particle(n, columns, count) for n in ("incident_energy", "theta", "phi")
        )
        codes = self._of_particle("pdg", columns, count) if "pdg" in self._sources else np.full(count, pdg)
        return Incident(energy, theta, phi, codes)  # type: ignore[arg-type]

    def _of_particle(
        self, name: str, columns: Mapping[str, NDArray[Any] | Lists], count: int
    ) -> NDArray[np.float64]:
        source = self._sources.get(name)
        if source is None or not source.branch:
            value = 0.0 if source is None else source.value * source.unit
            return np.full(count, value)
        values = columns[source.branch]
        if isinstance(values, Lists) or len(values) != count:
            raise FormatError(bad(f"{source.branch!r}", got="another number of rows", expected=f"{count}"))
        if values.dtype.kind not in "iuf":
            raise DataError(bad(source.branch, got=f"values of type {values.dtype}", expected="numbers"))
        return values.astype(np.float64) * source.unit

    def _showers(self, columns: Mapping[str, NDArray[Any] | Lists], count: int) -> Showers:
        energy, offsets = self._of_hits("energy", columns, count)
        places = {n: self._of_hits(n, columns, count, like=offsets)[0] for n in self._places()}
        return Showers(
            incident=self._particles(columns, count),
            offsets=offsets,
            energy=self.in_mev(energy) if self.foreign else energy,
            points=None if "cell" in places else self._points(places),
            cells=places.get("cell"),
            meta=self.meta,
        )

    def _places(self) -> list[str]:
        return [name for name in ("cell", "x", "y", "z", "layer") if name in self._sources]

    def _points(self, places: Mapping[str, NDArray[Any]]) -> NDArray[Any]:
        if "z" in places:
            return np.column_stack([self._in_mm(places, axis) for axis in ("x", "y", "z")])
        if self.geometry is None:
            raise GeometryError("Layers need the geometry: name it (--geometry).")
        depth = depth_of_layer(places["layer"].astype(np.float64), self.geometry, self.path)
        return np.column_stack([self._in_mm(places, "x"), self._in_mm(places, "y"), depth])

    def _in_mm(self, places: Mapping[str, NDArray[Any]], axis: str) -> NDArray[Any]:
        unit = self._sources[axis].unit
        return places[axis] if unit == 1.0 else places[axis] * unit

    def _of_hits(
        self,
        name: str,
        columns: Mapping[str, NDArray[Any] | Lists],
        count: int,
        *,
        like: NDArray[np.int64] | None = None,
    ) -> tuple[NDArray[Any], NDArray[np.int64]]:
        """Values and offsets of a column of hits; as many in every shower as ``like`` says."""
        branch = self._sources[name].branch
        lists = columns[branch]
        if not isinstance(lists, Lists) or len(lists.offsets) != count + 1:
            raise FormatError(bad(f"{branch!r}", got="no lists", expected=f"{count} lists of hits"))
        if like is not None and not np.array_equal(lists.offsets, like):
            shower = int(np.flatnonzero(np.diff(lists.offsets) != np.diff(like))[0])
            got, expected = np.diff(lists.offsets)[shower], np.diff(like)[shower]
            what = f"hits in {branch!r} of shower {shower} of these {count}"
            raise FormatError(bad(what, got=str(got), expected=f"{expected}, as there are energies"))
        return lists.values, lists.offsets


def missing(sources: Mapping[str, Source]) -> str:
    """What a table lacks to be one of showers, in words; "" when it has all."""
    lacking = [word for name, word in _NEEDED.items() if name not in sources]
    if "cell" not in sources and not {"x", "y"} <= sources.keys():
        lacking.append("positions x and y, or cells")
    elif "cell" not in sources and not {"z", "layer"} & sources.keys():
        lacking.append("depths z, or layers")
    return ", ".join(lacking)


_NEEDED = {"incident_energy": "energies of the particles", "energy": "lists of the hits' energies"}


def is_table(columns: Mapping[str, bool], names: Named) -> bool:
    """Whether columns are those of a table of showers, as far as their names tell."""
    try:
        return not missing(find_sources(columns, names))
    except ConfigError:
        return False
