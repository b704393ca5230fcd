"""caloforge's own HDF5: flat arrays with offsets, compressed, chunked, streamable.

Layout: ``incident/{energy, theta, phi, pdg}``, ``hits/{offsets, energy}`` and ``hits/cells`` or
``hits/points``, ``extras/*`` per shower; attributes ``format``, ``version``, ``meta`` (JSON),
``geometry`` (JSON) and ``provenance`` (JSON).
"""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from caloforge.errors import FormatError, GeometryError
from caloforge.formats.base import (
    Format,
    ShowerReader,
    ShowerWriter,
    check_stack,
    missing_key,
    reading,
)
from caloforge.formats.hdf5 import open_hdf5
from caloforge.formats.output_file import OutputFile
from caloforge.geometry import Geometry, check_cells
from caloforge.showers import Incident, ShowerMeta, Showers
from caloforge.signals import deferred

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

__all__ = ["NATIVE", "NativeReader", "NativeWriter"]

VERSION = 1
_HIT_CHUNK = 1 << 16
_ROW_CHUNK = 4096
_INCIDENT = ("energy", "theta", "phi", "pdg")


class NativeReader(ShowerReader):
    """Reads caloforge's own files."""

    def __init__(self, path: Path, geometry: Geometry | None = None) -> None:
        self.path = path
        self._file = open_hdf5(path)
        try:
            self._load(geometry)
        except BaseException:
            self._file.close()
            raise

    def _load(self, geometry: Geometry | None) -> None:
        self.meta, stored = self._describe()
        self.geometry = stored if geometry is None else geometry
        if geometry and self.meta.fingerprint not in {"", geometry.fingerprint}:
            msg = (
                f"{self.path} was written for the geometry {self.meta.geometry!r} "
                f"({self.meta.fingerprint}), not for {geometry.name!r} ({geometry.fingerprint})."
            )
            raise GeometryError(msg)
        if geometry is not None and stored is not None:
            check_stack(self.path, stored, geometry)
        place = "hits/points" if "hits/points" in self._file else "hits/cells"
        for key in (*(f"incident/{name}" for name in _INCIDENT), "hits/offsets", "hits/energy", place):
            if key not in self._file:
                raise missing_key(self.path, key)
        with reading(self.path, "offsets"):
            self._offsets: NDArray[np.int64] = self._file["hits/offsets"][:]

    def _describe(self) -> tuple[ShowerMeta, Geometry | None]:
        attributes = self._file.attrs
        if attributes.get("version", VERSION) > VERSION:
            msg = (
                f"{self.path} has version {attributes['version']} of the format, "
                f"this caloforge reads up to {VERSION}: update caloforge."
            )
            raise FormatError(msg)
        try:
            meta = ShowerMeta(**json.loads(attributes["meta"]))
            text = attributes.get("geometry", "")
            return meta, Geometry.model_validate_json(text) if text else None
        except (KeyError, TypeError, ValueError) as error:
            msg = f"The attributes of {self.path} are damaged: {error}."
            raise FormatError(msg) from error

    @property
    def provenance(self) -> dict[str, Any]:
        """How the file was made."""
        return dict(json.loads(self._file.attrs.get("provenance", "{}")))

    def __len__(self) -> int:
        return len(self._offsets) - 1

    def incident(self) -> Incident:
        """All incident particles of the file."""
        with reading(self.path, "incident particles"):
            return self._incident(slice(None))

    def _incident(self, rows: slice) -> Incident:
        group = self._file["incident"]
        return Incident(*(group[name][rows] for name in _INCIDENT))

    def read(self, start: int, stop: int) -> Showers:
        """Read showers ``start`` to ``stop`` (exclusive)."""
        with reading(self.path, f"showers {start} to {stop - 1}"):
            showers = self._read(start, stop)
            if showers.cells is not None and self.geometry is not None:
                check_cells(showers, self.geometry)
        return showers

    def _read(self, start: int, stop: int) -> Showers:
        rows, hits = slice(start, stop), slice(int(self._offsets[start]), int(self._offsets[stop]))
        group = self._file["hits"]
        return Showers(
            incident=self._incident(rows),
            offsets=self._offsets[start : stop + 1] - self._offsets[start],
            energy=group["energy"][hits],
            points=group["points"][hits] if "points" in group else None,
            cells=group["cells"][hits] if "cells" in group else None,
            meta=self.meta,
            extras={name: data[rows] for name, data in self._file.get("extras", {}).items()},
        )

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
        self._kind: tuple[ShowerMeta, str, list[str]] | None = None
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
        kind = (showers.meta, "points" if showers.cells is None else "cells", sorted(showers.extras))
        if self._kind is None:
            self._kind = kind
            self._file.attrs["meta"] = json.dumps(asdict(showers.meta))
        elif self._kind != kind:
            msg = f"{self.path} holds showers of {self._kind}; a block of {kind} does not fit."
            raise FormatError(msg)

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
        data[before:] = values

    @deferred()
    def close(self) -> None:
        """Complete the file and give it its name."""
        self._file.require_group("extras")
        if self._kind is None:
            self.append(_no_showers())
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
    detect=lambda file: file.attrs.get("format", "") == "caloforge",
    reader=NativeReader,
    writer=NativeWriter,
)
