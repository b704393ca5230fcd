"""CLIC's calorimeter windows, the data of 3DGAN (2109.07388).

Layout: ``ECAL`` (N, x, y, layers). Variable angle: ``energy`` (N,) GeV, ``theta`` (N,) rad, the polar
angle (perpendicular at 90 degrees; below it the shower leans to +y), cells in GeV times 50. Fixed
angle: ``target`` (N, >= 2) with the particle code and the energy in GeV, cells in GeV.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from caloforge.errors import FormatError, bad
from caloforge.formats.base import Format
from caloforge.formats.checks import numbers, per_shower
from caloforge.formats.dense import cells_from_dense
from caloforge.formats.hdf5 import Hdf5Reader
from caloforge.geometry import BoxGrid, Geometry, load_geometry
from caloforge.showers import Incident, ShowerMeta, Showers
from caloforge.units import GEV

if TYPE_CHECKING:
    import h5py
    from numpy.typing import NDArray

__all__ = ["CLIC", "ClicReader"]

_FULL = "clic-51x51x25"
_ANGLE_SCALE = 50.0
_BY_PREFIX = {"Ele": 11, "Gamma": 22, "Pi0": 111, "ChPi": 211}


class ClicReader(Hdf5Reader):
    """Reads CLIC windows as cells; variable-angle files tell the particle in their name (Ele, Gamma)."""

    keys = ("ECAL",)

    hit_unit = GEV

    def _check(self) -> int:
        count = len(numbers(self._file, "ECAL", (None, None, None, None), told="(N, x, y, layers)"))
        if "energy" in self._file:
            per_shower(self._file, "energy", count)
        elif "target" in self._file:
            told = f"({count}, 2 or more): particle code and energy"
            target = numbers(self._file, "target", (count, None), told=told)
            numbers(self._file, "target", (count, max(target.shape[1], 2)), told=told)
        else:
            msg = f"{self.path} has neither energy (N,) nor target (N, 2): the incident energies are missing."
            raise FormatError(msg)
        if self._angle is not None:
            per_shower(self._file, self._angle, count)
        return count

    def _find_geometry(self, given: Geometry | None) -> Geometry:
        shape = self._file["ECAL"].shape
        geometry = given or _window(shape[1], shape[2])
        if geometry.dense_shape != (shape[3], shape[1], shape[2]):
            expected = f"(x, y, layers) of {geometry.name}"
            raise FormatError(bad(f"ECAL of {self.path}", got=str(shape[1:]), expected=expected))
        return geometry

    def _foreign_meta(self) -> ShowerMeta:
        return ShowerMeta(geometry=self.geometry.name, fingerprint=self.geometry.fingerprint)

    @property
    def _angle(self) -> str | None:
        return next((name for name in ("theta", "mtheta") if name in self._file), None)

    def _energies(self, rows: slice) -> NDArray[np.float64]:
        energy = "energy" in self._file
        column = self._column("energy", rows) if energy else self._file["target"][rows, 1]
        energies: NDArray[np.float64] = column.astype(np.float64) * GEV
        return energies

    def _incident(self, rows: slice) -> Incident:
        energy = self._energies(rows)
        polar = self._column(self._angle, rows).astype(np.float64) if self._angle else np.pi / 2
        lean = np.pi / 2 - polar
        phi = np.where(lean >= 0, np.pi / 2, -np.pi / 2) if self._angle else 0.0
        return Incident.of(energy, theta=np.abs(lean), phi=phi, pdg=self._codes(rows))

    def _codes(self, rows: slice) -> NDArray[np.number] | int:
        if "target" in self._file and "energy" not in self._file:
            codes: NDArray[np.number] = self._file["target"][rows, 0]
            return codes
        named = (code for prefix, code in _BY_PREFIX.items() if self.path.name.startswith(prefix))
        return next(named, 11)

    def _read_slice(self, start: int, stop: int) -> Showers:
        rows = slice(start, stop)
        scale = self.hit_unit / (_ANGLE_SCALE if self._angle else 1.0)
        images = self._file["ECAL"][rows].transpose(0, 3, 1, 2)
        dense = images.reshape(len(images), self.geometry.n_cells) * np.float32(scale)
        return cells_from_dense(dense, self._incident(rows), self.meta, first=start)


def _window(nx: int, ny: int) -> Geometry:
    full = load_geometry(_FULL)
    if full.dense_shape[1:] == (nx, ny):
        return full
    grid = BoxGrid(nx=nx, ny=ny, pitch=(5.1, 5.1))
    layers = tuple(layer.model_copy(update={"grid": grid}) for layer in full.layers)
    return Geometry(name=f"clic-{nx}x{ny}x{len(layers)}", particle=full.particle, layers=layers)


def _detect(file: h5py.File) -> bool:
    return "ECAL" in file


CLIC = Format(
    name="clic",
    description="calorimeter windows of CLIC, the data of 3DGAN (read only)",
    detect=_detect,
    reader=ClicReader,
    points=False,
)
