"""Photon showers in voxels of the ILD calorimeter: Getting High, New Angles, ConvL2LFlow.

Layout: one group with ``energy`` (N,) or (N, 1) GeV and ``layers`` (N, layers, x, y) MeV; ``theta`` (N,)
rad, the polar angle (perpendicular at 90 degrees), of showers that lean to +y. Getting High (2005.05334)
calls the group ``30x30``, New Angles (2303.18150) ``ecal``, and ConvL2LFlow (2405.20407) after its last
two axes. Data sets 2 and 3 of the CaloChallenge have the angle last there (``9x16``, ``18x50``), and
``layer_e`` (N, layers) has sums of the voxels above the threshold in GeV.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import h5py
import numpy as np

from caloforge.errors import FormatError, GeometryError, bad
from caloforge.formats.base import Format
from caloforge.formats.checks import numbers, per_shower, slices
from caloforge.formats.dense import cells_from_dense, geometry_of_shape
from caloforge.formats.hdf5 import Hdf5Reader, Hdf5Writer, gev_column, voxel_rows, written_as
from caloforge.formats.leaning import direction_of, polar_angle
from caloforge.geometry import Geometry, load_geometry, to_dense
from caloforge.units import GEV

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from caloforge.showers import Showers

__all__ = ["ILD", "IldReader", "IldWriter"]

_CHALLENGE: dict[tuple[int, ...], str] = {(45, 16, 9): "calochallenge-2", (45, 50, 18): "calochallenge-3"}
_ANGLED = (30, 30, 60)  # the voxels of New Angles
_WRITE_ROWS = 50


class IldReader(Hdf5Reader):
    """Reads voxel groups as cells."""

    incident_unit = GEV

    def _check(self) -> int:
        self._group = _group(self._file) or "layers"
        self.keys = (f"{self._group}/layers", f"{self._group}/energy")
        told = f"(N, layers, x, y) in {self.keys[0]!r}"
        layers = numbers(self._file, self.keys[0], (None, None, None, None), told=told)
        per_shower(self._file, self.keys[1], len(layers))
        if f"{self._group}/theta" in self._file:
            per_shower(self._file, f"{self._group}/theta", len(layers))
        return len(layers)

    def _find_geometry(self, given: Geometry | None) -> Geometry:
        shape = self._file[self.keys[0]].shape[1:]
        turned = (shape[0], shape[2], shape[1])
        geometry = self._stored_geometry(given) or self._implied(shape, turned)
        self._angle_last = _is_polar(geometry) and (not self.foreign or geometry.dense_shape != shape)
        if geometry.dense_shape != (turned if self._angle_last else shape):
            expected = f"{geometry.dense_shape} of {geometry.name}"
            raise FormatError(bad(f"layers of {self.path}", got=str(shape), expected=expected))
        return geometry

    def _implied(self, shape: tuple[int, ...], turned: tuple[int, ...]) -> Geometry:
        known = _CHALLENGE.get(shape) or _CHALLENGE.get(turned)
        return load_geometry(known) if known else geometry_of_shape(self.path, shape, prefer="ild")

    def _energies(self, rows: slice) -> NDArray[np.float64]:
        return self._column(self.keys[1], rows).astype(np.float64) * GEV

    def _told(self, rows: slice) -> dict[str, Any]:
        name = f"{self._group}/theta"
        return direction_of(self._column(name, rows)) if name in self._file else {}

    def _read_slice(self, start: int, stop: int) -> Showers:
        rows = slice(start, stop)
        layers = self._file[self.keys[0]][rows]
        if self._angle_last:
            layers = layers.swapaxes(-1, -2)
        dense = self.in_mev(layers.reshape(len(layers), self.geometry.n_cells))
        return cells_from_dense(dense, self._incident(rows), self.meta, first=start)


class IldWriter(Hdf5Writer):
    """Writes voxels of one grid, with what ConvL2LFlow's helper adds to them."""

    format_name = "ild"

    def _check_geometry(self) -> None:
        if not self.geometry.is_uniform:
            got = f"the different grids of {self.geometry.name}"
            raise GeometryError(bad(f"layers of {self.path}", got=got, expected="one grid"))

    def _start(self) -> None:
        self._polar = _is_polar(self.geometry)
        layers, first, second = self.geometry.dense_shape
        shape = (layers, second, first) if self._polar else (layers, first, second)
        self._group = "ecal" if shape == _ANGLED else f"{shape[1]}x{shape[2]}"
        self._create(f"{self._group}/layers", *shape, chunk=voxel_rows(*shape))
        self._create(f"{self._group}/layer_e", layers, chunk=4096)
        self._create(f"{self._group}/energy", 1, chunk=4096)
        self._create(f"{self._group}/theta", chunk=4096)
        self._create_side()

    def _write(self, showers: Showers) -> None:
        for rows in slices(len(showers), _WRITE_ROWS):
            dense = to_dense(showers[rows], self.geometry)
            self._grow(f"{self._group}/layers", dense.swapaxes(-1, -2) if self._polar else dense)
            seen = np.where(dense >= self.geometry.threshold, dense, 0.0)
            self._grow(f"{self._group}/layer_e", seen.sum(axis=(2, 3)) / GEV)
        self._grow(f"{self._group}/energy", gev_column(showers.incident))
        self._grow(f"{self._group}/theta", polar_angle(showers.incident))
        self._grow_side(showers.incident)


def _is_polar(geometry: Geometry) -> bool:
    return geometry.layers[0].grid.kind == "polar"


def _group(file: h5py.File) -> str | None:
    groups = (name for name, item in file.items() if isinstance(item, h5py.Group))
    return next((n for n in groups if "layers" in file[n] and "energy" in file[n]), None)


def _detect(file: h5py.File) -> bool:
    if (ours := written_as(file, IldWriter.format_name)) is not None:
        return ours
    return _group(file) is not None


ILD = Format(
    name=IldWriter.format_name,
    description="voxels of the ILD calorimeter: Getting High, New Angles, ConvL2LFlow",
    detect=_detect,
    reader=IldReader,
    writer=IldWriter,
    points=False,
)
