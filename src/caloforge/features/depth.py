"""How deep a shower is, and its energy weighted by the absorber in front of every sensor."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from caloforge.features.sums import ratio

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from caloforge.geometry import Geometry, Layer

__all__ = ["absorber_weights", "depth_columns"]


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


def absorber_weights(geometry: Geometry) -> NDArray[np.float64]:
    """Thickness of every layer's plates that are not read out, over that of the thinnest, ``(L,)``.

    A sampling calorimeter's energy is the sum of its sensors' weighted with these. All are 1 where the
    materials are not known or layers are alike. Plates of different materials count by their length.
    """
    thickness = np.array([_absorber(layer) for layer in geometry.layers])
    some = thickness[thickness > 0]
    return np.maximum(thickness / some.min(), 1.0) if len(some) else np.ones(len(thickness))


def _absorber(layer: Layer) -> float:
    return float(sum(slab.thickness for slab in layer.slabs if not slab.sensitive))
