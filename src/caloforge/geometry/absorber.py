"""How much passive material every layer stands for."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from caloforge.geometry.layers import VACUUM

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from caloforge.geometry.layers import Geometry, Layer

__all__ = ["absorber_weights"]


def absorber_weights(geometry: Geometry) -> NDArray[np.float64]:
    """Thickness of every layer's plates that are not read out, over that of the thinnest, ``(L,)``.

    Vacuum is no plate.

    A sampling calorimeter's energy is the sum of its sensors' weighted with these. All are 1 where the
    materials are not known or layers are alike. Plates of different materials count by their length.
    """
    thickness = np.array([_absorber(layer) for layer in geometry.layers])
    some = thickness[thickness > 0]
    return np.maximum(thickness / some.min(), 1.0) if len(some) else np.ones(len(thickness))


def _absorber(layer: Layer) -> float:
    passive = (slab for slab in layer.slabs if not slab.sensitive and slab.material != VACUUM)
    return float(sum(slab.thickness for slab in passive))
