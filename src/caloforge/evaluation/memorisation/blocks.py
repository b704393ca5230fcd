"""Blocks of 3 x 3 cells that occur again: the same cells hit, with the same energies or shares of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from caloforge.evaluation.memorisation.shares import Counted
from caloforge.geometry import PolarGrid, uniform_grid

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from caloforge.features import CellStore
    from caloforge.geometry import Geometry
    from caloforge.geometry.grids import Grid

__all__ = ["FEWEST", "SHIFTS", "SIDE", "STEP", "Blocks", "find_blocks"]

SIDE = 3
"""Cells of a block along both axes."""

SHIFTS = tuple((first, second) for first in range(SIDE) for second in range(SIDE))
"""The ways to lay blocks over the cells: by so many cells along both axes."""

FEWEST = 3
"""Hits of a block that is looked at: those of fewer are alike by chance."""

STEP = 1e-3
"""Energies are compared in steps of their logarithms."""

_SHOWERS = 512
_MIX = np.uint64(0x9E3779B97F4A7C15)
_TINY = 1e-12
_OFFSET = 2**20  # makes steps of logarithms positive; 0 is a cell that is not hit


@dataclass(frozen=True)
class Blocks:
    """Blocks of ``n`` showers, each a word that turned and mirrored copies share.

    Attributes:
        word: ``(K,)``.
        shower: ``(K,)``.
        showers: ``n``.
    """

    word: NDArray[np.uint64]
    shower: NDArray[np.int64]
    showers: int

    def again_in_shower(self) -> Counted:
        """Those that their own shower has twice or more."""
        _, kind = np.unique(self.word, return_inverse=True)
        return self.counted(_repeated(kind * self.showers + self.shower))

    def again(self) -> Counted:
        """Those that any of the showers have twice or more together."""
        return self.counted(_repeated(self.word))

    def counted(self, chosen: NDArray[np.bool_]) -> Counted:
        """Some of them, ``(K,)``."""
        numbers = [np.bincount(rows, minlength=self.showers) for rows in (self.shower, self.shower[chosen])]
        return Counted(*(number.astype(float) for number in numbers))


def find_blocks(showers: CellStore, shift: tuple[int, int], *, scaled: bool = True) -> Blocks:
    """All blocks of at least ``FEWEST`` hits; memory goes with their number, 16 bytes each.

    Args:
        showers: Cells on one grid for all layers.
        shift: One of ``SHIFTS``.
        scaled: Whether blocks are the same that have the same shares of the energy above threshold;
            else those that have the same energies.

    Raises:
        GeometryError: The layers' grids differ.
    """
    grid = uniform_grid(showers.geometry)
    starts = range(0, len(showers), _SHOWERS)
    parts = [_of_part(showers, start, shift, grid, scaled=scaled) for start in starts]
    words, numbers = zip(*parts, strict=True) if parts else ((), ())
    none: NDArray[np.uint64] = np.zeros(0, np.uint64)
    word, shower = np.concatenate([none, *words]), np.concatenate([none.astype(np.int64), *numbers])
    return Blocks(word, shower, len(showers))


def _of_part(
    showers: CellStore, start: int, shift: tuple[int, int], grid: Grid, *, scaled: bool
) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
    """Words and showers of the blocks of some showers."""
    batch = showers.batch(slice(start, start + _SHOWERS))
    block, place, blocks = _places(showers.geometry, batch.cells, shift)
    number, owner = np.unique(batch.shower * blocks + block, return_inverse=True)
    energy = batch.energy.astype(np.float64)
    if scaled:
        energy = np.maximum(energy - showers.geometry.threshold, _TINY)
        energy /= np.bincount(owner, energy, len(number))[owner]
    steps = np.zeros((len(number), SIDE * SIDE), np.int64)
    steps[owner, place] = np.floor(np.log(np.maximum(energy, _TINY)) / STEP).astype(np.int64) + _OFFSET
    many = np.bincount(owner, minlength=len(number)) >= FEWEST
    return _words(steps[many], grid), number[many] // blocks + start


def _places(
    geometry: Geometry, cells: NDArray[np.int32], shift: tuple[int, int]
) -> tuple[NDArray[np.int64], NDArray[np.int64], int]:
    """Which block every cell is in, its place there, and how many blocks there are."""
    layer, *along = np.unravel_index(cells, geometry.dense_shape)
    moved = [axis + step for axis, step in zip(along, shift, strict=True)]
    size = [length // SIDE + 2 for length in geometry.dense_shape[1:]]
    block = (layer * size[0] + moved[0] // SIDE) * size[1] + moved[1] // SIDE
    return block, moved[0] % SIDE * SIDE + moved[1] % SIDE, geometry.n_layers * size[0] * size[1]


def _words(steps: NDArray[np.int64], grid: Grid) -> NDArray[np.uint64]:
    """A word for every block, the least of its symmetric images', ``(K,)``."""
    least = np.full(len(steps), np.iinfo(np.uint64).max, np.uint64)
    for turn in _turns(grid):
        word = np.zeros(len(steps), np.uint64)
        for column in turn.tolist():
            word = (word ^ steps[:, column].astype(np.uint64)) * _MIX
            word ^= word >> np.uint64(29)
        np.minimum(least, word, out=least)
    return least


def _turns(grid: Grid) -> Iterator[NDArray[np.int64]]:
    """Places of a block as symmetries of the read-out show them: 8 of squares, 2 of rings."""
    place = np.arange(SIDE * SIDE).reshape(SIDE, SIDE)
    if isinstance(grid, PolarGrid):  # (alpha, r): mirrored in the angle
        return (image.ravel() for image in (place, place[::-1]))
    sides = (image[::-1] if flip else image for image in (place, place[:, ::-1]) for flip in (False, True))
    return (image.ravel() for side in sides for image in (side, side.T))


def _repeated(values: NDArray[np.integer]) -> NDArray[np.bool_]:
    """Which values occur twice or more."""
    _, kind, count = np.unique(values, return_inverse=True, return_counts=True)
    many: NDArray[np.bool_] = count[kind] > 1
    return many
