"""The three layers of CaloGAN (1705.02355, 1712.10321): positrons, photons and pions in lead and argon.

Layout: ``energy`` (N, 1) GeV; ``layer_0`` (N, 3, 96), ``layer_1`` (N, 12, 12) and ``layer_2``
(N, 12, 6), all deposits, those of the absorber too, in MeV; ``overflow`` (N, 3), what lies beside the
window in every layer, in MeV. Files are called after the particle: ``eplus``, ``gamma``, ``piplus``.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from caloforge.errors import FormatError, GeometryError, bad
from caloforge.formats.base import Format
from caloforge.formats.checks import numbers, per_shower, slices
from caloforge.formats.dense import cells_from_dense
from caloforge.formats.hdf5 import Hdf5Reader, Hdf5Writer, gev_column, written_as
from caloforge.geometry import load_geometry, to_dense
from caloforge.showers import ShowerMeta, Showers
from caloforge.units import GEV

if TYPE_CHECKING:
    import h5py
    from numpy.typing import NDArray

    from caloforge.geometry import Geometry

__all__ = ["CALOGAN", "CaloGanReader", "CaloGanWriter"]

_CALORIMETER = "calogan"
_BY_NAME = {"eplus": -11, "gamma": 22, "piplus": 211, "eminus": 11, "piminus": -211, "pi0": 111}
_WRITE_ROWS = 500


class CaloGanReader(Hdf5Reader):
    """Reads CaloGAN's files as cells; what lies beside the windows are the extras ``overflow_0`` to ``2``."""

    keys = ("layer_0", "layer_1", "layer_2", "energy")
    incident_unit = GEV

    def _check(self) -> int:
        shapes = _shapes(load_geometry(_CALORIMETER))
        count = len(numbers(self._file, "layer_0", (None, *shapes[0])))
        for number, shape in enumerate(shapes):
            numbers(self._file, f"layer_{number}", (count, *shape))
        per_shower(self._file, "energy", count)
        if "overflow" in self._file:
            numbers(self._file, "overflow", (count, len(shapes)))
        return count

    def _find_geometry(self, given: Geometry | None) -> Geometry:
        geometry = self._stored_geometry(given) or load_geometry(_CALORIMETER)
        _require_layers(self.path.name, geometry, FormatError)
        return geometry

    def _foreign_meta(self) -> ShowerMeta:
        return ShowerMeta(geometry=self.geometry.name, fingerprint=self.geometry.fingerprint)

    def _energies(self, rows: slice) -> NDArray[np.float64]:
        return self._column("energy", rows).astype(np.float64) * GEV

    def _told(self, rows: slice) -> dict[str, Any]:  # noqa: ARG002 (the name is that of all showers)
        codes = (code for name, code in _BY_NAME.items() if name in self.path.name)
        return {"pdg": next(codes, self.geometry.pdg)}

    def _read_slice(self, start: int, stop: int) -> Showers:
        rows = slice(start, stop)
        layers = [self._file[f"layer_{i}"][rows] for i in range(self.geometry.n_layers)]
        flat = [layer.reshape(len(layer), math.prod(layer.shape[1:])) for layer in layers]
        dense = np.concatenate(flat, axis=1)
        showers = cells_from_dense(self.in_mev(dense), self._incident(rows), self.meta, first=start)
        return replace(showers, extras=self._overflow(rows))

    def _overflow(self, rows: slice) -> dict[str, NDArray[Any]]:
        if "overflow" not in self._file:
            return {}
        beside = self.in_mev(self._file["overflow"][rows])
        return {_extra(layer): beside[:, layer] for layer in range(self.geometry.n_layers)}


class CaloGanWriter(Hdf5Writer):
    """Writes showers of CaloGAN's calorimeter."""

    format_name = "calogan"

    def _check_geometry(self) -> None:
        _require_layers(self.path.name, self.geometry, GeometryError)

    def _start(self) -> None:
        for number, shape in enumerate(_shapes(self.geometry)):
            self._create(f"layer_{number}", *shape, chunk=_WRITE_ROWS)
        self._create("energy", 1, chunk=4096)
        self._create("overflow", self.geometry.n_layers, chunk=4096)
        self._create_side()

    def _write(self, showers: Showers) -> None:
        cuts, shapes = self.geometry.layer_offsets, _shapes(self.geometry)
        for rows in slices(len(showers), _WRITE_ROWS):
            dense = to_dense(showers[rows], self.geometry)
            for number, (layer, shape) in enumerate(
                zip(np.split(dense, cuts[1:-1], axis=1), shapes, strict=True)
            ):
                self._grow(f"layer_{number}", layer.reshape(len(dense), *shape))
        none = np.zeros(len(showers))
        beside = [np.asarray(showers.extras.get(_extra(n), none)) for n in range(len(shapes))]
        self._grow("overflow", np.stack(beside, axis=1))
        self._grow("energy", gev_column(showers.incident))
        self._grow_side(showers.incident)


def _extra(layer: int) -> str:
    return f"overflow_{layer}"


def _shapes(geometry: Geometry) -> list[tuple[int, int]]:
    return [layer.grid.shape for layer in geometry.layers]


def _require_layers(name: str, geometry: Geometry, error: type[FormatError | GeometryError]) -> None:
    wanted = _shapes(load_geometry(_CALORIMETER))
    if _shapes(geometry) != wanted:
        got, expected = f"the layers of {geometry.name}", f"cells {', '.join(map(str, wanted))}"
        raise error(bad(f"geometry of {name}", got=got, expected=expected))


def _detect(file: h5py.File) -> bool:
    if (ours := written_as(file, CaloGanWriter.format_name)) is not None:
        return ours
    return "energy" in file and all(f"layer_{number}" in file for number in range(3))


CALOGAN = Format(
    name=CaloGanWriter.format_name,
    description="three layers of different cells, the data of CaloGAN",
    detect=_detect,
    reader=CaloGanReader,
    writer=CaloGanWriter,
    points=False,
)
