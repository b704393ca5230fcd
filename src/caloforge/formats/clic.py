"""CLIC's calorimeter windows, the LCD data of 3DGAN (1912.06794, 2109.07388).

Layout: ``ECAL`` (N, x, y, layers) and, in some files, ``HCAL`` (N, x, y, layers). Variable angle:
``energy`` (N,) GeV, ``theta`` (or ``mtheta``) (N,) rad, the polar angle (perpendicular at 90 degrees;
below it the shower leans to +y), cells in fiftieths of a GeV. Fixed angle: ``target`` (N, >= 2) with the
particle code and the energy in GeV, cells in GeV. Sensors see some two per cent of the energy, which
tells the unit of a file that does not keep to that.
"""

from __future__ import annotations

import logging
import math
from typing import TYPE_CHECKING, Any

import numpy as np

from caloforge.errors import FormatError, GeometryError, bad
from caloforge.formats.base import Format
from caloforge.formats.checks import numbers, per_shower, slices
from caloforge.formats.dense import cells_from_dense
from caloforge.formats.hdf5 import Hdf5Reader, Hdf5Writer, voxel_rows, written_as
from caloforge.formats.leaning import direction_of, polar_angle
from caloforge.geometry import BoxGrid, Geometry, load_geometry, to_dense
from caloforge.showers import ShowerMeta, Showers
from caloforge.units import GEV, MEV, unit_name

if TYPE_CHECKING:
    import h5py
    from numpy.typing import NDArray

__all__ = ["CLIC", "ClicReader", "ClicWriter"]

_ECAL, _BOTH = "clic-51x51x25", "clic-ecal-hcal"
_FIFTIETH = GEV / 50
_USUAL = 0.02  # of the particle's energy, seen by the ECAL's sensors
_POSSIBLE = (1e-3, 0.2)
_SAMPLE = 8
_BY_PREFIX = {"Ele": 11, "Gamma": 22, "Pi0": 111, "ChPi": 211}
_WRITE_ROWS = 50
_logger = logging.getLogger(__name__)


class ClicReader(Hdf5Reader):
    """Reads CLIC windows as cells; variable-angle files tell the particle in their name (Ele, Gamma).

    The HCAL is read unless a geometry of the ECAL alone is given.
    """

    keys = ("ECAL",)
    incident_unit = GEV

    def _check(self) -> int:
        told = "(N, x, y, layers)"
        count = len(numbers(self._file, "ECAL", (None, None, None, None), told=told))
        if "HCAL" in self._file:
            numbers(self._file, "HCAL", (count, None, None, None), told=told)
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
        elif "eta" in self._file:
            _logger.warning("%s: its eta is not understood; the showers count as perpendicular.", self.path)
        self.hit_unit = self._find_unit()
        return count

    def _find_unit(self) -> float:
        """Unit of the cells: the documented one, unless the first showers would make no sense in it."""
        usual = _FIFTIETH if self._angle or not self.foreign else GEV
        rows = slice(0, _SAMPLE)
        energy = float(self._energies(rows).sum())
        stored = float(self._file["ECAL"][rows].sum(dtype=np.float64))
        fraction = stored / energy if energy > 0 else 0.0
        low, high = _POSSIBLE
        if not self.foreign or not 0 < fraction < np.inf or low <= fraction * usual <= high:
            return usual
        unit = min((GEV, _FIFTIETH, MEV), key=lambda size: abs(np.log(fraction * size / _USUAL)))
        if low <= fraction * unit <= high:
            _logger.warning(
                "%s: its cells are read in units of %s, not the usual %s, in which the first showers would "
                "hold %.2g of the energy of their particles; name another unit if that is wrong "
                "(--energy-unit).",
                self.path,
                unit_name(unit),
                unit_name(usual),
                fraction * usual,
            )
            return unit
        return usual

    def _find_geometry(self, given: Geometry | None) -> Geometry:
        ecal = self._file["ECAL"].shape[1:]
        hcal = self._file["HCAL"].shape[1:] if "HCAL" in self._file else None
        geometry = self._stored_geometry(given) or _window(ecal, hcal)
        wanted = _windows(geometry)
        self._both = len(wanted) == 2
        if wanted != ([ecal, hcal] if self._both else [ecal]):
            expected = f"(x, y, layers) of {geometry.name}, {' and '.join(map(str, wanted))}"
            got = f"{ecal}" + (f" and {hcal}" if hcal else "")
            raise FormatError(bad(f"windows of {self.path}", got=got, expected=expected))
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

    def _told(self, rows: slice) -> dict[str, Any]:
        codes = {"pdg": self._codes(rows)}
        return {**codes, **direction_of(self._column(self._angle, rows))} if self._angle else codes

    def _codes(self, rows: slice) -> NDArray[np.number] | int:
        if "target" in self._file and "energy" not in self._file:
            codes: NDArray[np.number] = self._file["target"][rows, 0]
            return codes
        named = (code for prefix, code in _BY_PREFIX.items() if self.path.name.startswith(prefix))
        return next(named, self.geometry.pdg)

    def _read_slice(self, start: int, stop: int) -> Showers:
        rows = slice(start, stop)
        names = ("ECAL", "HCAL") if self._both else ("ECAL",)
        windows = [self._file[name][rows].transpose(0, 3, 1, 2) for name in names]
        flat = [window.reshape(len(window), math.prod(window.shape[1:])) for window in windows]
        dense = self.in_mev(np.concatenate(flat, axis=1) if self._both else flat[0])
        return cells_from_dense(dense, self._incident(rows), self.meta, first=start)


class ClicWriter(Hdf5Writer):
    """Writes windows in the layout of variable angles, cells in fiftieths of a GeV."""

    format_name = "clic"

    def _check_geometry(self) -> None:
        if not _windows(self.geometry):
            got, expected = f"those of {self.geometry.name}", "one square grid, or two behind one another"
            raise GeometryError(bad(f"cells for {self.path}", got=got, expected=expected))

    def _start(self) -> None:
        self._parts = dict(zip(("ECAL", "HCAL"), _windows(self.geometry), strict=False))
        for name, shape in self._parts.items():
            self._create(name, *shape, chunk=voxel_rows(*shape))
        for name in ("energy", "theta"):
            self._create(name, chunk=4096)
        self._create_side()

    def _write(self, showers: Showers) -> None:
        cells = [x * y * layers for x, y, layers in self._parts.values()]
        for rows in slices(len(showers), _WRITE_ROWS):
            dense = to_dense(showers[rows], self.geometry)
            flat = dense.reshape(len(dense), -1) / np.float32(_FIFTIETH)
            for name, part in zip(self._parts, np.split(flat, np.cumsum(cells)[:-1], axis=1), strict=True):
                x, y, layers = self._parts[name]
                self._grow(name, part.reshape(-1, layers, x, y).transpose(0, 2, 3, 1))
        self._grow("energy", showers.incident.energy / GEV)
        self._grow("theta", polar_angle(showers.incident))
        self._grow_side(showers.incident)


def _windows(geometry: Geometry) -> list[tuple[int, int, int]]:
    """Windows (x, y, layers) of square cells, one or two behind one another; none for other geometries."""
    grids = [layer.grid for layer in geometry.layers]
    changes = [n for n in range(1, len(grids)) if grids[n] != grids[n - 1]]
    if len(changes) > 1 or not all(isinstance(grid, BoxGrid) for grid in grids):
        return []
    ends = [*changes, len(grids)]
    return [(*grids[end - 1].shape, end - start) for start, end in zip([0, *changes], ends, strict=True)]


def _window(ecal: tuple[int, ...], hcal: tuple[int, ...] | None) -> Geometry:
    """The calorimeter of the catalogue, with as many cells in x and y as the file has."""
    full = load_geometry(_ECAL if hcal is None else _BOTH)
    shapes = [ecal, hcal] if hcal else [ecal]
    if _windows(full) == shapes:
        return full
    counts = [window[2] for window in _windows(full)]
    sizes = [shape for shape, count in zip(shapes, counts, strict=True) for _ in range(count)]
    layers = tuple(
        layer.model_copy(update={"grid": layer.grid.model_copy(update={"nx": nx, "ny": ny})})
        for layer, (nx, ny, _) in zip(full.layers, sizes, strict=True)
    )
    name = "-".join("x".join(map(str, (*shape[:2], n))) for shape, n in zip(shapes, counts, strict=True))
    return Geometry(name=f"clic-{name}", particle=full.particle, layers=layers)


def _detect(file: h5py.File) -> bool:
    if (ours := written_as(file, ClicWriter.format_name)) is not None:
        return ours
    return "ECAL" in file


CLIC = Format(
    name=ClicWriter.format_name,
    description="calorimeter windows of CLIC (LCD), the data of 3DGAN",
    detect=_detect,
    reader=ClicReader,
    writer=ClicWriter,
    points=False,
)
