"""The padded point clouds of CaloClouds (2305.04847, 2309.05704).

Layout: ``events`` (N, 4, P) with the rows x [mm], layer number, z [mm], energy [GeV], zeros in front
of the points; ``energy`` (N, 1) GeV. x runs around the ILD barrel and z along the beam; the particle
enters at x = 0, z = 40 mm. They become our x and y, so that the particle enters at x = y = 0. Files of
CaloClouds 3 have the axes (N, P, 4). DDML's libraries look the same, but their energies are in MeV: clouds
that would hold more than twice the incident energy in GeV are taken for such.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from caloforge.formats.base import Format
from caloforge.formats.checks import numbers, per_shower, slices
from caloforge.formats.clouds import cloud_columns, depth_of_layer, hold_mev, pad, unpad
from caloforge.formats.hdf5 import Hdf5Reader, Hdf5Writer, gev_column, shape_of, written_as
from caloforge.geometry import load_geometry
from caloforge.showers import ShowerMeta, Showers
from caloforge.units import GEV

if TYPE_CHECKING:
    import h5py
    from numpy.typing import NDArray

    from caloforge.geometry import Geometry

__all__ = ["CALOCLOUDS", "CaloCloudsReader", "CaloCloudsWriter"]

ENTRY_Z = 40.0
SHAPES = "(N, 4, points) or (N, points, 4)"
_DEFAULT = "ild-30x30x30"
# The public sets have 6000 places, and their training code counts on it.
_PLACES = 6000
_WRITE_ROWS = 100


class CaloCloudsReader(Hdf5Reader):
    """Reads CaloClouds files as points."""

    keys = ("events", "energy")
    incident_unit = GEV
    hit_unit = GEV

    def _check(self) -> int:
        events = numbers(self._file, "events", (None, 4, None), (None, None, 4), told=SHAPES)
        self._points_last = events.shape[1] != 4
        per_shower(self._file, "energy", len(events))
        return len(events)

    def _find_geometry(self, given: Geometry | None) -> Geometry:
        return self._stored_geometry(given) or load_geometry(_DEFAULT)

    def _foreign_meta(self) -> ShowerMeta:
        return ShowerMeta(geometry=self.geometry.name)

    def _energies(self, rows: slice) -> NDArray[np.float64]:
        return self._column("energy", rows).astype(np.float64) * GEV

    def _read_slice(self, start: int, stop: int) -> Showers:
        rows = slice(start, stop)
        events = self._file["events"][rows]
        flat, offsets = unpad(events if self._points_last else events.transpose(0, 2, 1))
        depth = depth_of_layer(flat[:, 1], self.geometry, self.path)
        return Showers(
            incident=self._incident(rows),
            offsets=offsets,
            energy=self.in_mev(flat[:, 3]),
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
        if self._narrow:
            self._sums.add_all(self._file, "events")
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
    if "energy" not in file or len(shape) != 3:
        return False
    return shape[1] == 4 or (shape[2] == 4 and not hold_mev(file))


CALOCLOUDS = Format(
    name=CaloCloudsWriter.format_name,
    description="point clouds of CaloClouds, padded to one length",
    detect=_detect,
    reader=CaloCloudsReader,
    writer=CaloCloudsWriter,
    cells=False,
)
