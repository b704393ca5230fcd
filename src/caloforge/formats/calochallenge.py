"""The Fast Calorimeter Simulation Challenge's HDF5 (2410.21611).

Layout: ``incident_energies`` (N, 1) and ``showers`` (N, voxels), both MeV; r runs fastest, then the
angle, then the layer. Deposits are divided by the sampling fraction. Voxels below the cut (``cut_MeV`` of
the file, or that of the data set) count as empty, negative ones too, as in the challenge's script.
"""

from __future__ import annotations

from copy import copy
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING

import h5py
import numpy as np

from caloforge.errors import FormatError, bad
from caloforge.formats.attributes import number_attribute
from caloforge.formats.base import Format
from caloforge.formats.checks import numbers, per_shower, slices
from caloforge.formats.dense import Cut, cells_from_dense
from caloforge.formats.hdf5 import Hdf5Reader, Hdf5Writer
from caloforge.geometry import load_geometry, to_dense
from caloforge.geometry.challenge import known_set
from caloforge.showers import ShowerMeta, Showers

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from caloforge.geometry import Geometry

__all__ = ["CALOCHALLENGE", "CaloChallengeReader", "CaloChallengeWriter"]

_BY_VOXELS = {
    368: "calochallenge-1-photons",
    533: "calochallenge-1-pions",
    6480: "calochallenge-2",
    40500: "calochallenge-3",
}
# The same read-out on flat discs, told apart by the visible fraction that the file names.
_DISCS = {6480: "cylinder-ds2", 40500: "cylinder-ds3"}
_DISC_FRACTION = "0.0315"
_WRITE_ROWS = 50


class CaloChallengeReader(Hdf5Reader):
    """Reads challenge files as cells, a few megabytes of voxels at a time."""

    keys = ("showers", "incident_energies")
    _precise = False

    def precisely(self) -> CaloChallengeReader:
        """The same open file; energies that are stored in float64 stay so."""
        twin = copy(self)
        twin._precise = True
        return twin

    def sample(self, count: int) -> Showers:
        """The first showers, ``count`` at most, before the cut; negative voxels count as empty."""
        twin = copy(self)
        twin._cut = Cut(self.path, 0.0) if self._cut is not None else None
        return twin.read(0, min(count, len(self)))

    def _check(self) -> int:
        count = len(numbers(self._file, "showers", (None, None), told="(N, voxels)"))
        per_shower(self._file, "incident_energies", count)
        return count

    def _find_geometry(self, given: Geometry | None) -> Geometry:
        voxels = self._file["showers"].shape[1]
        geometry = self._stored_geometry(given) or self._implied(voxels)
        if geometry.n_cells != voxels:
            expected = f"the {geometry.n_cells} of {geometry.name}"
            raise FormatError(bad(f"voxels of {self.path}", got=voxels, expected=expected))
        return geometry

    def _implied(self, voxels: int) -> Geometry:
        if voxels not in _BY_VOXELS:
            expected = f"one of {', '.join(map(str, _BY_VOXELS))}"
            fix = "name the geometry or its binning XML (--geometry)"
            raise FormatError(bad(f"voxels of {self.path}", got=voxels, expected=expected, fix=fix))
        discs = _DISC_FRACTION in str(self._file.attrs.get("energy_scale", ""))
        return load_geometry((_DISCS if discs else {}).get(voxels, _BY_VOXELS[voxels]))

    def _foreign_meta(self) -> ShowerMeta:
        # data set 1 is stored uncut: its 1 MeV is the evaluation's
        cut = self._usual_cut if self.geometry.is_uniform else 0.0
        return ShowerMeta(
            geometry=self.geometry.name,
            fingerprint=self.geometry.fingerprint,
            sampling_fraction=self.geometry.sampling_fraction,
            threshold=number_attribute(self._file, "cut_MeV", cut),
        )

    def _energies(self, rows: slice) -> NDArray[np.float64]:
        return self._column("incident_energies", rows).astype(np.float64)

    def _read_slice(self, start: int, stop: int) -> Showers:
        rows = slice(start, stop)
        voxels, incident = self.in_mev(self._file["showers"][rows]), self._incident(rows)
        showers = cells_from_dense(
            voxels, incident, self.meta, precise=self._precise, cut=self._cut, first=start
        )
        return replace(showers, extras={name: self._file[name][rows] for name in self._columns})

    @cached_property
    def _usual_cut(self) -> float:
        """The cut of the read-out [MeV]; a binning XML has none, but the data set that it describes has."""
        if self.geometry.threshold > 0:
            return self.geometry.threshold
        known = known_set(self.geometry, self._incident(slice(None)).energy)
        return 0.0 if known is None else known.geometry.threshold

    @cached_property
    def _cut(self) -> Cut | None:
        """What the challenge's script does to voxels below the cut; our own files have none."""
        if not self.foreign or not (self.meta.threshold or self._usual_cut):
            return None
        return Cut(self.path, self.meta.threshold)

    @cached_property
    def _columns(self) -> list[str]:
        """Other numbers of every shower."""
        items = self._file.items()
        columns = (n for n, d in items if isinstance(d, h5py.Dataset) and d.shape == (len(self),))
        return [n for n in columns if n not in self.keys and self._file[n].dtype.kind in "iuf"]

    def close(self) -> None:
        """Close the file, and say what was cut."""
        if self._cut is not None:
            self._cut.tell()
        super().close()


class CaloChallengeWriter(Hdf5Writer):
    """Writes challenge files; the datasets can be appended to."""

    format_name = "calochallenge"

    def _start(self) -> None:
        self._create("showers", self.geometry.n_cells, chunk=_WRITE_ROWS)
        self._create("incident_energies", 1, chunk=4096, dtype=np.float64)
        self._create_side()

    def _write(self, showers: Showers) -> None:
        for rows in slices(len(showers), _WRITE_ROWS):
            dense = to_dense(showers[rows], self.geometry)
            self._grow("showers", dense.reshape(len(dense), -1))
        self._grow("incident_energies", showers.incident.energy[:, None])
        self._grow_side(showers.incident)


def _detect(file: h5py.File) -> bool:
    return "incident_energies" in file and "showers" in file


CALOCHALLENGE = Format(
    name=CaloChallengeWriter.format_name,
    description="voxels of the Fast Calorimeter Simulation Challenge",
    detect=_detect,
    reader=CaloChallengeReader,
    writer=CaloChallengeWriter,
    points=False,
)
