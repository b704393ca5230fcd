"""Photons in five detectors on one cylindrical mesh: LEMURS (2509.05108), the data of CaloDiT-2.

Layout: ``showers`` (N, r, angle, z), 9 x 16 x 45 cells around the particle's direction, and
``incident_energy`` (N,), both MeV; ``incident_theta`` (N,), the polar angle (perpendicular to the barrel
at 90 degrees), and ``incident_phi`` (N,), the place around the barrel, both rad. Deposits are those of
the sensors. Names of files begin with LEMURS and the detector; only the mesh of Par04SiW is known.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from caloforge.formats.base import Format
from caloforge.formats.checks import numbers, per_shower, slices
from caloforge.formats.dense import cells_from_dense
from caloforge.formats.hdf5 import Hdf5Reader, Hdf5Writer, shape_of, voxel_rows, written_as
from caloforge.formats.leaning import direction_of, polar_angle
from caloforge.formats.meshes import check_mesh, check_rings
from caloforge.geometry import load_geometry, to_dense

if TYPE_CHECKING:
    import h5py
    from numpy.typing import NDArray

    from caloforge.geometry import Geometry
    from caloforge.showers import Showers

__all__ = ["LEMURS", "LemursReader", "LemursWriter"]

_MESH = "lemurs-par04-siw"
_KNOWN = "Par04SiW"
_WRITE_ROWS = 50
_logger = logging.getLogger(__name__)


class LemursReader(Hdf5Reader):
    """Reads LEMURS files as cells; the place around the barrel is the extra ``incident_phi``."""

    keys = ("showers", "incident_energy")

    def _check(self) -> int:
        told = "(N, r, angle, z)"
        count = len(numbers(self._file, "showers", (None, None, None, None), told=told))
        for name in ("incident_energy", "incident_theta", "incident_phi"):
            per_shower(self._file, name, count)
        return count

    def _find_geometry(self, given: Geometry | None) -> Geometry:
        _, rings, angles, depths = self._file["showers"].shape
        geometry = self._stored_geometry(given) or self._implied()
        check_mesh(f"'showers' of {self.path}", (depths, angles, rings), geometry)
        return geometry

    def _implied(self) -> Geometry:
        if self.path.name.startswith("LEMURS_") and _KNOWN not in self.path.name:
            _logger.warning(
                "%s: its cells are taken for those of %s, 4.65 mm wide and 3.4 mm deep, as no other mesh of "
                "LEMURS is known; name another one (--geometry).",
                self.path,
                _KNOWN,
            )
        return load_geometry(_MESH)

    def _energies(self, rows: slice) -> NDArray[np.float64]:
        return self._column("incident_energy", rows).astype(np.float64)

    def _told(self, rows: slice) -> dict[str, Any]:
        return direction_of(self._column("incident_theta", rows))

    def _read_slice(self, start: int, stop: int) -> Showers:
        rows = slice(start, stop)
        voxels = self._file["showers"][rows].transpose(0, 3, 2, 1)
        dense = self.in_mev(voxels.reshape(len(voxels), self.geometry.n_cells))
        showers = cells_from_dense(dense, self._incident(rows), self.meta, first=start)
        return replace(showers, extras={"incident_phi": self._column("incident_phi", rows)})


class LemursWriter(Hdf5Writer):
    """Writes cells of rings in the order of LEMURS."""

    format_name = "lemurs"

    def _check_geometry(self) -> None:
        check_rings(self.path, self.geometry)

    def _start(self) -> None:
        shape = self.geometry.dense_shape[::-1]
        self._create("showers", *shape, chunk=voxel_rows(*shape))
        for name in ("incident_energy", "incident_theta", "incident_phi"):
            self._create(name, chunk=4096, dtype=np.float64)
        self._create_side()

    def _write(self, showers: Showers) -> None:
        for rows in slices(len(showers), _WRITE_ROWS):
            self._grow("showers", to_dense(showers[rows], self.geometry).transpose(0, 3, 2, 1))
        self._grow("incident_energy", showers.incident.energy)
        self._grow("incident_theta", polar_angle(showers.incident))
        self._grow("incident_phi", np.asarray(showers.extras.get("incident_phi", np.zeros(len(showers)))))
        self._grow_side(showers.incident)


def _detect(file: h5py.File) -> bool:
    if (ours := written_as(file, LemursWriter.format_name)) is not None:
        return ours
    return len(shape_of(file, "showers")) == 4 and "incident_energy" in file


LEMURS = Format(
    name=LemursWriter.format_name,
    description="photons in five detectors on a cylindrical mesh, the data of CaloDiT-2",
    detect=_detect,
    reader=LemursReader,
    writer=LemursWriter,
    points=False,
)
