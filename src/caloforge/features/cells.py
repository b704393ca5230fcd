"""The cells of many showers, for what has to look at single cells: on disk, read batch by batch."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import DTypeLike, NDArray

    from caloforge.geometry import Geometry
    from caloforge.showers import Showers

__all__ = ["CellBatch", "CellRecorder", "CellStore"]


@dataclass(frozen=True)
class CellBatch:
    """Cells above threshold of ``b`` showers, ``H`` hits in all.

    Attributes:
        offsets: The hits of shower ``i`` are ``offsets[i]:offsets[i + 1]``, ``(b + 1,)``.
        cells: Flat cell indices of the geometry, ``(H,)`` int32.
        energy: Energies [MeV], ``(H,)`` float32.
    """

    offsets: NDArray[np.int64]
    cells: NDArray[np.int32]
    energy: NDArray[np.float32]

    @property
    def shower(self) -> NDArray[np.int64]:
        """The shower of every hit, ``(H,)``."""
        return np.repeat(np.arange(len(self.offsets) - 1), np.diff(self.offsets))


@dataclass(frozen=True)
class CellStore:
    """Cells above threshold of ``n`` showers in flat arrays, which may be memory-mapped files.

    Attributes:
        geometry: The read-out.
        incident_energy: Incident energies [MeV], ``(n,)``.
        pdg: Particles, ``(n,)``.
        first: First hit of every shower, ``(n,)``.
        count: Hits of every shower, ``(n,)``.
        cells: Flat cell indices of all showers, int32.
        energy: Energies of all hits [MeV], float32.
    """

    geometry: Geometry
    incident_energy: NDArray[np.float64]
    pdg: NDArray[np.int64]
    first: NDArray[np.int64]
    count: NDArray[np.int64]
    cells: NDArray[np.int32]
    energy: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.first)

    def select(self, index: slice | NDArray[np.generic]) -> CellStore:
        """The showers of a slice, mask or index array; the hits stay where they are."""
        names = ("incident_energy", "pdg", "first", "count")
        chosen: dict[str, Any] = {name: getattr(self, name)[index] for name in names}
        return replace(self, **chosen)

    def batch(self, rows: slice | NDArray[np.generic]) -> CellBatch:
        """The hits of some showers, in their order."""
        first, count = self.first[rows], self.count[rows]
        offsets = np.concatenate([[0], np.cumsum(count)])
        hits = np.repeat(first - offsets[:-1], count) + np.arange(offsets[-1])
        return CellBatch(offsets, self.cells[hits], self.energy[hits])

    def batches(self, size: int) -> Iterator[CellBatch]:
        """All showers, ``size`` at a time."""
        for start in range(0, len(self), size):
            yield self.batch(slice(start, start + size))

    def dense(self, rows: slice | NDArray[np.generic], dtype: DTypeLike = np.float32) -> NDArray[np.floating]:
        """Energies of all cells of some showers [MeV], ``(b, n_cells)``."""
        batch = self.batch(rows)
        image = np.zeros((len(batch.offsets) - 1, self.geometry.n_cells), dtype)
        image[batch.shower, batch.cells] = batch.energy
        return image

    @classmethod
    def of(cls, showers: Showers, geometry: Geometry) -> CellStore:
        """Showers in memory, as cells of ``geometry`` above its threshold (``read_out``)."""
        return cls(
            geometry,
            showers.incident.energy,
            showers.incident.pdg.astype(np.int64),
            showers.offsets[:-1],
            showers.n_hits,
            _cells(showers),
            showers.energy,
        )


class CellRecorder:
    """Writes blocks of cells into two flat files of a folder, and gives them back memory-mapped."""

    def __init__(self, folder: Path, name: str, geometry: Geometry) -> None:
        self._geometry = geometry
        self._paths = {kind: folder / f"{name}.{kind}" for kind in ("cells", "energy")}
        self._files = {kind: path.open("wb") for kind, path in self._paths.items()}
        self._counts: list[NDArray[np.int64]] = []
        self._incident: list[tuple[NDArray[Any], NDArray[Any]]] = []

    def append(self, showers: Showers) -> None:
        """Add a block of cells above threshold."""
        self._files["cells"].write(_cells(showers).tobytes())
        self._files["energy"].write(showers.energy.astype(np.float32, copy=False).tobytes())
        self._counts.append(showers.n_hits)
        self._incident.append((showers.incident.energy, showers.incident.pdg))

    def recording(self, blocks: Iterator[Showers]) -> Iterator[Showers]:
        """The same blocks, added on the way."""
        for block in blocks:
            self.append(block)
            yield block

    def finish(self) -> CellStore:
        """Close the files and map them."""
        for file in self._files.values():
            file.close()
        count = np.concatenate([np.empty(0, np.int64), *self._counts])
        energy, pdg = (np.concatenate(column) for column in zip(*self._incident, strict=True))
        first = np.cumsum(count) - count
        return CellStore(
            self._geometry,
            energy,
            pdg,
            first,
            count,
            _mapped(self._paths["cells"], np.int32),
            _mapped(self._paths["energy"], np.float32),
        )


def _cells(showers: Showers) -> NDArray[np.int32]:
    return np.empty(0, np.int32) if showers.cells is None else showers.cells


def _mapped(path: Path, dtype: DTypeLike) -> NDArray[Any]:
    if path.stat().st_size == 0:  # an empty file cannot be mapped
        return np.empty(0, dtype)
    return np.memmap(path, dtype=dtype, mode="r")
