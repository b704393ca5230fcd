"""In which order layers are drawn: far apart first, then those halfway between."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["layer_order"]


def layer_order(n_layers: int) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Levels of layers, and the layers drawn before that are nearest.

    Returns:
        Level of every layer, 0 for the first to be drawn, and the nearest layers of earlier levels in
        front and behind, -1 where there is none; ``(L,)`` each.
    """
    layer = np.arange(n_layers)
    top = 1 << max(0, (n_layers - 1).bit_length() - 1)
    apart = np.minimum(np.where(layer == 0, top, layer & -layer), top)
    level = int(top).bit_length() - 1 - np.log2(apart).astype(np.int64)
    front, behind = layer - apart, layer + apart
    front = np.where((level > 0) & (front >= 0), front, -1)
    behind = np.where((level > 0) & (behind < n_layers), behind, -1)
    return level, front, behind
