"""The network of the cells: of the decoder's features, their places and the cells drawn before."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.nn import functional

from caloforge.models.bibae.blocks import SLOPE
from caloforge.models.bibae.cells import Cells
from caloforge.models.bibae.earlier import (
    LAYERS,
    PLACES,
    Earlier,
    in_image,
    in_squares,
    seen_of,
    sums_before,
)
from caloforge.models.bibae.places import Places
from caloforge.models.bibae.typical import Typical

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from torch import Tensor

    from caloforge.geometry import Geometry
    from caloforge.models.bibae.blocks import Shape
    from caloforge.models.bibae.cells import Draws, Told
    from caloforge.models.bibae.config import CellsConfig
    from caloforge.preprocessing.quantiles import QuantileTransform

__all__ = ["CellHead"]

_FIRST = 0.3  # the last layer's weights start small by this: at first cells are as they typically are
_WIDEST = 2.0  # of the logarithm of a width over what is typical
_NUMBERS = 3  # of a cell's distribution
_SELDOM = -7.0  # logit of a hit, one in a thousand showers: below it cells stay as they typically are


class CellHead(nn.Module):
    """One small network for all cells.

    Where fewer than one in a thousand showers has a hit, cells stay as they typically are: half of the time.

    One cell of the decoder's smaller image is a block of ``n x 2 x 2`` cells of the read-out; of its features
    every cell of the block is told its own combination.

    Args:
        config: Sizes.
        channels: Of the decoder's features.
        shape: Cells of the decoder's image.
        geometry: The read-out.

    Raises:
        ValueError: The read-out has no whole number of such blocks.
    """

    def __init__(self, config: CellsConfig, channels: int, shape: Shape, geometry: Geometry) -> None:
        super().__init__()
        layers, x, y = geometry.dense_shape
        if layers % shape[0] or (x, y) != (2 * shape[1], 2 * shape[2]):
            cells = f"{(layers, x, y)} cells into blocks of n x 2 x 2"
            msg = f"model.decoder.blocks make {shape} blocks, which do not divide {cells}"
            raise ValueError(msg)
        width = config.hidden[0]
        self._deep = layers // shape[0]
        self.places = Places(geometry)
        self.features = nn.Linear(channels, self._deep * PLACES * width, bias=False)
        self.place = nn.Linear(Places.channels, width)
        self.earlier = Earlier(width) if config.neighbours else None
        self.hidden = nn.ModuleList(nn.Linear(*pair) for pair in pairwise(config.hidden))
        self.last = nn.Linear(config.hidden[-1], _NUMBERS)
        self.typical = Typical()
        with torch.no_grad():
            for parameter in self.last.parameters():
                parameter.mul_(_FIRST)

    def forward(self, features: Tensor, particles: Told, energies: QuantileTransform, image: Tensor) -> Cells:
        """Distributions of all cells ``(B, layers, x, y)``, given those of a shower that come before each.

        Args:
            features: Of the smaller image, ``(B, channels, ...)``.
            particles: Whose showers they are.
            energies: Normal numbers and energies of hits.
            image: Cell energies of their showers [MeV], ``(B, layers, x, y)``.
        """
        places = self.places(particles.lean)
        told = self.told(features, in_squares(places))
        if self.earlier is not None:
            told = told + self.earlier(in_squares(image), particles)
        typical = self.typical(places, particles.energy)
        often = in_squares(typical[0]) > _SELDOM
        numbers = (told.new_zeros(often.shape).masked_scatter(often, n) for n in self.numbers(told[often]))
        return _cells(typical, [in_image(part) for part in numbers], energies)

    @torch.no_grad()
    def draw(self, features: Tensor, particles: Told, energies: QuantileTransform, draws: Draws) -> Tensor:
        """Draw cell energies ``(B, layers, x, y)`` [MeV] one after another, without gradients.

        Args:
            features: Of the smaller image, ``(B, channels, ...)``.
            particles: Whose showers they are.
            energies: Normal numbers and energies of hits.
            draws: Random numbers.
        """
        places = self.places(particles.lean)
        typical = self.typical(places, particles.energy)
        shape = typical.shape[1:]
        count = shape[1:].numel()
        numbers = draws.uniform("hits", count), draws.normal("energies", count)
        random = in_squares(numbers[0].view(shape)), in_squares(numbers[1].view(shape))
        drawing = _Drawing(self, particles, energies, in_squares(typical.movedim(0, -1)), random)
        for block, some in enumerate(features.unbind(2)):
            layers = range(block * self._deep, (block + 1) * self._deep)
            told = self.told(some[:, :, None], in_squares(places[:, layers.start : layers.stop]))
            for layer, own in zip(layers, told.unbind(1), strict=True):
                for place in range(PLACES):
                    drawing.step(own[..., place, :], layer, place)
        return in_image(drawing.squares)

    def told(self, features: Tensor, places: Tensor) -> Tensor:
        """What cells know before any is drawn, ``(B, layers, X, Y, 4, width)``.

        Args:
            features: Of some layers of the smaller image, ``(B, channels, ...)``.
            places: Of their cells, ``(B or 1, layers, X, Y, 4, 5)``.
        """
        blocks: Tensor = self.features(features.movedim(1, -1)).unflatten(-1, (self._deep, PLACES, -1))
        known: Tensor = blocks.movedim(4, 2).flatten(1, 2) + self.place(places)
        return known

    def numbers(self, told: Tensor) -> tuple[Tensor, ...]:
        """The network's chance, mean and logarithm of a width ``(...)`` of cells ``(..., width)``."""
        for layer in self.hidden:
            told = layer(functional.leaky_relu(told, SLOPE))
        made: Tensor = self.last(functional.leaky_relu(told, SLOPE))
        return made.unbind(-1)

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


def _cells(typical: Sequence[Tensor], numbers: Sequence[Tensor], energies: QuantileTransform) -> Cells:
    """Cells that differ from typical ones by the network's numbers."""
    often, usual, spread, highest = typical
    chance, mean, width = numbers
    width = spread * (_WIDEST * (width / _WIDEST).tanh()).exp()
    return Cells(often + chance, usual + mean, width, highest, energies)


class _Drawing:
    """Showers that are being drawn.

    Args:
        head: The network.
        particles: Whose showers they are.
        energies: Normal numbers and energies of hits.
        typical: What cells typically have, ``(B, layers, X, Y, 4, 4)``.
        random: Numbers that decide who is hit, and those that energies are made of, ``(B, layers, X, Y, 4)``.
    """

    def __init__(
        self,
        head: CellHead,
        particles: Told,
        energies: QuantileTransform,
        typical: Tensor,
        random: tuple[Tensor, Tensor],
    ) -> None:
        self._head, self._particles, self._energies = head, particles, energies
        self._typical, self._random = typical, random
        self.squares = torch.zeros_like(typical[..., 0])
        batch, layers, x, y, _ = self.squares.shape
        self._seen = self.squares.new_zeros(batch, layers + LAYERS, x, y, 2 * PLACES)
        self._energy, self._hits = (self.squares.new_zeros(batch, layers, PLACES) for _ in range(2))

    def step(self, told: Tensor, layer: int, place: int) -> None:
        """Draw the cells at one place of all squares of a layer."""
        if self._head.earlier is not None:
            window = self._seen[:, layer : layer + LAYERS + 1].movedim(-1, 1)
            sums = sums_before(self._energy, self._hits, self._particles)[:, layer, place]
            told = told + self._head.earlier.step(window, sums, place)
        at = (slice(None), layer, slice(None), slice(None), place)
        typical = self._typical[at].unbind(-1)
        numbers = [part * (typical[0] > _SELDOM) for part in self._head.numbers(told)]
        cells = _cells(typical, numbers, self._energies)
        drawn = cells.draw(*(numbers[at] for numbers in self._random))
        self.squares[at] = drawn
        self._seen[:, layer + LAYERS, :, :, place::PLACES] = seen_of(drawn[..., None])
        self._energy[:, layer, place] = drawn.sum((1, 2))
        self._hits[:, layer, place] = (drawn > 0).sum((1, 2))
