"""What a cell is told of those drawn before it: its neighbours, and sums of layers.

Cells are drawn layer by layer and, in a layer, by their place in squares of 2 x 2 cells: all cells of one
place at once. As in autoregressive models of images (1606.05328), convolutions whose weights for what comes
later are zero see a whole real shower in one step of the training.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import nn
from torch.nn import functional

from caloforge.models.bibae.blocks import SLOPE
from caloforge.units import GEV

if TYPE_CHECKING:
    from torch import Tensor

    from caloforge.models.bibae.cells import Told
    from caloforge.models.bibae.typical import Usual
    from caloforge.preprocessing.quantiles import QuantileTransform

__all__ = [
    "LAYERS",
    "PLACES",
    "Near",
    "Sums",
    "TellSums",
    "in_image",
    "in_squares",
    "sums_before",
    "surprise",
]

PLACES = 4
"""Of cells in a square."""
LAYERS = 2
"""Before its own that a cell sees the neighbourhood in."""
_SUMS = 14
_FARTHEST = 4.0  # widths that an energy may be off by
_SOFT = 1.0  # MeV, and hits: below it ratios of sums say nothing
_TINY = 1e-6  # MeV


class Near(nn.Module):
    """Convolutions of what is drawn in the own square and the eight around it, in three layers.

    Args:
        width: Numbers of a cell.
    """

    mask: Tensor

    def __init__(self, width: int) -> None:
        super().__init__()
        self._width = width
        self.convolution = nn.Conv3d(2 * PLACES, PLACES * width, 3, bias=False)
        order = torch.arange(PLACES)
        before = (order[None, :] < order[:, None]).float()  # of a place, the others
        mask = torch.ones(PLACES, width, 2, PLACES, 3, 3, 3)
        mask[..., -1, :, :] = before[:, None, None, :, None, None]
        self.register_buffer("mask", mask.reshape(self.convolution.weight.shape), persistent=False)

    def forward(self, seen: Tensor) -> Tensor:
        """Numbers ``(B, layers, X, Y, 4, width)`` of all cells.

        Args:
            seen: Surprises of whole showers, ``(B, layers, X, Y, 8)``.
        """
        image = functional.pad(seen.movedim(-1, 1), (0, 0, 0, 0, LAYERS, 0))
        image = image.contiguous(memory_format=torch.channels_last_3d)
        weight = (self.convolution.weight * self.mask).contiguous(memory_format=torch.channels_last_3d)
        near = functional.conv3d(image, weight, padding=(0, 1, 1)).movedim(1, -1)
        return near.reshape(*near.shape[:4], PLACES, self._width)

    def step(self, seen: Tensor, place: int) -> Tensor:
        """Numbers ``(B, X, Y, width)`` of the cells at one place of a layer, out of what is drawn so far.

        Args:
            seen: Surprises of the two layers before and the own one, ``(B, 3, X, Y, 8)``.
            place: In the square.
        """
        rows = slice(place * self._width, (place + 1) * self._width)
        weight = self.convolution.weight[rows] * self.mask[rows]
        return functional.conv3d(seen.movedim(-1, 1), weight, padding=(0, 1, 1))[:, :, 0].movedim(1, -1)


def surprise(cells: Tensor, usual: Usual, energies: QuantileTransform) -> Tensor:
    """How far cells ``(..., n)`` [MeV] are from usual ones, ``(..., 2 n)``.

    Hits minus their chance, and the energies of hits in widths.
    """
    hit = cells > 0
    off = (energies(cells[hit]) - usual.mean[hit]) / usual.width[hit]
    off = torch.zeros_like(cells).masked_scatter(hit, off.clamp(-_FARTHEST, _FARTHEST))
    return torch.cat([hit.to(off.dtype) - usual.chance.sigmoid(), off], dim=-1)


class Sums(NamedTuple):
    """Sums of cells at each place of each layer, drawn and usual, ``(B, layers, 4)``.

    Attributes:
        energy: [MeV].
        hits: Their number.
        usual_energy: As showers have on average [MeV].
        usual_hits: The same of hits.
    """

    energy: Tensor
    hits: Tensor
    usual_energy: Tensor
    usual_hits: Tensor

    @classmethod
    def of(cls, squares: Tensor, usual: Usual) -> Sums:
        """Of cells ``(B, layers, X, Y, 4)`` [MeV]."""
        parts = (squares, squares > 0, usual.energy, usual.chance.sigmoid())
        return cls(*(part.sum((2, 3)).to(squares.dtype) for part in parts))


class TellSums(nn.Module):
    """A small network of sums of what is drawn before.

    Args:
        width: Numbers of a cell.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.network = nn.Sequential(nn.Linear(_SUMS, width), nn.LeakyReLU(SLOPE), nn.Linear(width, width))

    def forward(self, sums: Sums, particles: Told) -> Tensor:
        """Numbers ``(B, layers, 4, width)`` of cells at each place of each layer."""
        told: Tensor = self.network(sums_before(sums, particles))
        return told


def sums_before(sums: Sums, particles: Told) -> Tensor:
    """Numbers ``(B, layers, 4, 14)`` about what is drawn before the cells of a place.

    Logarithms of energies and of hits over usual ones: of the places of the own layer, of all that is drawn,
    and of the three layers before; the same of what is left of the visible energy; how much that should be;
    depth and energy of the particle.
    """
    columns: list[Tensor] = []
    for drawn, usual in ((sums.energy, sums.usual_energy), (sums.hits, sums.usual_hits)):
        columns += [_ratio(a, b) for a, b in zip(_before(drawn), _before(usual), strict=True)]
    visible = particles.visible.to(sums.energy.dtype)[:, None, None]
    left = (visible - _before(sums.energy)[1]).clamp_min(0)
    whole = sums.usual_energy.sum((1, 2), keepdim=True)
    usual = (whole - _before(sums.usual_energy)[1]).clamp_min(0)
    columns += [_ratio(left, usual), usual / whole.clamp_min(_TINY)]
    depth = torch.linspace(0, 1, usual.shape[1], device=usual.device)[:, None]
    energy = (particles.energy / (100 * GEV)).to(usual.dtype)[:, None, None]
    columns += [part.expand_as(usual) for part in (depth, energy)]
    return torch.stack(columns, dim=-1)


def _ratio(drawn: Tensor, usual: Tensor) -> Tensor:
    """A logarithm that is zero where both are much less than one."""
    return ((drawn + _SOFT) / (usual + _SOFT)).log()


def _before(numbers: Tensor) -> list[Tensor]:
    """Of ``(B, layers, 4)``: sums of the own layer and of all before a place, and of three layers before."""
    layer = numbers.sum(2)
    own = numbers.cumsum(2) - numbers
    whole = (layer.cumsum(1) - layer)[:, :, None] + own
    shifted = (functional.pad(layer, (k, 0))[:, : layer.shape[1]] for k in (1, 2, 3))
    return [own, whole, *(part[:, :, None].expand_as(own) for part in shifted)]


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
