"""Geant4 photon showers stored as integer indices on a fine lateral grid.

Layout: ``incident/{energy [MeV], theta, phi [rad], pdg}``; ``hits/offsets`` and per hit
``hits/{layer, ix, iy, energy [MeV]}`` with x = (ix + 0.5) * ``fine_cell_mm``; attribute
``fine_cell_mm``. Silicon energy, not calibrated.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from caloforge.errors import FormatError, bad
from caloforge.formats.attributes import damaged, number_attribute
from caloforge.formats.base import Format, ShowerReader, check_stack, reading
from caloforge.formats.checks import check_incident, group, numbers, read_offsets
from caloforge.formats.opening import opened
from caloforge.geometry import Geometry, load_geometry
from caloforge.showers import Incident, ShowerMeta, Showers

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["FINE_GRID", "FineGridReader"]

_INCIDENT = ("energy", "theta", "phi", "pdg")


class FineGridReader(ShowerReader):
    """Reads fine-grid files as points at the centres of the fine cells."""

    foreign = True

    def __init__(self, path: Path, geometry: Geometry | None = None) -> None:
        self.path = path
        usual = load_geometry("siw-ecal")
        check_stack(path, usual, geometry or usual)
        self.geometry: Geometry = geometry or usual
        with opened(path) as self._file:
            self._check()
            self._pitch = number_attribute(self._file, "fine_cell_mm")
            if self._pitch == 0:
                raise damaged(self._file, "fine_cell_mm", "got 0, expected a width")
            self.meta = ShowerMeta(geometry=self.geometry.name, pitch=self._pitch, threshold=1e-4)
            check_incident(self._incident, len(self))

    def _check(self) -> None:
        """Kinds and shapes of all datasets against each other, and the offsets."""
        hits = len(numbers(self._file, "hits/energy", (None,)))
        for name in ("layer", "ix", "iy"):
            numbers(self._file, f"hits/{name}", (hits,), integers=True)
        self._offsets = read_offsets(self._file, "hits/offsets", hits)
        for name in _INCIDENT:
            numbers(self._file, f"incident/{name}", (len(self),), integers=name == "pdg")
        self._extras = tuple(group(self._file, "geant4") or ())
        for name in self._extras:
            numbers(self._file, f"geant4/{name}", (len(self),))

    @property
    def provenance(self) -> dict[str, Any]:
        """The attributes of the file."""
        with reading(self.path, "its attributes"):
            return dict(self._file.attrs)

    def __len__(self) -> int:
        return len(self._offsets) - 1

    def incident(self) -> Incident:
        """All incident particles of the file."""
        with reading(self.path, "incident particles"):
            return self._incident(slice(None))

    def _incident(self, rows: slice) -> Incident:
        group = self._file["incident"]
        return Incident(*(group[name][rows] for name in _INCIDENT))

    def read(self, start: int, stop: int) -> Showers:
        """Read showers ``start`` to ``stop`` (exclusive)."""
        with reading(self.path, f"showers {start} to {stop - 1}"):
            return self._read(start, stop)

    def _read(self, start: int, stop: int) -> Showers:
        rows, hits = slice(start, stop), slice(int(self._offsets[start]), int(self._offsets[stop]))
        group = self._file["hits"]
        layer = group["layer"][hits]
        if len(layer) and not 0 <= layer.min() <= layer.max() < self.geometry.n_layers:
            got = f"{layer.min()} to {layer.max()}"
            expected = f"0 to {self.geometry.n_layers - 1} of {self.geometry.name}"
            raise FormatError(bad(f"layers of {self.path}", got=got, expected=expected))
        lateral = [(group[name][hits] + np.float32(0.5)) * np.float32(self._pitch) for name in ("ix", "iy")]
        points = np.column_stack([*lateral, self.geometry.layer_z[layer.astype(np.intp)].astype(np.float32)])
        return Showers(
            incident=self._incident(rows),
            offsets=self._offsets[start : stop + 1] - self._offsets[start],
            energy=self.in_mev(group["energy"][hits]),
            points=points,
            meta=self.meta,
            extras={f"geant4_{name}": self._file[f"geant4/{name}"][rows] for name in self._extras},
        )

    def close(self) -> None:
        """Close the file."""
        self._file.close()


FINE_GRID = Format(
    name="fine-grid",
    description="integer indices on a fine lateral grid, by layer (read only)",
    detect=lambda file: "hits/ix" in file and "fine_cell_mm" in file.attrs,
    reader=FineGridReader,
    cells=False,
)
