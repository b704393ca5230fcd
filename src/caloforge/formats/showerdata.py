"""The layout of the package ``showerdata`` 0.7 (MIT): point clouds of variable length, read natively.

Layout: ``showers`` (N,) variable-length float32, rows of x, y [mm], layer number, energy [GeV] and
perhaps a time; ``shape`` (N, most points, columns), ``num_points`` (N,), ``shower_ids`` (N,),
``energies`` (N, 1) GeV, ``directions`` (N, 3) with z into the calorimeter, ``pdg`` (N,). Files of
particles alone have the last three and no showers. Layers 0 to 29 are the ILD's ECAL; 78 layers, and
cells that were ``clustered_for`` the ILD, are its ECAL and HCAL. Showers of many calorimeters (2608.18233)
bring ``layer_z_pos`` and, on a barrel, ``gun_position``: their directions are then those of the detector
and turn into polar angles. Other numbers of every shower (``sampling_fraction``) are extras.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING

import h5py
import numpy as np

from caloforge.errors import DataError, FormatError, GeometryError, bad, clipped
from caloforge.formats.attributes import says
from caloforge.formats.base import Format
from caloforge.formats.checks import check_stored, dataset, numbers, per_shower
from caloforge.formats.clouds import cloud_columns, depth_of_layer
from caloforge.formats.hdf5 import Hdf5Reader, Hdf5Writer, gev_column, shape_of, written_as
from caloforge.geometry import load_geometry
from caloforge.showers import Incident, ShowerMeta, Showers
from caloforge.units import GEV

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from caloforge.geometry import Geometry

__all__ = ["SHOWERDATA", "ShowerDataReader", "ShowerDataWriter"]

_LAYOUT_VERSION = "0.7.0"
_READ_ROWS = 500
_DEFAULT, _BOTH = "ild-30x30x30", "ild-ecal-hcal"
_CLUSTERED = ("clustered_for", "observables_computed_for")
_ILD = ("ILD", "ILD_unclustered")
_LAYERS, _BARREL = "layer_z_pos", "gun_position"
_PEEK_ROWS = 20
_DIRECT = ("directions", "energies", "pdg")
_OWN = {*_DIRECT, "showers", "shape", "num_points", "shower_ids"}


class ShowerDataReader(Hdf5Reader):
    """Reads showerdata files as points, particles alone as showers without hits; times are left aside."""

    keys = ("showers", *_DIRECT)
    hit_unit = GEV
    incident_unit = GEV

    def _check(self) -> int:
        self._empty = not any(key in self._file for key in ("showers", "shape", "num_points"))
        count = len(numbers(self._file, "directions", (None, 3))) if self._empty else self._check_showers()
        self._check_particles(count)
        return count

    def _check_showers(self) -> int:
        showers = dataset(self._file, "showers")
        kind = h5py.check_vlen_dtype(showers.dtype)
        if kind is None or kind.kind != "f" or showers.ndim != 1:
            got = f"shape {showers.shape} of {clipped(str(showers.dtype), 40)}"
            expected = "(N,) of variable-length floats"
            raise FormatError(bad(f"'showers' of {self.path}", got=got, expected=expected))
        check_stored(showers)
        self._n_columns = self._find_columns(len(showers))
        return len(showers)

    def _check_particles(self, count: int) -> None:
        numbers(self._file, "directions", (count, 3))
        per_shower(self._file, "energies", count)
        per_shower(self._file, "pdg", count, integers=True)
        if "num_points" in self._file:
            per_shower(self._file, "num_points", count, integers=True)

    def _find_columns(self, count: int) -> int:
        shape = numbers(self._file, "shape", (3,), integers=True)[:]
        if shape[0] != count or shape[2] not in {4, 5}:
            got, expected = str(shape.tolist()), f"[{count}, most points, 4 or 5 columns]"
            raise FormatError(bad(f"'shape' of {self.path}", got=got, expected=expected))
        return int(shape[2])

    def _find_geometry(self, given: Geometry | None) -> Geometry:
        geometry = self._stored_geometry(given)
        if geometry is None and _LAYERS in self._file:
            fix = "name the geometry (--geometry)"
            got = f"layers of its own ({_LAYERS!r})"
            raise GeometryError(bad(f"showers of {self.path}", got=got, expected="those of the ILD", fix=fix))
        return geometry or load_geometry(_BOTH if self._has_hcal() else _DEFAULT)

    def _has_hcal(self) -> bool:
        """Whether the file says so, or one of its first showers reaches the ILD's HCAL."""
        if self._empty or any(says(self._file, name, told) for name in _CLUSTERED for told in _ILD):
            return not self._empty
        clouds = [cloud[2 :: self._n_columns] for cloud in self._file["showers"][:_PEEK_ROWS]]
        deepest = max((float(layers.max(initial=0.0)) for layers in clouds), default=0.0)
        return load_geometry(_DEFAULT).n_layers <= deepest < load_geometry(_BOTH).n_layers

    def _foreign_meta(self) -> ShowerMeta:
        return ShowerMeta(geometry=self.geometry.name)

    def _energies(self, rows: slice) -> NDArray[np.float64]:
        return self._column("energies", rows).astype(np.float64) * GEV

    def _incident(self, rows: slice) -> Incident:
        way = self._file["directions"][rows].astype(np.float64)
        if not np.isfinite(way).all():
            raise DataError(bad("directions", got="NaN or infinite ones", expected="finite ones"))
        if self._barrel:  # along the beam, and into the calorimeter
            way = np.column_stack([np.zeros(len(way)), way[:, 2], np.hypot(way[:, 0], way[:, 1])])
        length = np.linalg.norm(way, axis=1)
        theta = np.arccos(np.clip(way[:, 2] / np.where(length > 0, length, 1.0), -1.0, 1.0))
        phi = np.where(theta > 0, np.arctan2(way[:, 1], way[:, 0]), 0.0)
        if {"theta", "phi"} <= self._side.keys():  # the float32 direction has lost digits
            theta, phi = (self._side[name][rows] for name in ("theta", "phi"))
        return Incident.of(self._energies(rows), theta=theta, phi=phi, pdg=self._column("pdg", rows))

    def _slice_rows(self) -> int:
        return _READ_ROWS

    @property
    def _barrel(self) -> bool:
        """Whether directions are those of a detector with a beam along z."""
        return _BARREL in self._file or "local_direction" in self._file.attrs

    @cached_property
    def _columns(self) -> list[str]:
        """Other numbers of every shower."""
        return [name for name in self._file if name not in _OWN and self._is_column(name)]

    def _is_column(self, name: str) -> bool:
        shape = shape_of(self._file, name)
        return shape in {(len(self),), (len(self), 1)} and self._file[name].dtype.kind in "iuf"

    def _read_slice(self, start: int, stop: int) -> Showers:
        showers = self._read_empty(start, stop) if self._empty else self._read_clouds(start, stop)
        rows = slice(start, stop)
        return replace(showers, extras={name: self._column(name, rows) for name in self._columns})

    def _read_empty(self, start: int, stop: int) -> Showers:
        incident, nothing = self._incident(slice(start, stop)), np.empty(0, np.float32)
        offsets = np.zeros(len(incident) + 1, np.int64)
        return Showers(incident, offsets, nothing, points=nothing.reshape(0, 3), meta=self.meta)

    def _read_clouds(self, start: int, stop: int) -> Showers:
        rows = slice(start, stop)
        clouds = list(self._file["showers"][rows])
        lengths = np.array([len(cloud) for cloud in clouds], dtype=np.int64)
        self._check_clouds(lengths, rows)
        flat = np.concatenate([*clouds, np.empty(0, np.float32)])
        self._pass.follow(start, stop, {"showers": flat}, last=len(self))
        flat = flat.reshape(-1, self._n_columns)
        depth = depth_of_layer(flat[:, 2], self.geometry, self.path)
        return Showers(
            incident=self._incident(rows),
            offsets=np.concatenate([[0], np.cumsum(lengths // self._n_columns)]),
            energy=self.in_mev(flat[:, 3]),
            points=np.column_stack([flat[:, :2], depth]),
            meta=self.meta,
        )

    def _check_clouds(self, lengths: NDArray[np.int64], rows: slice) -> None:
        """Rows of all columns, as many as the file says."""
        wrong = lengths % self._n_columns != 0
        if "num_points" in self._file:
            wrong |= lengths != self._column("num_points", rows) * np.int64(self._n_columns)
        if np.any(wrong):
            number = int(np.flatnonzero(wrong)[0])
            what = f"shower {rows.start + number} of {self.path}"
            expected = f"'num_points' rows of {self._n_columns} columns"
            raise FormatError(bad(what, got=f"{lengths[number]} numbers", expected=expected))


class ShowerDataWriter(Hdf5Writer):
    """Writes points in the showerdata layout."""

    format_name = "showerdata"

    def _start(self) -> None:
        vlen = {"compression": None, "compression_opts": None, "shuffle": False}
        self._create("showers", chunk=1024, dtype=h5py.vlen_dtype(np.float32), **vlen)
        self._create("energies", 1, chunk=4096)
        self._create("directions", 3, chunk=4096)
        for name in ("pdg", "shower_ids", "num_points"):
            self._create(name, chunk=4096, dtype=np.int32)
        self._create_side()
        self._file.attrs["showerdata_version"] = _LAYOUT_VERSION
        self._most = 0

    def _write(self, showers: Showers) -> None:
        columns, offsets = cloud_columns(showers, self.geometry)
        columns[:, 3] /= GEV
        counts = np.diff(offsets)
        before = len(self._file["showers"])
        self._grow_showers(columns, offsets)
        self._grow("energies", gev_column(showers.incident))
        self._grow("directions", showers.incident.direction)
        self._grow("pdg", showers.incident.pdg)
        self._grow("shower_ids", np.arange(before, before + len(showers)))
        self._grow("num_points", counts)
        self._grow_side(showers.incident)
        self._most = max(self._most, int(counts.max(initial=0)))

    def _grow_showers(self, columns: NDArray[np.float32], offsets: NDArray[np.int64]) -> None:
        data = self._file["showers"]
        before = len(data)
        data.resize(before + len(offsets) - 1, axis=0)
        # one by one: h5py takes rows of equal length for a matrix
        for row, cloud in enumerate(np.split(columns, offsets[1:-1]), start=before):
            data[row] = cloud.ravel()
        self._sums.add("showers", columns)

    def close(self) -> None:
        """Complete the file and give it its name."""
        shape = (len(self._file["showers"]), self._most, 4)
        self._file.create_dataset("shape", data=np.array(shape, dtype=np.int64))
        self._sums.add_all(self._file, "shape")
        super().close()


def _detect(file: h5py.File) -> bool:
    if (ours := written_as(file, ShowerDataWriter.format_name)) is not None:
        return ours
    if not all(key in file for key in _DIRECT):
        return False
    return ("showers" in file and "shape" in file) or set(file) == set(_DIRECT)


SHOWERDATA = Format(
    name=ShowerDataWriter.format_name,
    description="point clouds of variable length in the layout of the package showerdata",
    detect=_detect,
    reader=ShowerDataReader,
    writer=ShowerDataWriter,
    cells=False,
)
