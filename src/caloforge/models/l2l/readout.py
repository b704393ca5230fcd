"""What of a drawn layer is read out: cells above threshold that have the energy of the layer."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from caloforge.models.totals.energy_sums import with_sums

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["largest_cells", "renormalised"]

_SMALLEST = 1e-4  # MeV above threshold that a chosen cell has


def renormalised(cells: Tensor, total: Tensor, threshold: float) -> Tensor:
    """Cells scaled to the layer's energy so that those that stay above threshold have all of it.

    With energies in rising order, e_1 to e_n, and S_k the sum from e_k on: the first k with e_k E / S_k not
    below threshold; cells from there on are multiplied by E / S_k, the others are empty. All are empty where
    there is no such k (arXiv:2302.11594).

    Args:
        cells: Energies [MeV], ``(B, n)``.
        total: Energies E of the layer, ``(B,)``.
        threshold: Of the cells [MeV].
    """
    ordered, place = cells.double().sort(dim=1, descending=True, stable=True)
    sums = ordered.cumsum(1).clamp_min(1e-12)
    scaled = ordered * (total.double()[:, None] / sums)
    stays = (scaled >= threshold) & (ordered > 0)
    # the first k in rising order is the last that stays in falling order
    number = (stays * torch.arange(1, cells.shape[1] + 1, device=cells.device)).amax(1)
    kept = torch.arange(cells.shape[1], device=cells.device) < number[:, None]
    sum_of_kept = sums.gather(1, (number - 1).clamp_min(0)[:, None])
    values = torch.where(kept, ordered * (total.double()[:, None] / sum_of_kept), 0.0)
    return torch.zeros_like(values).scatter(1, place, values).to(cells.dtype)


def largest_cells(
    cells: Tensor, hits: Tensor, total: Tensor, threshold: float, lowest: float = 0.5
) -> Tensor:
    """The ``hits`` ``(B,)`` largest cells of every row, all above threshold, with the layer's energy.

    Those of them that lie below have as far above it as they lack, in the logarithm: a spike at the threshold
    would be seen.

    Args:
        cells: Energies [MeV], ``(B, n)``.
        hits: How many are hit.
        total: Energies of the layer [MeV], ``(B,)``.
        threshold: Of the cells [MeV].
        lowest: In units of the threshold: what lies below counts as this.
    """
    rows, columns = cells.shape
    place = cells.sort(dim=1, descending=True, stable=True).indices
    kept = torch.arange(columns, device=cells.device) < hits[:, None]
    index = (place + columns * torch.arange(rows, device=cells.device)[:, None])[kept]
    key = torch.arange(rows, device=cells.device)[:, None].expand(-1, columns)[kept]
    energy = cells.double().flatten()[index]
    mirrored = threshold**2 / energy.clamp_min(lowest * threshold)
    excess = (torch.where(energy < threshold, mirrored, energy) - threshold).clamp_min(_SMALLEST)
    wanted = (total.double() - hits * threshold).clamp_min(0.0)
    energy = threshold + with_sums(excess, wanted, key)
    image = torch.zeros(rows * columns, dtype=torch.float64, device=cells.device)
    return image.index_copy(0, index, energy).view(rows, columns).to(cells.dtype)
