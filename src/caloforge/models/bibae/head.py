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
    Near,
    Sums,
    TellSums,
    in_image,
    in_squares,
    surprise,
)
from caloforge.models.bibae.places import Places
from caloforge.models.bibae.typical import Typical, Usual

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from torch import Tensor

    from caloforge.geometry import Geometry
    from caloforge.models.bibae.blocks import Shape
    from caloforge.models.bibae.cells import Draws, Told
    from caloforge.models.bibae.config import CellsConfig
    from caloforge.preprocessing.quantiles import QuantileTransform

__all__ = ["CellHead", "random_of"]

_FIRST = 0.3  # the last layer's weights start small by this: at first cells are as they typically are
_WIDEST = 2.0  # of the logarithm of a width over what is typical
_NUMBERS = 6  # of a cell's distributions
_APART = 0.5  # in widths, of both means from the usual one, at first
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
        self.place = nn.Sequential(
            nn.Linear(Places.channels, width), nn.LeakyReLU(SLOPE), nn.Linear(width, 2 * width)
        )
        self.near = Near(width) if config.neighbours else None
        self.sums = TellSums(width) if config.neighbours else None
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
        usual = Usual(*map(in_squares, self.typical(places, particles.energy)))
        told, gate = self.told(features, in_squares(places))
        if self.near is not None and self.sums is not None:
            squares = in_squares(image)
            told = told + gate * self.near(surprise(squares, usual, energies))
            told = told + self.sums(Sums.of(squares, usual), particles)[:, :, None, None]
        often = usual.chance > _SELDOM
        numbers = (told.new_zeros(often.shape).masked_scatter(often, n) for n in self.numbers(told[often]))
        return _cells(Usual(*map(in_image, usual)), [in_image(part) for part in numbers], energies)

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
        usual = self.typical(places, particles.energy)
        shape = usual.chance.shape
        random = tuple(in_squares(numbers) for numbers in random_of(draws, shape))
        drawing = _Drawing(self, particles, energies, Usual(*map(in_squares, usual)), random)
        for block, some in enumerate(features.unbind(2)):
            layers = range(block * self._deep, (block + 1) * self._deep)
            parts = self.told(some[:, :, None], in_squares(places[:, layers.start : layers.stop]))
            for layer, told, gate in zip(layers, *(part.unbind(1) for part in parts), strict=True):
                for place in range(PLACES):
                    drawing.step(told[..., place, :], gate[..., place, :], layer, place)
        return in_image(drawing.squares)

    def told(self, features: Tensor, places: Tensor) -> tuple[Tensor, Tensor]:
        """What cells know before any is drawn, and what neighbours count for.

        Both are ``(B, layers, X, Y, 4, width)``.

        Args:
            features: Of some layers of the smaller image, ``(B, channels, ...)``.
            places: Of their cells, ``(B or 1, layers, X, Y, 4, 5)``.
        """
        blocks: Tensor = self.features(features.movedim(1, -1)).unflatten(-1, (self._deep, PLACES, -1))
        known, gate = self.place(places).chunk(2, dim=-1)
        return blocks.movedim(4, 2).flatten(1, 2) + known, 1 + gate

    def numbers(self, told: Tensor) -> tuple[Tensor, ...]:
        """The network's six numbers ``(...)`` of cells ``(..., width)``."""
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
            ((image, energies(image), self.places(told.lean), told.energy) for image, told in blocks),
            span,
        )


def random_of(draws: Draws, shape: torch.Size) -> tuple[Tensor, Tensor, Tensor]:
    """Numbers ``(B, layers, x, y)`` to draw with: who is hit, of which distribution, and where in it."""
    count = shape[1:].numel()
    numbers = draws.uniform("hits", count), draws.uniform("choices", count), draws.normal("energies", count)
    first, second, third = (part.view(shape) for part in numbers)
    return first, second, third


def _cells(usual: Usual, numbers: Sequence[Tensor], energies: QuantileTransform) -> Cells:
    """Cells that differ from usual ones by the network's numbers."""
    chance, first, width, second, other, share = numbers
    width, other = (usual.width * (_WIDEST * (w / _WIDEST).tanh()).exp() for w in (width, other))
    first, second = (usual.mean + usual.width * m for m in (first - _APART, second + _APART))
    return Cells(usual.chance + chance, (first, width, second, other, share), usual.highest, energies)


class _Drawing:
    """Showers that are being drawn.

    Args:
        head: The network.
        particles: Whose showers they are.
        energies: Normal numbers and energies of hits.
        usual: What cells have in typical showers, ``(B, layers, X, Y, 4)``.
        random: As of :func:`random_of`, of the same shape.
    """

    def __init__(
        self,
        head: CellHead,
        particles: Told,
        energies: QuantileTransform,
        usual: Usual,
        random: Sequence[Tensor],
    ) -> None:
        self._head, self._particles, self._energies = head, particles, energies
        self._usual, self._random = usual, random
        self.squares = torch.zeros_like(usual.chance)
        batch, layers, x, y, _ = self.squares.shape
        self._seen = self.squares.new_zeros(batch, layers + LAYERS, x, y, 2 * PLACES)
        self._sums = Sums.of(self.squares, usual)

    def step(self, told: Tensor, gate: Tensor, layer: int, place: int) -> None:
        """Draw the cells at one place of all squares of a layer."""
        head = self._head
        if head.near is not None and head.sums is not None:
            near = head.near.step(self._seen[:, layer : layer + LAYERS + 1], place)
            sums = head.sums(self._sums, self._particles)[:, layer, place]
            told = told + gate * near + sums[:, None, None]
        at = (slice(None), layer, slice(None), slice(None), place)
        usual = Usual(*(part[at] for part in self._usual))
        numbers = [part * (usual.chance > _SELDOM) for part in head.numbers(told)]
        drawn = _cells(usual, numbers, self._energies).draw(*(part[at] for part in self._random))
        self.squares[at] = drawn
        one = surprise(drawn[..., None], Usual(*(part[..., None] for part in usual)), self._energies)
        self._seen[:, layer + LAYERS, :, :, place::PLACES] = one
        self._sums.energy[:, layer, place] = drawn.sum((1, 2))
        self._sums.hits[:, layer, place] = (drawn > 0).sum((1, 2))
