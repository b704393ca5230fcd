"""Photon showers in voxels of the ILD calorimeter: Getting High, New Angles, ConvL2LFlow.

Layout: one group (``30x30``, ``ecal``, ``18x50``, ...) with ``energy`` (N,) or (N, 1) GeV and
``layers`` (N, layers, x, y) MeV; ``theta`` (N,) rad, the polar angle (perpendicular at 90 degrees), of
showers that lean to +y. The group ``18x50`` holds data set 3 of the CaloChallenge, angle last.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import h5py
import numpy as np

from caloforge.errors import FormatError, bad
from caloforge.formats.base import Format
from caloforge.formats.checks import numbers, per_shower
from caloforge.formats.dense import cells_from_dense, geometry_of_shape
from caloforge.formats.hdf5 import Hdf5Reader
from caloforge.geometry import Geometry, load_geometry
from caloforge.showers import PHOTON, Incident, ShowerMeta, Showers
from caloforge.units import GEV

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["ILD", "IldReader"]

_ANGLE_LAST = (45, 18, 50)


class IldReader(Hdf5Reader):
    """Reads voxel groups as cells."""

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
        self._angle_last = shape == _ANGLE_LAST
        if self._angle_last:
            shape = (45, 50, 18)
        geometry = given or self._implied(shape)
        if geometry.dense_shape != shape:
            expected = f"{geometry.dense_shape} of {geometry.name}"
            raise FormatError(bad(f"layers of {self.path}", got=str(shape), expected=expected))
        return geometry

    def _implied(self, shape: tuple[int, ...]) -> Geometry:
        if self._angle_last:
            return load_geometry("calochallenge-3")
        return geometry_of_shape(self.path, shape, prefer="ild")

    def _foreign_meta(self) -> ShowerMeta:
        return ShowerMeta(
            geometry=self.geometry.name,
            fingerprint=self.geometry.fingerprint,
            sampling_fraction=self.geometry.sampling_fraction,
        )

    def _energies(self, rows: slice) -> NDArray[np.float64]:
        return self._column(self.keys[1], rows).astype(np.float64) * GEV

    def _incident(self, rows: slice) -> Incident:
        name = f"{self._group}/theta"
        polar = self._column(name, rows).astype(np.float64) if name in self._file else np.pi / 2
        lean = np.pi / 2 - polar
        phi = np.where(lean >= 0, np.pi / 2, -np.pi / 2) if name in self._file else 0.0
        pdg = 11 if self._angle_last else PHOTON
        return Incident.of(self._energies(rows), theta=np.abs(lean), phi=phi, pdg=pdg)

    def _read_slice(self, start: int, stop: int) -> Showers:
        rows = slice(start, stop)
        layers = self._file[self.keys[0]][rows]
        if self._angle_last:
            layers = layers.swapaxes(-1, -2)
        dense = self.in_mev(layers.reshape(len(layers), self.geometry.n_cells))
        return cells_from_dense(dense, self._incident(rows), self.meta, first=start)


def _group(file: h5py.File) -> str | None:
    groups = (name for name, item in file.items() if isinstance(item, h5py.Group))
    return next((n for n in groups if "layers" in file[n] and "energy" in file[n]), None)


def _detect(file: h5py.File) -> bool:
    return _group(file) is not None


ILD = Format(
    name="ild",
    description="voxels of the ILD calorimeter: Getting High, New Angles, ConvL2LFlow (read only)",
    detect=_detect,
    reader=IldReader,
    points=False,
)
