"""Cells that are drawn: which are hit, and their energies, independently given features and places."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Protocol

import torch
from torch import nn
from torch.nn import functional

from caloforge.models.bibae.blocks import SLOPE
from caloforge.models.bibae.places import Places
from caloforge.models.bibae.typical import Typical

if TYPE_CHECKING:
    from collections.abc import Iterable

    from torch import Tensor

    from caloforge.geometry import Geometry
    from caloforge.models.bibae.blocks import Shape
    from caloforge.models.bibae.config import CellsConfig
    from caloforge.preprocessing.quantiles import QuantileTransform

__all__ = ["CellHead", "Cells", "Draws", "Told"]

_FIRST = 0.3  # the last layer's weights start small by this: at first cells are as they typically are
_WIDEST = 2.0  # of the logarithm of a width over what is typical
_HALF_LOG_TWO_PI = 0.9189385332046727
_NUMBERS = 3  # of a cell's distribution
_INTO_BLOCKS, _INTO_CELLS = (0, 1, 3, 5, 2, 4, 6, 7), (0, 1, 4, 2, 5, 3, 6)


class Told(Protocol):
    """What cells depend on of particles."""

    @property
    def energy(self) -> Tensor:
        """Incident energies [MeV], ``(B,)``."""
        ...

    @property
    def lean(self) -> Tensor:
        """Angles between particles and the depth [rad], ``(B,)``, or one for all, ``(1,)``."""
        ...


class Draws(Protocol):
    """A source of random numbers, so many a shower."""

    def normal(self, name: str, width: int) -> Tensor:
        """Standard normal numbers ``(B, width)`` of the sub-stream ``name``."""
        ...

    def uniform(self, name: str, width: int) -> Tensor:
        """Numbers in (0, 1), ``(B, width)``."""
        ...


@dataclass(frozen=True)
class Cells:
    """Distributions of cells.

    Attributes:
        chance: Logits of a hit, ``(B, layers, x, y)``.
        mean: Of the normal number that a hit's energy is, the same shape.
        width: Its standard deviation.
        highest: The largest one that is drawn.
        energies: Normal numbers and energies of hits [MeV].
    """

    chance: Tensor
    mean: Tensor
    width: Tensor
    highest: Tensor
    energies: QuantileTransform

    def log_prob(self, image: Tensor) -> Tensor:
        """Logarithms ``(B,)`` of the probability of cell energies ``(B, layers, x, y)`` [MeV].

        Densities of energies are those of their normal numbers.
        """
        hit = image > 0
        hits = functional.softplus(self.chance) - self.chance * hit
        shower = hit.nonzero()[:, 0]
        width = self.width[hit]
        off = (self.energies(image[hit]) - self.mean[hit]) / width
        terms = -0.5 * off.square() - width.log() - _HALF_LOG_TWO_PI
        energies: Tensor = terms.new_zeros(len(image)).index_add(0, shower, terms)
        return energies - hits.sum((1, 2, 3))

    def draw(self, draws: Draws) -> Tensor:
        """Cell energies ``(B, layers, x, y)`` [MeV].

        The gradient of a choice is that of the probability's slope at what was drawn: another choice changes
        a hit of the least energy.
        """
        number = self.chance[0].numel()
        uniform = draws.uniform("hits", number).view_as(self.chance).to(self.chance.dtype)
        chance = self.chance + uniform.logit(1e-6)
        hit = chance > 0
        normal = draws.normal("energies", number).view_as(self.chance)[hit].to(self.chance.dtype)
        drawn = self.mean[hit] + self.width[hit] * normal
        energy = self.energies.inverse(torch.minimum(drawn, self.highest[hit]))
        slope = chance.sigmoid() * float(self.energies.value[0])
        return torch.zeros_like(self.chance).masked_scatter(hit, energy) + slope - slope.detach()


class CellHead(nn.Module):
    """A small network for all blocks of cells, which sees the decoder's features and where the cells are.

    A block is what one cell of the decoder's smaller image is of the read-out.

    Args:
        config: Sizes.
        channels: Of the decoder's features.
        shape: Cells of the decoder's image.
        geometry: The read-out.

    Raises:
        ValueError: The read-out has no whole number of blocks.
    """

    def __init__(self, config: CellsConfig, channels: int, shape: Shape, geometry: Geometry) -> None:
        super().__init__()
        sizes = tuple(zip(geometry.dense_shape, shape, strict=True))
        if any(cells % blocks for cells, blocks in sizes):
            msg = (
                f"model.decoder.blocks make {shape} blocks, which do not divide {geometry.dense_shape} cells"
            )
            raise ValueError(msg)
        self._sizes = [n for cells, blocks in sizes for n in (blocks, cells // blocks)]
        block = geometry.n_cells // math.prod(shape)
        self.places = Places(geometry)
        self.features = nn.Linear(channels, config.hidden[0], bias=False)
        self.place = nn.Linear(Places.channels * block, config.hidden[0])
        self.hidden = nn.ModuleList(nn.Linear(*pair) for pair in pairwise(config.hidden))
        self.last = nn.Linear(config.hidden[-1], _NUMBERS * block)
        self.typical = Typical()
        with torch.no_grad():
            for parameter in self.last.parameters():
                parameter.mul_(_FIRST)

    def forward(self, features: Tensor, particles: Told, energies: QuantileTransform) -> Cells:
        """Distributions of the cells.

        Args:
            features: Of the smaller image, ``(B, channels, ...)``.
            particles: Whose showers they are.
            energies: Normal numbers and energies of hits.
        """
        places = self.places(particles.lean)
        blocks = self.features(features.movedim(1, -1)) + self.place(self._in_blocks(places))
        for layer in self.hidden:
            blocks = layer(functional.leaky_relu(blocks, SLOPE, inplace=True))
        made = self.last(functional.leaky_relu(blocks, SLOPE, inplace=True))
        chance, mean, width = (self._in_cells(part) for part in made.chunk(_NUMBERS, dim=-1))
        often, usual, spread, highest = self.typical(places, particles.energy)
        width = spread * (_WIDEST * (width / _WIDEST).tanh()).exp()
        return Cells(often + chance, usual + mean, width, highest, energies)

    def fit(
        self, blocks: Iterable[tuple[Tensor, Told]], span: tuple[float, float], energies: QuantileTransform
    ) -> None:
        """Take what cells typically have from showers.

        Args:
            blocks: Cell energies ``(B, layers, x, y)`` [MeV] and the particles, some showers at a time.
            span: Lowest and highest energy of a particle [MeV].
            energies: Normal numbers and energies of hits.
        """
        self.typical.fit(
            (
                (torch.where(image > 0, energies(image), torch.nan), self.places(told.lean), told.energy)
                for image, told in blocks
            ),
            span,
        )

    def _in_blocks(self, places: Tensor) -> Tensor:
        """Numbers of cells ``(B, layers, x, y, F)`` as those of blocks ``(B, ..., F block)``."""
        return places.reshape(-1, *self._sizes, places.shape[-1]).permute(_INTO_BLOCKS).flatten(4)

    def _in_cells(self, blocks: Tensor) -> Tensor:
        """One number of every cell ``(B, layers, x, y)`` of those of blocks ``(B, ..., block)``."""
        inner = blocks.reshape(*blocks.shape[:4], *self._sizes[1::2])
        layers, x, y = (a * b for a, b in zip(self._sizes[::2], self._sizes[1::2], strict=True))
        return inner.permute(_INTO_CELLS).reshape(-1, layers, x, y)
