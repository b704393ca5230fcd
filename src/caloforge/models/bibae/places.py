"""Where the cells of a read-out are, relative to the axis of the particle."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

if TYPE_CHECKING:
    from torch import Tensor

    from caloforge.geometry import Geometry

__all__ = ["Places"]

_NEAR = 5.0  # mm: what is near the axis
_SIDE = 20.0  # mm: what a side is measured in


class Places(nn.Module):
    """Numbers that tell a network where a cell is.

    Depth, and depth along the axis, both in units of the whole depth; the logarithm of the distance to the
    axis; the offsets from it across the plane of incidence and in it, as inverse hyperbolic sines.

    Args:
        geometry: The read-out; all layers have one grid of square cells.
    """

    channels = 5
    position: Tensor

    def __init__(self, geometry: Geometry) -> None:
        super().__init__()
        self._depth = geometry.depth
        places = torch.from_numpy(geometry.cell_positions).float()
        self.register_buffer("position", places.reshape(*geometry.dense_shape, 3), persistent=False)

    def forward(self, lean: Tensor) -> Tensor:
        """Numbers ``(B, layers, x, y, 5)`` of all cells.

        Args:
            lean: Angles between particles and the depth, towards +y [rad], ``(B,)``.
        """
        x, y, z = self.position.unbind(-1)
        cosine, sine = (part[:, None, None, None] for part in (lean.cos(), lean.sin()))
        along = cosine * z + sine * y
        across = cosine * y - sine * z
        x, z = (part.expand_as(along) for part in (x, z))
        near = torch.log1p(torch.hypot(x, across) / _NEAR)
        sides = [(offset / _SIDE).asinh() for offset in (x, across)]
        return torch.stack([z / self._depth, along / self._depth, near, *sides], dim=-1)
