"""Geant4 photon showers stored as integer indices on a fine lateral grid.

Layout: ``incident/{energy [MeV], theta, phi [rad], pdg}``; ``hits/offsets`` and per hit
``hits/{layer, ix, iy, energy [MeV]}`` with x = (ix + 0.5) * ``fine_cell_mm``; attribute
``fine_cell_mm``. Silicon energy, not calibrated.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from caloforge.errors import FormatError
from caloforge.formats.base import Format, ShowerReader, check_stack, missing_key, reading
from caloforge.formats.hdf5 import open_hdf5
from caloforge.geometry import Geometry, load_geometry
from caloforge.showers import Incident, ShowerMeta, Showers

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

__all__ = ["FINE_GRID", "FineGridReader"]

_HITS = ("layer", "ix", "iy", "energy")
_INCIDENT = ("energy", "theta", "phi", "pdg")


class FineGridReader(ShowerReader):
    """Reads fine-grid files as points at the centres of the fine cells."""

    def __init__(self, path: Path, geometry: Geometry | None = None) -> None:
        self.path = path
        usual = load_geometry("siw-ecal")
        check_stack(path, usual, geometry or usual)
        self.geometry: Geometry = geometry or usual
        self._file = open_hdf5(path)
        for key in ("hits/offsets", *(f"hits/{x}" for x in _HITS), *(f"incident/{x}" for x in _INCIDENT)):
            if key not in self._file:
                self._file.close()
                raise missing_key(path, key)
        self._pitch = float(self._file.attrs["fine_cell_mm"])
        with reading(path, "offsets"):
            self._offsets: NDArray[np.int64] = self._file["hits/offsets"][:]
        self.meta = ShowerMeta(geometry=self.geometry.name, pitch=self._pitch, threshold=1e-4)

    @property
    def provenance(self) -> dict[str, Any]:
        """The attributes of the file."""
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
        layer = group["layer"][hits].astype(np.int64)
        if len(layer) and layer.max() >= self.geometry.n_layers:
            msg = f"{self.path} has layer {layer.max()}, the geometry {self.geometry.name} fewer."
            raise FormatError(msg)
        lateral = [(group[name][hits] + np.float32(0.5)) * np.float32(self._pitch) for name in ("ix", "iy")]
        points = np.column_stack([*lateral, self.geometry.layer_z[layer].astype(np.float32)])
        extras = self._file.get("geant4", {})
        return Showers(
            incident=self._incident(rows),
            offsets=self._offsets[start : stop + 1] - self._offsets[start],
            energy=group["energy"][hits],
            points=points,
            meta=self.meta,
            extras={f"geant4_{name}": extras[name][rows] for name in extras},
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
