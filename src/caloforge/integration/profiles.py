"""What a run both ways is compared by: sums, depth and width of every event's hits."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

import numpy as np

from caloforge.geometry.absorber import absorber_weights
from caloforge.showers import row_index

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from caloforge.geometry import Geometry
    from caloforge.showers import Showers

__all__ = ["Profiles", "profiles"]

_COLUMNS = ("geant4_cpu_seconds", "fast_cpu_seconds", "fast_replaced", "fast_replaced_energy")


@dataclass(frozen=True)
class Profiles:
    """Numbers of ``N`` events.

    Attributes:
        energy: Of the particles [MeV], ``(N,)``.
        weighted: Hit energies weighted by the absorber in front of their sensor [MeV], ``(N,)``.
        hits: Cells above threshold, ``(N,)``.
        depth: Hit energies of every layer [MeV], ``(N, layers)``.
        width: Hit energies in rings about the event's own centre of energy [MeV], ``(N, rings)``.
        seconds: CPU time of Geant4 and of the model [s], ``(N,)``.
        replaced: Particles that the model took over, ``(N,)``.
        replaced_energy: Their energy with masses [MeV], ``(N,)``.
    """

    energy: NDArray[np.float64]
    weighted: NDArray[np.float64]
    hits: NDArray[np.int64]
    depth: NDArray[np.float64]
    width: NDArray[np.float64]
    seconds: NDArray[np.float64]
    replaced: NDArray[np.float64]
    replaced_energy: NDArray[np.float64]

    @property
    def rate(self) -> float:
        """Events a second of one core; the first event, which sets tables up, is left out."""
        return float(1.0 / self.seconds[1:].mean()) if len(self.seconds) > 1 else float("nan")


def profiles(blocks: Iterable[Showers], geometry: Geometry, *, edges: NDArray[np.float64]) -> Profiles:
    """Sum the hits of all events.

    Args:
        blocks: Read-out cells, with the extras of ``caloforge simulate``.
        geometry: The read-out.
        edges: Of the rings [mm], ``(rings + 1,)``.
    """
    parts = [_block(block, geometry, edges) for block in blocks]
    return Profiles(*(np.concatenate([getattr(p, f.name) for p in parts]) for f in fields(Profiles)))


def _block(showers: Showers, geometry: Geometry, edges: NDArray[np.float64]) -> Profiles:
    assert showers.cells is not None
    count, event = len(showers), row_index(showers.offsets)
    energy = showers.energy.astype(np.float64)
    layer, places = geometry.cell_layer[showers.cells], geometry.cell_positions[showers.cells]
    depth = _sums(event, layer, energy, (count, geometry.n_layers))
    ring = np.searchsorted(edges, _from_centre(event, places, energy, count), side="right") - 1
    inside = (ring >= 0) & (ring < len(edges) - 1)
    width = _sums(event[inside], ring[inside], energy[inside], (count, len(edges) - 1))
    geant4, fast, replaced, taken = (showers.extras.get(name, np.zeros(count)) for name in _COLUMNS)
    return Profiles(
        energy=showers.incident.energy,
        weighted=depth @ absorber_weights(geometry),
        hits=showers.n_hits,
        depth=depth,
        width=width,
        seconds=np.asarray(geant4, np.float64) + np.asarray(fast, np.float64),
        replaced=np.asarray(replaced, np.float64),
        replaced_energy=np.asarray(taken, np.float64),
    )


def _from_centre(
    event: NDArray[np.int64], places: NDArray[np.float32], energy: NDArray[np.float64], count: int
) -> NDArray[np.float64]:
    """Distance of every hit from its event's centre of energy in x and y [mm]."""
    total = np.maximum(np.bincount(event, weights=energy, minlength=count), 1e-12)
    centre = [np.bincount(event, weights=energy * places[:, k], minlength=count) / total for k in (0, 1)]
    distance: NDArray[np.float64] = np.hypot(*(places[:, k] - centre[k][event] for k in (0, 1)))
    return distance


def _sums(
    event: NDArray[np.int64], column: NDArray[np.integer], energy: NDArray[np.float64], shape: tuple[int, int]
) -> NDArray[np.float64]:
    flat = np.bincount(event * shape[1] + column, weights=energy, minlength=shape[0] * shape[1])
    return flat.reshape(shape).astype(np.float64)
