"""The cell under a point, in operators that a graph has."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch

from caloforge.geometry.grids import BoxGrid

if TYPE_CHECKING:
    from torch import Tensor

    from caloforge.geometry import Geometry
    from caloforge.geometry.grids import PolarGrid

__all__ = ["find_in_graph"]


def find_in_graph(geometry: Geometry, values: Tensor) -> Tensor:
    """As ``Geometry.find_cells``: cells ``(M,)`` under x, y, depth of ``(M, 3 or more)``, -1 for none.

    Raises:
        NotImplementedError: The layers have different grids.
    """
    if not geometry.is_uniform:
        msg = "layers of different grids have no graph"
        raise NotImplementedError(msg)
    grid = geometry.layers[0].grid
    layer = values[:, 2].clamp(-1.0, geometry.n_layers).floor().long()
    find = _in_box if isinstance(grid, BoxGrid) else _in_rings
    local, inside = find(grid, values[:, 0], values[:, 1])  # type: ignore[arg-type]
    inside = inside & (layer >= 0) & (layer < geometry.n_layers)
    return torch.where(inside, layer * grid.n_cells + local, -1)


def _in_box(grid: BoxGrid, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    ix, iy = ((v - low) / pitch for v, low, pitch in zip((x, y), grid.low, grid.pitch, strict=True))
    ix, iy = ix.clamp(-1.0, grid.nx).floor().long(), iy.clamp(-1.0, grid.ny).floor().long()
    inside = (ix >= 0) & (ix < grid.nx) & (iy >= 0) & (iy < grid.ny)
    return ix * grid.ny + iy, inside


def _in_rings(grid: PolarGrid, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    edges = torch.tensor(grid.r_edges, dtype=x.dtype)
    ring = (torch.hypot(x, y)[:, None] >= edges).sum(1) - 1
    # ONNX Runtime has no arctangent in double precision
    turn = (torch.atan2(y.float(), x.float()).double() + math.pi) / (2 * math.pi)
    alpha = (turn * grid.n_alpha).long().clamp(max=grid.n_alpha - 1)
    return alpha * grid.n_r + ring, (ring >= 0) & (ring < grid.n_r)
