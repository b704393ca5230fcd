"""Groups of cells whose hits and energies the totals tell: the regions of all layers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from caloforge.models.pyramid.tree import sums_by_layer

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from caloforge.models.pyramid.tree import Parents

__all__ = ["group_of_cell", "group_sums"]


def group_of_cell(region: NDArray[np.int64], n_layers: int) -> NDArray[np.int64]:
    """Layer times regions plus region of every cell of all layers, ``(n_cells,)``."""
    number = int(region.max()) + 1
    return (np.arange(n_layers)[:, None] * number + region).ravel()


def group_sums(hits: Parents, group: Tensor, energy: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """Hits and energies of all groups, ``(B, size)`` each.

    Args:
        hits: Hit cells.
        group: Group of every cell of the calorimeter, ``(n_cells,)``.
        energy: Energies of the hits, ``(H,)``.
        size: Number of groups.
    """
    columns = torch.stack([torch.ones_like(energy), energy], dim=1)
    counts, sums = sums_by_layer(hits, group[hits.number], columns, size).unbind(2)
    return counts, sums
