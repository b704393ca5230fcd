"""What the HDF5 formats of others share: opening, reading in slices, writing in blocks.

Our own writers add the attributes ``caloforge_format``, ``caloforge_geometry``, ``caloforge_meta`` and
``caloforge_checksums`` (JSON) and the group ``caloforge/{theta, phi, pdg}``, which other programs do not
look at, so that nothing is lost when a file comes back. Files of others that do not tell directions are
taken as particles at normal incidence.
"""

from __future__ import annotations

import json
import math
from abc import abstractmethod
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, ClassVar

import h5py
import numpy as np

from caloforge.errors import FormatError
from caloforge.formats.attributes import agreed_geometry, meta_attribute, text_attribute
from caloforge.formats.base import ShowerReader, ShowerWriter, reading, required_geometry
from caloforge.formats.checks import check_count, check_incident, group, numbers
from caloforge.formats.checksums import Checksums, Pass, stored_sums, verify
from caloforge.formats.opening import opened
from caloforge.formats.output_file import OutputFile
from caloforge.showers import Incident, ShowerMeta, Showers
from caloforge.signals import deferred
from caloforge.units import GEV

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from caloforge.geometry import Geometry

__all__ = ["Hdf5Reader", "Hdf5Writer", "gev_column", "shape_of", "voxel_rows", "written_as"]

_SIDE = ("theta", "phi", "pdg")
_TEXTS = ("caloforge_format", "caloforge_geometry", "caloforge_meta")
_SLICE_BYTES = 16_000_000
_LARGEST_SLICE_BYTES = 96_000_000
_CHUNK_BYTES = 500_000
_MOST_CHUNK_ROWS = 50


class Hdf5Reader(ShowerReader):
    """A reader of someone else's HDF5 layout.

    A subclass names its ``keys``, those of the showers and of the incident energies, checks its datasets
    and says how rows become hits.
    """

    keys: tuple[str, ...]
    geometry: Geometry

    def __init__(self, path: Path, geometry: Geometry | None = None) -> None:
        self.path = path
        with opened(path) as self._file:
            self.foreign = not text_attribute(self._file, "caloforge_format")
            self._count = self._check()
            check_count(self._file, self._count)
            self._side = self._find_side()
            self.geometry = self._find_geometry(geometry)
            self.meta = meta_attribute(self._file, "caloforge_meta") or self._foreign_meta()
            self._sums = stored_sums(self._file)
            self._pass = Pass(self._file, self._sums)
            check_incident(self._incident, self._count)

    @abstractmethod
    def _check(self) -> int:
        """Check kinds and shapes of the datasets; the number of showers."""

    @abstractmethod
    def _find_geometry(self, given: Geometry | None) -> Geometry:
        """The geometry that was given, stored or is implied by the shapes."""

    def _foreign_meta(self) -> ShowerMeta:
        """What the hits mean when the file was not written by caloforge: cells of its geometry, uncut."""
        return ShowerMeta(
            geometry=self.geometry.name,
            fingerprint=self.geometry.fingerprint,
            sampling_fraction=self.geometry.sampling_fraction,
        )

    @abstractmethod
    def _energies(self, rows: slice) -> NDArray[np.float64]:
        """Incident energies [MeV]."""

    @abstractmethod
    def _read_slice(self, start: int, stop: int) -> Showers:
        """Read a few showers at once."""

    @property
    def provenance(self) -> dict[str, Any]:
        """The attributes of the file, without those that hold the geometry."""
        with reading(self.path, "its attributes"):
            return {k: v for k, v in self._file.attrs.items() if not k.startswith("caloforge_")}

    def __len__(self) -> int:
        return self._count

    def incident(self) -> Incident:
        """All incident particles of the file."""
        with reading(self.path, "incident particles"):
            return self._incident(slice(None))

    def read(self, start: int, stop: int) -> Showers:
        """Read showers ``start`` to ``stop`` (exclusive)."""
        stop = min(stop, len(self))
        step = self._slice_rows()
        firsts = range(start, stop, step) if start < stop else [start]
        with reading(self.path, f"showers {start} to {stop - 1}"):
            parts = [self._read_slice(first, min(first + step, stop)) for first in firsts]
        return parts[0] if len(parts) == 1 else Showers.concatenate(parts)

    def verify(self) -> int:
        """Compare the stored content with its checksums, in one pass; how many the file has."""
        with reading(self.path, "its content"):
            return verify(self._file, self._sums)

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _slice_rows(self) -> int:
        data = self._file[self.keys[0]]
        row_bytes = data.dtype.itemsize * math.prod(data.shape[1:])
        rows = max(1, _SLICE_BYTES // max(row_bytes, 1))
        chunk = data.chunks[0] if data.chunks else 1
        if chunk > rows:  # whole chunks are unpacked once only, unless they are huge
            return int(chunk if chunk * row_bytes <= _LARGEST_SLICE_BYTES else rows)
        return int(rows // chunk * chunk)

    def _column(self, key: str, rows: slice) -> NDArray[Any]:
        """One number a shower, stored as (N,) or (N, 1)."""
        values: NDArray[Any] = self._file[key][rows].reshape(-1)
        return values

    def _incident(self, rows: slice) -> Incident:
        side = {name: values[rows] for name, values in self._side.items()}
        told = {} if len(side) == len(_SIDE) else self._told(rows)
        return Incident.of(self._energies(rows), **{"pdg": self.geometry.pdg, **told, **side})

    def _told(self, rows: slice) -> dict[str, Any]:  # noqa: ARG002 (for those that tell)
        """What the format tells of directions and kinds: ``theta``, ``phi`` [rad] and ``pdg``."""
        return {}

    def _find_side(self) -> dict[str, h5py.Dataset]:
        side = group(self._file, "caloforge") or ()
        names = [name for name in _SIDE if name in side]
        return {
            name: numbers(self._file, f"caloforge/{name}", (self._count,), integers=name == "pdg")
            for name in names
        }

    def _stored_geometry(self, given: Geometry | None) -> Geometry | None:
        return agreed_geometry(self._file, self.path, given)


class Hdf5Writer(ShowerWriter):
    """A writer of someone else's HDF5 layout, block by block into growing datasets.

    Subclasses say in ``_write`` what a block becomes.
    """

    format_name: ClassVar[str]

    @deferred()
    def __init__(self, path: Path, *, geometry: Geometry | None, force: bool = False) -> None:
        self.path = path
        self.geometry = required_geometry(path, geometry)
        self._check_geometry()
        self._meta: ShowerMeta | None = None
        self._output = OutputFile(path, force=force)
        self._file = self._output.h5
        self._sums = Checksums()
        self._file.attrs["caloforge_format"] = self.format_name
        self._file.attrs["caloforge_geometry"] = self.geometry.model_dump_json()
        self._start()

    def _check_geometry(self) -> None:
        """Refuse a geometry whose showers the format cannot hold, before anything is written.

        Raises:
            GeometryError: It is one.
        """

    @abstractmethod
    def _start(self) -> None:
        """Create the datasets."""

    @abstractmethod
    def _write(self, showers: Showers) -> None:
        """Add a block."""

    @deferred()
    def append(self, showers: Showers) -> None:
        """Add a block of showers.

        Raises:
            DataError: The showers are not of the kind that the format holds.
            FormatError: The block is of another geometry or scale than the first one.
            OutputError: The disk is full or the file cannot be written.
        """
        if self._meta is None:
            self._meta = showers.meta
            self._file.attrs["caloforge_meta"] = json.dumps(asdict(showers.meta))
        elif self._meta != showers.meta:
            msg = f"{self.path} holds showers of {self._meta}; a block of {showers.meta} does not fit."
            raise FormatError(msg)
        self._write(showers)
        self._output.check()

    @deferred()
    def close(self) -> None:
        """Complete the file and give it its name."""
        self._sums.store(self._file, _TEXTS)
        self._output.finish()

    def abort(self) -> None:
        """Remove what was written."""
        self._output.discard()

    def _create(
        self, name: str, *shape: int, chunk: int | tuple[int, ...], dtype: object = np.float32, **options: Any
    ) -> None:
        packing = {"compression": "gzip", "compression_opts": 4, "shuffle": True}
        self._file.create_dataset(
            name,
            shape=(0, *shape),
            maxshape=(None,) * (1 + len(shape)),
            chunks=(chunk, *shape) if isinstance(chunk, int) else chunk,
            dtype=dtype,
            **{**packing, **options},
        )
        self._sums.add(name, np.empty(0, np.uint8))

    def _create_side(self) -> None:
        for name, dtype in zip(_SIDE, (np.float64, np.float64, np.int32), strict=True):
            self._create(f"caloforge/{name}", chunk=4096, dtype=dtype)

    def _grow(self, name: str, values: NDArray[Any]) -> None:
        data = self._file[name]
        before = len(data)
        data.resize(before + len(values), axis=0)
        data[before:] = stored = values.astype(data.dtype, copy=False)
        self._sums.add(name, stored)

    def _grow_side(self, incident: Incident) -> None:
        for name in _SIDE:
            self._grow(f"caloforge/{name}", getattr(incident, name))


def written_as(file: h5py.File, name: str) -> bool | None:
    """Whether caloforge wrote ``file`` in the format ``name``; None when it did not write it."""
    stored = text_attribute(file, "caloforge_format")
    return stored == name if stored else None


def voxel_rows(*shape: int) -> int:
    """Showers of float32 voxels in a chunk that HDF5 keeps in its cache: larger ones are packed anew."""
    return max(1, min(_MOST_CHUNK_ROWS, _CHUNK_BYTES // (4 * math.prod(shape))))


def gev_column(incident: Incident) -> NDArray[np.float32]:
    """Incident energies [GeV], ``(B, 1)``, as most formats have them."""
    return (incident.energy / GEV).astype(np.float32)[:, None]


def shape_of(file: h5py.File, key: str) -> tuple[int, ...]:
    """Shape of a dataset; () when it is missing or no dataset."""
    item = file.get(key)
    return tuple(item.shape or ()) if isinstance(item, h5py.Dataset) else ()
