"""How deep a shower is, and its energy weighted by the absorber in front of every sensor."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from caloforge.features.sums import ratio
from caloforge.geometry.absorber import absorber_weights

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from caloforge.geometry import Geometry

__all__ = ["depth_columns"]


def depth_columns(
    layer_energy: NDArray[np.floating], incident: NDArray[np.float64], geometry: Geometry
) -> dict[str, NDArray[np.float64]]:
    """``mean_layer``, ``layer_spread``, ``first_layer``, ``weighted``, ``weighted_response``, ``(B,)`` each.

    Args:
        layer_energy: Energies per layer [MeV], ``(B, L)``.
        incident: Incident energies [MeV], ``(B,)``.
        geometry: The read-out.
    """
    energy = np.asarray(layer_energy, np.float64)
    total, number = energy.sum(axis=1), np.arange(geometry.n_layers)
    mean = ratio((energy * number).sum(axis=1), total)
    square = ratio((energy * np.square(number - mean[:, None])).sum(axis=1), total)
    weighted = (energy * absorber_weights(geometry)).sum(axis=1)
    hit = energy > 0
    return {
        "mean_layer": mean,
        "layer_spread": np.sqrt(square),
        "first_layer": np.where(hit.any(axis=1), hit.argmax(axis=1), geometry.n_layers).astype(np.float64),
        "weighted": weighted,
        "weighted_response": weighted / incident,
    }
