"""Shower libraries of key4hep's DDML (its ``LoadHdf5``): ready-made showers inside of Geant4.

Layout: ``events``, either points (N, P, 4) with the columns x [mm], y, z [mm], energy [MeV] of ILD's
axes, where y, the depth, is the layer number, zeros behind the points; or voxels (N, layers, x, y) in
MeV. Libraries do not say how energetic the particles were: reading needs ``energy`` (N, 1) GeV, which
our writer adds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from caloforge.errors import FormatError, GeometryError, bad
from caloforge.formats.base import Format
from caloforge.formats.checks import numbers, per_shower, slices
from caloforge.formats.clouds import cloud_columns, depth_of_layer, pad, unpad
from caloforge.formats.dense import cells_from_dense, geometry_of_shape
from caloforge.formats.hdf5 import Hdf5Reader, Hdf5Writer, gev_column, written_as
from caloforge.geometry import load_geometry, to_dense
from caloforge.showers import ShowerMeta, Showers
from caloforge.units import GEV

if TYPE_CHECKING:
    import h5py
    from numpy.typing import NDArray

    from caloforge.geometry import Geometry

__all__ = ["DDML", "DdmlReader", "DdmlWriter"]

_DEFAULT = "ild-30x30x30"
_WRITE_ROWS = 50
_PLACES_CHUNK = 256


class DdmlReader(Hdf5Reader):
    """Reads shower libraries as points or, with four axes, as cells."""

    keys = ("events", "energy")
    incident_unit = GEV

    def _check(self) -> int:
        told = "(N, points, 4) or (N, layers, x, y)"
        events = numbers(self._file, "events", (None, None, 4), (None, None, None, None), told=told)
        self._voxels = events.ndim == 4
        per_shower(self._file, "energy", len(events))
        return len(events)

    def _find_geometry(self, given: Geometry | None) -> Geometry:
        geometry = self._stored_geometry(given)
        if not self._voxels:
            return geometry or load_geometry(_DEFAULT)
        shape = self._file["events"].shape[1:]
        geometry = geometry or geometry_of_shape(self.path, shape, prefer="ild")
        if geometry.dense_shape != shape:
            expected = f"{geometry.dense_shape} of {geometry.name}"
            raise FormatError(bad(f"voxels of {self.path}", got=str(shape), expected=expected))
        return geometry

    def _foreign_meta(self) -> ShowerMeta:
        fingerprint = self.geometry.fingerprint if self._voxels else ""
        return ShowerMeta(geometry=self.geometry.name, fingerprint=fingerprint)

    def _energies(self, rows: slice) -> NDArray[np.float64]:
        return self._column("energy", rows).astype(np.float64) * GEV

    def _read_slice(self, start: int, stop: int) -> Showers:
        rows = slice(start, stop)
        events, incident = self._file["events"][rows], self._incident(rows)
        if self._voxels:
            dense = self.in_mev(events.reshape(len(events), self.geometry.n_cells))
            return cells_from_dense(dense, incident, self.meta, first=start)
        flat, offsets = unpad(events)
        depth = depth_of_layer(flat[:, 1], self.geometry, self.path)
        points = np.column_stack([flat[:, 0], flat[:, 2], depth])
        energy = self.in_mev(flat[:, 3])
        return Showers(incident=incident, offsets=offsets, energy=energy, points=points, meta=self.meta)


class DdmlWriter(Hdf5Writer):
    """Writes shower libraries: points as points, cells of a uniform square grid as voxels."""

    format_name = "ddml"

    def _start(self) -> None:
        self._create("energy", 1, chunk=4096)
        self._create_side()

    def _write(self, showers: Showers) -> None:
        if showers.points is None:
            self._write_voxels(showers)
        else:
            self._write_points(showers)
        self._grow("energy", gev_column(showers.incident))
        self._grow_side(showers.incident)

    def _write_voxels(self, showers: Showers) -> None:
        if not self.geometry.is_uniform or self.geometry.layers[0].grid.kind != "box":
            got = f"those of {self.geometry.name}"
            fix = "turn them into points first"
            raise GeometryError(bad("cells for DDML", got=got, expected="one square grid", fix=fix))
        if "events" not in self._file:
            self._create("events", *self.geometry.dense_shape, chunk=_WRITE_ROWS)
        for part in slices(len(showers), _WRITE_ROWS):
            self._grow("events", to_dense(showers[part], self.geometry))

    def _write_points(self, showers: Showers) -> None:
        columns, offsets = cloud_columns(showers, self.geometry)
        if "events" not in self._file:
            self._create_points()
        events = self._file["events"]
        if (places := int(np.diff(offsets).max(initial=0))) > events.shape[1]:
            events.resize(places, axis=1)
        for part in slices(len(showers), _WRITE_ROWS):
            starts = offsets[part.start : part.stop + 1]
            flat = columns[starts[0] : starts[-1], [0, 2, 1, 3]]
            self._grow("events", pad(flat, starts - starts[0], events.shape[1]))

    def _create_points(self) -> None:
        self._create("events", 1, 4, chunk=(_WRITE_ROWS, _PLACES_CHUNK, 4))

    def close(self) -> None:
        """Complete the file and give it its name."""
        if "events" not in self._file:
            self._create_points()
        self._sums.add_all(self._file, "events")  # rows became wider as larger showers came
        super().close()


def _detect(file: h5py.File) -> bool:
    if (ours := written_as(file, DdmlWriter.format_name)) is not None:
        return ours
    return "events" in file


DDML = Format(
    name=DdmlWriter.format_name,
    description="shower libraries that key4hep's DDML places in Geant4",
    detect=_detect,
    reader=DdmlReader,
    writer=DdmlWriter,
)
