"""Where cells lie around the particle's axis: in which ring, how far off along x and y."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn

from caloforge.errors import ConfigError, bad

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from caloforge.geometry import Geometry

__all__ = ["Rings"]


class Rings(nn.Module):
    """Rings of so many cells: the nearest to the axis in a layer, the next ones, the rest.

    The axis leans, and so do the rings; their sizes stay.

    Args:
        geometry: The read-out; all layers have one grid of square cells.
        sizes: Cells of the rings, from the inside; the rest of a layer is the last one.

    Raises:
        ConfigError: A layer has no cell left for the last ring.
    """

    x: Tensor
    y: Tensor
    z: Tensor
    ring: Tensor

    def __init__(self, geometry: Geometry, sizes: Sequence[int]) -> None:
        super().__init__()
        _, nx, ny = geometry.dense_shape
        rest = nx * ny - sum(sizes)
        if rest <= 0:
            got, expected = f"rings of {sum(sizes)} cells", f"fewer than the {nx * ny} of a layer"
            raise ConfigError(bad("model.totals.rings", got=got, expected=expected))
        self.capacity = torch.tensor([*sizes, rest])
        places = geometry.layers[0].grid.centres()
        for name, values in (("x", places[:, 0]), ("y", places[:, 1]), ("z", geometry.layer_z)):
            self.register_buffer(name, torch.from_numpy(np.array(values)).float(), persistent=False)
        ring = torch.arange(len(self.capacity)).repeat_interleave(self.capacity)
        self.register_buffer("ring", ring, persistent=False)

    def forward(self, polar: Tensor) -> Tensor:
        """Rings of all cells, ``(B, layers, x y)``, for polar angles ``(B,)`` [rad]."""
        x, y = self.offsets(polar)
        order = torch.hypot(x, y).argsort(dim=2, stable=True)
        return torch.zeros_like(order).scatter(2, order, self.ring.expand_as(order))

    def offsets(self, polar: Tensor) -> tuple[Tensor, Tensor]:
        """Distances along x and y of all cells from the axis [mm], ``(B, layers, x y)`` each."""
        lean = polar.cos() / polar.sin()
        y = self.y - (lean[:, None] * self.z)[:, :, None]
        return self.x.expand_as(y), y
