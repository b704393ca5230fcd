"""What a cell is told of those drawn before it: its neighbours, and sums of layers.

Cells are drawn layer by layer and, in a layer, by their place in squares of 2 x 2 cells: all cells of one
place at once. As in autoregressive models of images (1606.05328), convolutions whose weights for what comes
later are zero see a whole real shower in one step of the training.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.nn import functional

from caloforge.models.bibae.blocks import SLOPE
from caloforge.units import GEV

if TYPE_CHECKING:
    from torch import Tensor

    from caloforge.models.bibae.cells import Told

__all__ = ["LAYERS", "PLACES", "Earlier", "in_image", "in_squares", "seen_of", "sums_before"]

PLACES = 4
"""Of cells in a square."""
LAYERS = 2
"""Before its own that a cell sees the neighbourhood in."""
_SOFT = 0.1  # MeV: where logarithms of energies begin
_UNIT = 5.0  # of logarithms
_SUMS = 14


class Earlier(nn.Module):
    """Numbers of all cells that depend on the cells drawn before.

    Neighbours are those of the own square and the eight around it, in the same and the two layers before:
    whether they are hit, and the logarithms of their energies. Sums are hits and energies of the three layers
    before, of what is drawn of the own one and of all, and what is left of the visible energy.

    Args:
        width: Numbers of a cell.
    """

    mask: Tensor

    def __init__(self, width: int) -> None:
        super().__init__()
        self._width = width
        self.near = nn.Conv3d(2 * PLACES, PLACES * width, 3, padding=(0, 1, 1), bias=False)
        self.sums = nn.Sequential(nn.Linear(_SUMS, width), nn.LeakyReLU(SLOPE), nn.Linear(width, width))
        order = torch.arange(PLACES)
        before = (order[None, :] < order[:, None]).float()  # of a place, the others
        mask = torch.ones(PLACES, width, 2, PLACES, 3, 3, 3)
        mask[..., -1, :, :] = before[:, None, None, :, None, None]
        self.register_buffer("mask", mask.reshape(self.near.weight.shape), persistent=False)

    def forward(self, squares: Tensor, particles: Told) -> Tensor:
        """Numbers ``(B, layers, X, Y, 4, width)`` of all cells of real showers.

        Args:
            squares: Cell energies [MeV], ``(B, layers, X, Y, 4)``.
            particles: Whose showers they are.
        """
        seen = functional.pad(seen_of(squares).movedim(-1, 1), (0, 0, 0, 0, LAYERS, 0))
        seen = seen.contiguous(memory_format=torch.channels_last_3d)
        weight = (self.near.weight * self.mask).contiguous(memory_format=torch.channels_last_3d)
        near = functional.conv3d(seen, weight, padding=(0, 1, 1)).movedim(1, -1)
        sums = self.sums(sums_before(squares.sum((2, 3)), (squares > 0).sum((2, 3)), particles))
        told: Tensor = near.reshape(*squares.shape, self._width) + sums[:, :, None, None]
        return told

    def step(self, seen: Tensor, sums: Tensor, place: int) -> Tensor:
        """Numbers ``(B, X, Y, width)`` of the cells at one place of a layer, out of what is drawn so far.

        Args:
            seen: Of :func:`seen_of`, of the layer and the two before, ``(B, 8, 3, X, Y)``.
            sums: Of :func:`sums_before` at this place, ``(B, 14)``.
            place: In the square.
        """
        rows = slice(place * self._width, (place + 1) * self._width)
        weight = self.near.weight[rows] * self.mask[rows]
        near = functional.conv3d(seen, weight, padding=(0, 1, 1))[:, :, 0].movedim(1, -1)
        told: Tensor = near + self.sums(sums)[:, None, None]
        return told


def seen_of(cells: Tensor) -> Tensor:
    """What convolutions see of cells ``(..., n)`` [MeV]: who is hit, and logarithms, ``(..., 2 n)``."""
    return torch.cat([(cells > 0).to(cells.dtype), (cells / _SOFT).log1p()], dim=-1)


def sums_before(energy: Tensor, hits: Tensor, particles: Told) -> Tensor:
    """Logarithms ``(B, layers, 4, 14)`` of sums of what is drawn before the cells of a place.

    Args:
        energy: Of cells at each place of each layer [MeV], ``(B, layers, 4)``.
        hits: Of them.
        particles: Whose showers they are.
    """
    hits, count = hits.to(energy.dtype), energy.shape[1]
    columns: list[Tensor] = []
    for number, soft in ((energy, _SOFT), (hits, 1.0)):
        layer = number.sum(2)
        own = number.cumsum(2) - number
        layers = [functional.pad(layer[:, : count - k], (k, 0)) for k in (1, 2, 3)]
        whole = (layer.cumsum(1) - layer)[:, :, None] + own
        columns += [(n / soft).log1p() for n in (own, whole)]
        columns += [(n / soft).log1p()[:, :, None].expand_as(own) for n in layers]
        if number is energy:
            total = particles.visible.to(energy.dtype)[:, None, None]
            left = (total - whole).clamp_min(0)
            columns += [(left / soft).log1p(), _UNIT * left / total.clamp_min(soft)]
    depth = torch.linspace(0, _UNIT, count, device=energy.device)[None, :, None]
    incident = (particles.energy.to(energy.dtype) / GEV).log1p()[:, None, None]
    columns += [part.expand_as(hits) for part in (depth, incident)]
    return torch.stack(columns, dim=-1) / _UNIT


def in_squares(image: Tensor) -> Tensor:
    """Cells ``(B, layers, x, y, ...)`` by their places in squares of 2 x 2: ``(B, layers, X, Y, 4, ...)``."""
    batch, layers, x, y, *rest = image.shape
    split = image.reshape(batch, layers, x // 2, 2, y // 2, 2, *rest)
    return split.transpose(3, 4).reshape(batch, layers, x // 2, y // 2, PLACES, *rest)


def in_image(squares: Tensor) -> Tensor:
    """The reverse of :func:`in_squares`."""
    batch, layers, x, y, _, *rest = squares.shape
    split = squares.reshape(batch, layers, x, y, 2, 2, *rest)
    return split.transpose(3, 4).reshape(batch, layers, 2 * x, 2 * y, *rest)
