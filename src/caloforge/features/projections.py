"""A shower's energy along x and y, all other axes summed: 3DGAN's shower shapes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from caloforge.features.bins import clipped_bins
from caloforge.features.sums import sums_by_index
from caloforge.geometry import BoxGrid

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from caloforge.features.binning import Binning
    from caloforge.features.hits import Hits
    from caloforge.geometry import Geometry

__all__ = ["has_projections", "projection_columns"]


def has_projections(geometry: Geometry) -> bool:
    """Whether all layers have square cells, which add up along x and y."""
    return all(isinstance(layer.grid, BoxGrid) for layer in geometry.layers)


def projection_columns(hits: Hits, geometry: Geometry, binning: Binning) -> dict[str, NDArray[np.float32]]:
    """``profile_x`` and ``profile_y``: energies in the bins of the lateral image [MeV], ``(B, k)``.

    None for geometries with rings (2109.07388, figure 8).
    """
    if not has_projections(geometry):
        return {}
    return {
        f"profile_{name}": _along(hits, geometry, axis, edges)
        for axis, (name, edges) in enumerate(zip("xy", binning.lateral, strict=True))
    }


def _along(hits: Hits, geometry: Geometry, axis: int, edges: NDArray[np.float64]) -> NDArray[np.float32]:
    places = clipped_bins(geometry.cell_positions[:, axis].astype(np.float64), edges).astype(np.int32)
    return sums_by_index(hits, hits.energy, places[hits.cell], len(edges) - 1).astype(np.float32)
