"""Electrons in the cylindrical mesh of Geant4's example Par04, the data of MLFastSim (Zenodo 6082201).

Layout: one dataset an energy, named by it in GeV (``1``, ``2``, ... ``1024``), of (N, r, angle, z)
deposits in MeV, 18 x 50 x 45 cells around the particle's direction. Names of files tell the detector and
the polar angle in degrees (90 is perpendicular): ``SiW_angle_90.h5``, ``SciPb_angle_50.h5``. Showers are
read energy after energy; ours keep their order by way of ``caloforge/energy`` (N,) MeV.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np

from caloforge.errors import DataError, FormatError, bad
from caloforge.formats.base import Format
from caloforge.formats.checks import numbers, slices
from caloforge.formats.dense import cells_from_dense
from caloforge.formats.hdf5 import Hdf5Reader, Hdf5Writer, voxel_rows, written_as
from caloforge.formats.leaning import direction_of
from caloforge.formats.meshes import check_mesh, check_rings
from caloforge.geometry import load_geometry, to_dense
from caloforge.units import DEGREE, GEV

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from caloforge.geometry import Geometry
    from caloforge.showers import Showers

__all__ = ["PAR04", "Par04Reader", "Par04Writer"]

_BY_CELLS: dict[tuple[str, tuple[int, ...]], str] = {
    ("SiW", (45, 50, 18)): "par04-siw",
    ("SciPb", (45, 50, 18)): "par04-scipb",
    ("SiW", (45, 16, 9)): "lemurs-par04-siw",
}
_NAME = re.compile(r"(SiW|SciPb)?_angle_(\d{1,3})(?!\d)")
_ORDER = "caloforge/energy"
_MOST_KEYS = 2000
_WRITE_ROWS = 50
_KEY = re.compile(r"\d{1,7}(\.\d{1,9})?")


class Par04Reader(Hdf5Reader):
    """Reads files of Par04 and MLFastSim as cells."""

    incident_unit = GEV

    def _check(self) -> int:
        self._names = _energy_keys(self._file)
        if not self._names:
            expected = "one dataset an energy, named by it in GeV"
            raise FormatError(bad(f"datasets of {self.path}", got="none of an energy", expected=expected))
        self.keys = tuple(self._names)
        told = "(N, r, angle, z), one shape for all energies"
        cells = numbers(self._file, self.keys[0], (None, None, None, None), told=told).shape[1:]
        counts = [len(numbers(self._file, key, (None, *cells), told=told)) for key in self.keys]
        self._find_places(np.array(counts, dtype=np.int64))
        return sum(counts)

    def _find_places(self, counts: NDArray[np.int64]) -> None:
        """Dataset and row of every shower, in the order of the file."""
        values = np.array([float(key) for key in self._names]) * GEV
        self._dataset = np.repeat(np.arange(len(counts)), counts)
        self._energy = values[self._dataset]
        self._row = np.arange(len(self._dataset)) - np.repeat(np.cumsum(counts) - counts, counts)
        if _ORDER not in self._file:
            return
        written = numbers(self._file, _ORDER, (len(self._row),))[:].astype(np.float64)
        by_key = np.array([_key_of(energy) for energy in np.unique(written)])
        names = by_key[np.unique(written, return_inverse=True)[1]]
        order = np.argsort(_ranks(names, self._names), kind="stable")
        place = np.empty_like(order)
        place[order] = np.arange(len(order))
        if not np.array_equal(np.array(self._names)[self._dataset][place], names):
            expected = "as many of each as its dataset has showers"
            raise FormatError(bad(f"{_ORDER!r} of {self.path}", got="other energies", expected=expected))
        self._dataset, self._row, self._energy = self._dataset[place], self._row[place], written

    def _find_geometry(self, given: Geometry | None) -> Geometry:
        _, rings, angles, depths = self._file[self.keys[0]].shape
        cells = (depths, angles, rings)
        geometry = self._stored_geometry(given) or self._implied(cells)
        check_mesh(f"showers of {self.path}", cells, geometry)
        return geometry

    def _implied(self, cells: tuple[int, ...]) -> Geometry:
        detector = _named(self.path.name)[0]
        if (detector, cells) not in _BY_CELLS:
            got, fix = f"{cells[::-1]} cells (r, angle, z)", "name the geometry (--geometry)"
            expected = " or ".join(f"{known[::-1]} of {name}" for name, known in _BY_CELLS)
            raise FormatError(bad(f"showers of {self.path}", got=got, expected=expected, fix=fix))
        return load_geometry(_BY_CELLS[detector, cells])

    def _energies(self, rows: slice) -> NDArray[np.float64]:
        return self._energy[rows]

    def _told(self, rows: slice) -> dict[str, Any]:
        polar = _named(self.path.name)[1] * DEGREE
        return direction_of(np.full(len(self._energy[rows]), polar))

    def _read_slice(self, start: int, stop: int) -> Showers:
        rows = slice(start, stop)
        which, places = self._dataset[rows], self._row[rows]
        dense = np.empty((len(which), *self.geometry.dense_shape), np.float32)
        for number in np.unique(which):
            here = which == number
            # rows of one energy rise and follow each other
            part = slice(int(places[here][0]), int(places[here][-1]) + 1)
            dense[here] = self._file[self.keys[number]][part].transpose(0, 3, 2, 1)
        flat = self.in_mev(dense.reshape(len(dense), self.geometry.n_cells))
        return cells_from_dense(flat, self._incident(rows), self.meta, first=start)


class Par04Writer(Hdf5Writer):
    """Writes cells of rings into one dataset an energy."""

    format_name = "par04"

    def _check_geometry(self) -> None:
        check_rings(self.path, self.geometry)

    def _start(self) -> None:
        self._known: set[str] = set()
        self._create(_ORDER, chunk=4096, dtype=np.float64)
        self._create_side()

    def _write(self, showers: Showers) -> None:
        energies = showers.incident.energy
        keys = np.array([_key_of(energy) for energy in energies])
        for key in np.unique(keys):
            self._add_key(key)
            these = np.flatnonzero(keys == key)
            for part in slices(len(these), _WRITE_ROWS):
                dense = to_dense(showers[these[part]], self.geometry)
                self._grow(key, dense.transpose(0, 3, 2, 1))
        self._grow(_ORDER, energies)
        self._grow_side(showers.incident)

    def _add_key(self, key: str) -> None:
        if key in self._known:
            return
        if len(self._known) == _MOST_KEYS:
            got, fix = f"more than {_MOST_KEYS}", "write another format, such as lemurs"
            what = f"different energies for {self.path}"
            raise DataError(bad(what, got=got, expected="a few, one dataset each", fix=fix))
        self._known.add(key)
        shape = self.geometry.dense_shape[::-1]
        self._create(key, *shape, chunk=voxel_rows(*shape))

    def close(self) -> None:
        """Complete the file and give it its name."""
        if not self._known:
            self._add_key("1")
        super().close()


def _key_of(energy: float) -> str:
    """The name of a dataset, GeV: whole numbers without a point."""
    return f"{energy / GEV:.9f}".rstrip("0").rstrip(".")


def _ranks(names: NDArray[np.str_], keys: list[str]) -> NDArray[np.int64]:
    rank = {key: number for number, key in enumerate(keys)}
    found = np.array([rank.get(name, -1) for name in np.unique(names)], dtype=np.int64)
    return found[np.unique(names, return_inverse=True)[1]]


def _named(name: str) -> tuple[str, float]:
    """The detector and the polar angle [degrees] in the name of a file; SiW at 90 where it tells none."""
    found = _NAME.search(name)
    if found is None:
        return ("SciPb" if "SciPb" in name else "SiW"), 90.0
    return found[1] or "SiW", float(found[2])


def _energy_keys(file: h5py.File) -> list[str]:
    """Datasets named by an energy, from the lowest."""
    names = (n for n, item in file.items() if _KEY.fullmatch(n) and isinstance(item, h5py.Dataset))
    return sorted((n for n in names if float(n) > 0), key=float)


def _detect(file: h5py.File) -> bool:
    if (ours := written_as(file, Par04Writer.format_name)) is not None:
        return ours
    keys = _energy_keys(file)
    return bool(keys) and len(keys) == len(file)


PAR04 = Format(
    name=Par04Writer.format_name,
    description="cylindrical mesh of Geant4's example Par04, one dataset an energy, the data of MLFastSim",
    detect=_detect,
    reader=Par04Reader,
    writer=Par04Writer,
    points=False,
)
