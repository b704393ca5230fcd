"""How wide a shower is: shares of its energy near the axis and at the window's edge, and radii."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from caloforge.features.sums import ratio, sums_of_hits
from caloforge.geometry import BoxGrid, PolarGrid

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from caloforge.features.hits import Hits
    from caloforge.geometry import Geometry

__all__ = ["core_radius", "edge_cells", "lateral_columns", "share_radius"]

_CORE_PITCHES = 1.55


def lateral_columns(
    hits: Hits, geometry: Geometry, profile: NDArray[np.floating], edges: NDArray[np.float64]
) -> dict[str, NDArray[np.float64]]:
    """``core_share``, ``radius_rms``, ``r50``, ``r90``, ``edge_share`` and ``edge_hits``, ``(B,)`` each.

    Args:
        hits: The cells.
        geometry: The read-out.
        profile: Energies in bins of the distance to the incident axis [MeV], ``(B, K)``.
        edges: Of these bins [mm], ``(K + 1,)``.
    """
    edge = edge_cells(geometry)[hits.cell]
    distance = hits.distance
    total = sums_of_hits(hits, hits.energy)
    square = sums_of_hits(hits, hits.energy * np.square(distance))
    return {
        "core_share": ratio(sums_of_hits(hits, hits.energy * (distance < core_radius(geometry))), total),
        "radius_rms": np.sqrt(ratio(square, total)),
        "r50": share_radius(profile, edges, 0.5),
        "r90": share_radius(profile, edges, 0.9),
        "edge_share": ratio(sums_of_hits(hits, hits.energy * edge), total),
        "edge_hits": ratio(sums_of_hits(hits, edge), sums_of_hits(hits)),
    }


def core_radius(geometry: Geometry) -> float:
    """Distance to the axis within which cells belong to the core [mm]: 1.55 of the smallest cells.

    With cells of 5.09 mm these are 7.9 mm, less than a Moliere radius of tungsten, and the four cells
    round an axis that runs between them; with rings of 4.65 mm the inner two. 1.55 lies between the
    distances of a lattice's cells, whether the axis runs through a cell or between cells.
    """
    return _CORE_PITCHES * min(_pitch(layer.grid) for layer in geometry.layers)


def edge_cells(geometry: Geometry) -> NDArray[np.bool_]:
    """Which cells lie at the edge of the window: the outermost in x or y, or in radius, ``(n_cells,)``."""
    return np.concatenate([_edge(layer.grid).ravel() for layer in geometry.layers])


def share_radius(
    profile: NDArray[np.floating], edges: NDArray[np.float64], share: float
) -> NDArray[np.float64]:
    """Radius that holds a ``share`` of the energy [mm], ``(B,)``; 0 for empty showers.

    Energy is taken as spread evenly over the distances of its bin.

    Args:
        profile: Energies in bins of the distance to the axis, ``(B, K)``.
        edges: Of these bins [mm], ``(K + 1,)``.
        share: Between 0 and 1.
    """
    energy = np.asarray(profile, np.float64)
    inside = np.cumsum(energy, axis=1)
    wanted = share * inside[:, -1:]
    place = np.argmax(inside >= wanted, axis=1)[:, None]
    here, upto = (np.take_along_axis(values, place, axis=1) for values in (energy, inside))
    part = ratio(wanted - (upto - here), here)
    radius = edges[place] + part * np.diff(edges)[place]
    return np.where(inside[:, -1] > 0, radius[:, 0], 0.0)


def _pitch(grid: BoxGrid | PolarGrid) -> float:
    return float(min(grid.pitch) if isinstance(grid, BoxGrid) else np.diff(grid.r_edges).min())


def _edge(grid: BoxGrid | PolarGrid) -> NDArray[np.bool_]:
    first, second = np.indices(grid.shape)
    outer = second == grid.shape[1] - 1
    if isinstance(grid, PolarGrid):
        return np.asarray(outer)
    return np.asarray(outer | (second == 0) | (first == 0) | (first == grid.shape[0] - 1))
