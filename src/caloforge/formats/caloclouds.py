"""The padded point clouds of CaloClouds (2305.04847, 2309.05704).

Layout: ``events`` (N, 4, P) with the rows x [mm], layer number, z [mm], energy [GeV], zeros in front
of the points; ``energy`` (N, 1) GeV. x runs around the ILD barrel and z along the beam; the particle
enters at x = 0, z = 40 mm. They become our x and y, so that the particle enters at x = y = 0.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from caloforge.errors import FormatError, bad
from caloforge.formats.base import Format
from caloforge.formats.clouds import cloud_columns, depth_of_layer, pad, unpad
from caloforge.formats.hdf5 import Hdf5Reader, Hdf5Writer, gev_column, shape_of, slices, written_as
from caloforge.geometry import load_geometry
from caloforge.showers import ShowerMeta, Showers
from caloforge.units import GEV

if TYPE_CHECKING:
    import h5py
    from numpy.typing import NDArray

    from caloforge.geometry import Geometry

__all__ = ["CALOCLOUDS", "CaloCloudsReader", "CaloCloudsWriter"]

ENTRY_Z = 40.0
_DEFAULT = "ild-30x30x30"
# The public sets have 6000 places, and their training code counts on it.
_PLACES = 6000
_WRITE_ROWS = 100


class CaloCloudsReader(Hdf5Reader):
    """Reads CaloClouds files as points."""

    keys = ("events", "energy")

    def _find_geometry(self, given: Geometry | None) -> Geometry:
        shape = self._file["events"].shape
        if len(shape) != 3 or shape[1] != 4:
            raise FormatError(bad(f"events of {self.path}", got=str(shape), expected="(N, 4, points)"))
        return self._stored_geometry(given) or load_geometry(_DEFAULT)

    def _foreign_meta(self) -> ShowerMeta:
        return ShowerMeta(geometry=self.geometry.name)

    def _energies(self, rows: slice) -> NDArray[np.float64]:
        energies: NDArray[np.float64] = self._file["energy"][rows].reshape(-1).astype(np.float64)
        return energies * GEV

    def _read_slice(self, start: int, stop: int) -> Showers:
        rows = slice(start, stop)
        flat, offsets = unpad(self._file["events"][rows].transpose(0, 2, 1))
        depth = depth_of_layer(flat[:, 1], self.geometry, self.path)
        return Showers(
            incident=self._incident(rows),
            offsets=offsets,
            energy=flat[:, 3] * np.float32(GEV),
            points=np.column_stack([flat[:, 0], flat[:, 2] - ENTRY_Z, depth]),
            meta=self.meta,
        )


class CaloCloudsWriter(Hdf5Writer):
    """Writes CaloClouds files with 6000 places a shower, more when a shower needs them."""

    format_name = "caloclouds"

    def _start(self) -> None:
        self._create("events", 4, _PLACES, chunk=16)
        self._create("energy", 1, chunk=4096)
        self._create_side()
        self._narrow: list[tuple[int, int]] = []

    def _write(self, showers: Showers) -> None:
        columns, offsets = cloud_columns(showers, self.geometry)
        x, y, layer, energy = columns.T
        rows = np.column_stack([x, layer, y + np.float32(ENTRY_Z), energy / np.float32(GEV)])
        self._widen(int(np.diff(offsets).max(initial=0)))
        for part in slices(len(showers), _WRITE_ROWS):
            starts = offsets[part.start : part.stop + 1]
            flat = rows[starts[0] : starts[-1]]
            padded = pad(flat, starts - starts[0], self._places, front=True)
            self._grow("events", padded.transpose(0, 2, 1))
        self._grow("energy", gev_column(showers.incident))
        self._grow_side(showers.incident)

    @property
    def _places(self) -> int:
        return int(self._file["events"].shape[2])

    def _widen(self, places: int) -> None:
        if places > self._places:
            self._narrow.append((len(self._file["events"]), self._places))
            self._file["events"].resize(places, axis=2)

    def close(self) -> None:
        """Complete the file and give it its name; early rows move when later ones needed more places."""
        first = 0
        for end, places in self._narrow:
            self._shift(first, end, places)
            first = end
        super().close()

    def _shift(self, first: int, end: int, places: int) -> None:
        events = self._file["events"]
        for part in slices(end - first, _WRITE_ROWS):
            rows = slice(first + part.start, first + part.stop)
            moved = np.zeros((rows.stop - rows.start, 4, self._places), dtype=np.float32)
            moved[:, :, self._places - places :] = events[rows, :, :places]
            events[rows] = moved


def _detect(file: h5py.File) -> bool:
    if (ours := written_as(file, CaloCloudsWriter.format_name)) is not None:
        return ours
    shape = shape_of(file, "events")
    return "energy" in file and len(shape) == 3 and shape[1] == 4


CALOCLOUDS = Format(
    name=CaloCloudsWriter.format_name,
    description="point clouds of CaloClouds, padded in front",
    detect=_detect,
    reader=CaloCloudsReader,
    writer=CaloCloudsWriter,
    cells=False,
)
