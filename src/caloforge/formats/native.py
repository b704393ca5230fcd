"""caloforge's own HDF5: flat arrays with offsets, compressed, chunked, streamable.

Layout: ``incident/{energy, theta, phi, pdg}``, ``hits/{offsets, energy}`` and ``hits/cells`` or
``hits/points``, ``hits/source`` where Geant4 and a model made them together, ``extras/*`` per shower;
attributes ``format``, ``version``, ``meta`` (JSON), ``geometry`` (JSON), ``provenance`` (JSON) and
``caloforge_checksums`` (JSON, see ``caloforge.formats.checksums``; files without it are read, too).
"""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from caloforge.errors import DataError, FormatError, GeometryError, bad, shown
from caloforge.formats.attributes import (
    check_fingerprint,
    damaged,
    geometry_attribute,
    integer_attribute,
    meta_attribute,
    object_attribute,
    says,
)
from caloforge.formats.base import Format, ShowerReader, ShowerWriter, check_stack, reading
from caloforge.formats.checks import check_incident, check_once, group, numbers, read_offsets
from caloforge.formats.checksums import Checksums, Pass, stored_sums, verify
from caloforge.formats.opening import opened
from caloforge.formats.output_file import OutputFile
from caloforge.geometry import check_cells
from caloforge.showers import Incident, ShowerMeta, Showers
from caloforge.signals import deferred

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from caloforge.geometry import Geometry

__all__ = ["NATIVE", "NativeReader", "NativeWriter"]

VERSION = 1
_HIT_CHUNK = 1 << 16
_ROW_CHUNK = 4096
_TEXTS = ("meta", "geometry", "provenance")
_INCIDENT = ("energy", "theta", "phi", "pdg")


class NativeReader(ShowerReader):
    """Reads caloforge's own files."""

    def __init__(self, path: Path, geometry: Geometry | None = None) -> None:
        self.path = path
        with opened(path) as self._file:
            self._load(geometry)

    def _load(self, geometry: Geometry | None) -> None:
        self._check_version()
        self.meta, stored = self._describe()
        self._provenance = object_attribute(self._file, "provenance")
        self._sums = stored_sums(self._file)
        self._pass = Pass(self._file, self._sums)
        self.geometry = stored if geometry is None else geometry
        if geometry and self.meta.fingerprint not in {"", geometry.fingerprint}:
            msg = (
                f"{self.path} was written for the geometry {shown(self.meta.geometry)} "
                f"({self.meta.fingerprint}), not for {shown(geometry.name)} ({geometry.fingerprint})."
            )
            raise GeometryError(msg)
        if geometry is not None and stored is not None:
            check_stack(self.path, stored, geometry)
        self._check_datasets()

    def _check_datasets(self) -> None:
        """Kinds and shapes of all datasets against each other, the offsets, and the particles.

        The datasets stay open: of many small files, to look them up again takes longer than to read them.
        """
        file = self._file
        there = set(group(file, "hits") or ())
        self._place = "points" if "points" in there else "cells"
        self._data = {"hits/energy": numbers(file, "hits/energy", (None,))}
        hits = len(self._data["hits/energy"])
        self._offsets = read_offsets(file, "hits/offsets", hits)
        for name in _INCIDENT:
            self._open(f"incident/{name}", (len(self),), integers=name == "pdg")
        if self._place == "points":
            self._open("hits/points", (hits, 3))
            if "cells" in there:
                what = f"hits of {file.filename}"
                raise FormatError(bad(what, got="points and cells", expected="one of the two"))
        else:
            self._open("hits/cells", (hits,), integers=True)
        if "source" in there:
            self._open("hits/source", (hits,), integers=True)
        self._extras = tuple(group(file, "extras") or ())
        for name in self._extras:
            self._open(f"extras/{name}", (len(self),))
        check_incident(self._incident, len(self))

    def _open(self, name: str, shape: tuple[int, ...], *, integers: bool = False) -> None:
        self._data[name] = numbers(self._file, name, shape, integers=integers)

    def _check_version(self) -> None:
        version = integer_attribute(self._file, "version", VERSION)
        if version > VERSION:
            msg = (
                f"{self.path} has version {version} of the format, "
                f"this caloforge reads up to {VERSION}: update caloforge."
            )
            raise FormatError(msg)

    def _describe(self) -> tuple[ShowerMeta, Geometry | None]:
        meta = meta_attribute(self._file, "meta")
        if meta is None:
            raise damaged(self._file, "meta", "it is missing")
        stored = geometry_attribute(self._file, "geometry")
        check_fingerprint(self._file, meta, stored)
        return meta, stored

    @property
    def provenance(self) -> dict[str, Any]:
        """How the file was made."""
        return dict(self._provenance)

    def __len__(self) -> int:
        return len(self._offsets) - 1

    def incident(self) -> Incident:
        """All incident particles of the file."""
        with reading(self.path, "incident particles"):
            return self._incident(slice(None))

    def _incident(self, rows: slice) -> Incident:
        return Incident(*(self._data[f"incident/{name}"][rows] for name in _INCIDENT))

    def read(self, start: int, stop: int) -> Showers:
        """Read showers ``start`` to ``stop`` (exclusive)."""
        with reading(self.path, f"showers {start} to {stop - 1}"):
            stored = self._stored(start, stop)
            self._pass.follow(start, stop, stored, last=len(self))
            showers = self._showers(start, stop, stored)
            if showers.cells is not None:
                self._check_cells(showers)
        return showers

    def verify(self) -> int:
        """Compare the stored content with its checksums, in one pass; how many the file has."""
        with reading(self.path, "its content"):
            return verify(self._file, self._sums, self._data)

    def _stored(self, start: int, stop: int) -> dict[str, NDArray[Any]]:
        """The rows of all datasets but the offsets, as they are stored."""
        hits = slice(int(self._offsets[start]), int(self._offsets[stop]))
        rows = slice(start, stop)
        return {n: data[hits if n.startswith("hits/") else rows] for n, data in self._data.items()}

    def _showers(self, start: int, stop: int, stored: Mapping[str, NDArray[Any]]) -> Showers:
        return Showers(
            incident=Incident(*(stored[f"incident/{name}"] for name in _INCIDENT)),
            offsets=self._offsets[start : stop + 1] - self._offsets[start],
            energy=stored["hits/energy"],
            points=stored.get("hits/points"),
            cells=stored.get("hits/cells"),
            meta=self.meta,
            extras={name: stored[f"extras/{name}"] for name in self._extras},
            source=stored.get("hits/source"),
        )

    def _check_cells(self, showers: Showers) -> None:
        cells = showers.cells if showers.cells is not None else np.empty(0, np.int32)
        if self.geometry is not None:
            check_cells(showers, self.geometry)
        elif len(cells) and cells.min() < 0:
            raise DataError(bad("cell indices", got=f"{cells.min()}", expected="0 or more"))
        check_once(cells, showers.offsets)

    def close(self) -> None:
        """Close the file."""
        self._file.close()


class NativeWriter(ShowerWriter):
    """Writes caloforge's own files, block by block."""

    @deferred()
    def __init__(
        self,
        path: Path,
        *,
        geometry: Geometry | None,
        force: bool = False,
        provenance: Mapping[str, Any] | None = None,
    ) -> None:
        path = Path(path)
        self.path = path
        self._geometry = geometry
        self._kind: tuple[ShowerMeta, str, list[str], str] | None = None
        self._output = OutputFile(path, force=force)
        self._file = self._output.h5
        self._file.attrs.update(
            {
                "format": "caloforge",
                "version": VERSION,
                "geometry": geometry.model_dump_json() if geometry else "",
                "provenance": json.dumps(dict(provenance or {})),
            }
        )
        self._sums = Checksums()
        self._column("hits/offsets", np.zeros(1, dtype=np.int64))

    @deferred()
    def append(self, showers: Showers) -> None:
        """Add a block of showers.

        Raises:
            FormatError: The block has another kind, geometry, scale or extras than the first one.
            OutputError: The disk is full or the file cannot be written.
        """
        self._check_kind(showers)
        self._write(showers)
        self._output.check()

    def _check_kind(self, showers: Showers) -> None:
        place = "points" if showers.cells is None else "cells"
        flagged = "without sources" if showers.source is None else "with sources"
        kind = (showers.meta, place, sorted(showers.extras), flagged)
        if self._kind is None:
            self._check_geometry(showers.meta)
            self._kind = kind
            self._file.attrs["meta"] = json.dumps(asdict(showers.meta))
        elif self._kind != kind:
            msg = f"{self.path} holds showers of {self._kind}; a block of {kind} does not fit."
            raise FormatError(msg)

    def _check_geometry(self, meta: ShowerMeta) -> None:
        geometry = self._geometry
        if geometry is not None and meta.fingerprint not in {"", geometry.fingerprint}:
            got = f"cells of {shown(meta.geometry)} ({meta.fingerprint})"
            expected = f"those of {shown(geometry.name)} ({geometry.fingerprint})"
            raise GeometryError(bad(f"showers for {self.path}", got=got, expected=expected))

    def _write(self, showers: Showers) -> None:
        for name in _INCIDENT:
            self._column(f"incident/{name}", getattr(showers.incident, name))
        start = self._file["hits/offsets"][-1]
        self._column("hits/offsets", showers.offsets[1:] + start)
        self._column("hits/energy", showers.energy)
        if showers.points is not None:
            self._column("hits/points", showers.points)
        if showers.cells is not None:
            self._column("hits/cells", showers.cells)
        if showers.source is not None:
            self._column("hits/source", showers.source)
        for name, values in showers.extras.items():
            self._column(f"extras/{name}", values)

    def _column(self, name: str, values: NDArray[Any]) -> None:
        if name not in self._file:
            chunk = _ROW_CHUNK if values.dtype == np.int64 or not name.startswith("hits") else _HIT_CHUNK
            self._file.create_dataset(
                name,
                shape=(0, *values.shape[1:]),
                maxshape=(None, *values.shape[1:]),
                dtype=values.dtype,
                chunks=(chunk, *values.shape[1:]),
                compression="gzip",
                compression_opts=1,
                shuffle=True,
            )
        data = self._file[name]
        before = len(data)
        data.resize(before + len(values), axis=0)
        stored = values.astype(data.dtype, copy=False)
        data[before:] = stored
        self._sums.add(name, stored)

    @deferred()
    def close(self) -> None:
        """Complete the file and give it its name."""
        self._file.require_group("extras")
        if self._kind is None:
            self.append(_no_showers())
        self._sums.store(self._file, _TEXTS)
        self._output.finish()

    def abort(self) -> None:
        """Remove what was written."""
        self._output.discard()


def _no_showers() -> Showers:
    energy, points = np.zeros(0, np.float32), np.zeros((0, 3), np.float32)
    return Showers(Incident.of(energy), np.zeros(1, np.int64), energy, points=points)


NATIVE = Format(
    name="native",
    description="caloforge's own flat HDF5",
    detect=lambda file: says(file, "format", "caloforge"),
    reader=NativeReader,
    writer=NativeWriter,
)
