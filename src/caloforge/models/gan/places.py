"""Where the cells of an image are, relative to the axis of the particle."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

if TYPE_CHECKING:
    from torch import Tensor

    from caloforge.geometry import Geometry

__all__ = ["Places"]

_NEAR = 5.0  # mm: what is near the axis


class Places(nn.Module):
    """Channels that tell a convolution where its cells are.

    Depth (0 to 1), x and y from the axis of the particle in half windows, and the logarithm of the
    distance to the axis. All layers count as equally thick here: with thicker absorbers behind, the axis
    is off by less than half a cell of 15 mm at the largest angles, which the networks see in the data.

    Args:
        geometry: The read-out; all layers have one grid of square cells.
        shape: Cells along x, y and depth of the (larger or coarser) image that is convolved.
        factor: How many cells of the read-out one of these is along each axis.
    """

    channels = 4
    x: Tensor
    y: Tensor
    z: Tensor

    def __init__(
        self, geometry: Geometry, shape: tuple[int, int, int], factor: tuple[int, int, int] = (1, 1, 1)
    ) -> None:
        super().__init__()
        layers, nx, ny = geometry.dense_shape
        pitch = geometry.layers[0].grid.extents()[0]
        steps = (float(pitch[0]), float(pitch[1]), geometry.depth / layers)
        self._half = (0.5 * nx * steps[0], 0.5 * ny * steps[1])
        self._depth = geometry.depth
        for axis, name in enumerate("xyz"):
            size = shape[axis]
            place = (torch.arange(size) - 0.5 * (size - 1)) * (steps[axis] * factor[axis])
            self.register_buffer(name, place, persistent=False)

    def forward(self, polar: Tensor) -> Tensor:
        """Channels ``(B, 4, x, y, depth)`` for polar angles ``(B,)`` [rad]."""
        depth = self.z + 0.5 * self._depth
        lean = polar.cos() / polar.sin()
        shape = (polar.shape[0], len(self.x), len(self.y), len(self.z))
        x = self.x[:, None, None].expand(shape)
        y = (self.y[None, :, None] - (lean[:, None] * depth)[:, None, None, :]).expand(shape)
        near = torch.log1p(torch.hypot(x, y) / _NEAR)
        z = (depth / self._depth).expand(shape)
        return torch.stack([z, x / self._half[0], y / self._half[1], near], dim=1)
