"""Tiles: what is inside of a cell of the frame, points with shares of its energy; and which one is taken.

The specification, which every other implementation follows bit for bit. Cells with energy are filled layer
by layer from the front, in each colour by colour. A tree over their context (``TileContexts``) leads to a
leaf of real tiles; the word ``FIRST_WORD + cell`` of the shower draws one. Its points go to their places,
turned as the context was, with their shares of the cell's energy, products of 32-bit floats.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from caloforge.models.mosaic.runs import firsts
from caloforge.models.mosaic.words import below, words

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from caloforge.models.mosaic.tile_contexts import TileContexts

__all__ = ["FIRST_WORD", "Filled", "Tiles", "centre_codes", "choose", "filled"]

FIRST_WORD = 2**32
"""Words of a shower from here on draw tiles: steps and roots use far lower ones."""

_CENTRE = 256  # codes from one side of a cell to the other


@dataclass(frozen=True, eq=False)
class Tiles:
    """A tree over contexts, real tiles in its leaves. ``V`` nodes, ``D`` tiles, ``P`` points.

    Attributes:
        grid: Places of a cell each way.
        feature: Place in the context that a node looks at, -1 for a leaf, ``(V,)`` int16.
        limit: Codes up to this go to ``kid``, those above to ``kid + 1``, ``(V,)`` int16.
        kid: ``(V,)`` int32.
        start: First tile of a leaf, ``(V,)`` int32.
        count: Tiles of a leaf, ``(V,)`` int32.
        first: Where a tile's points begin, ``(D + 1,)`` int32.
        place: Of the points, ``grid`` times the column along x plus that along y, ``(P,)`` uint16.
        share: Of the cell's energy, ``(P,)`` float32.
        centre: ``centre_codes`` of the tiles, ``(D, 2)`` int16.
    """

    grid: int
    feature: NDArray[np.int16]
    limit: NDArray[np.int16]
    kid: NDArray[np.int32]
    start: NDArray[np.int32]
    count: NDArray[np.int32]
    first: NDArray[np.int32]
    place: NDArray[np.uint16]
    share: NDArray[np.float32]
    centre: NDArray[np.int16]


def centre_codes(
    place: NDArray[np.integer], share: NDArray[np.floating], first: NDArray[np.integer], grid: int
) -> NDArray[np.int16]:
    """Centres of energy of tiles, x and y from -128 to 128, ``(D, 2)``; arguments as of ``Tiles``."""
    columns = np.stack([place // grid, place % grid]).astype(np.float64)
    moments = np.add.reduceat(columns * share, first[:-1], axis=1) if len(first) > 1 else columns
    total = np.add.reduceat(share.astype(np.float64), first[:-1]) if len(first) > 1 else share
    middle = (moments / total + 0.5) / grid - 0.5
    return np.round(_CENTRE * middle).astype(np.int16).T


@dataclass(frozen=True, eq=False)
class Filled:
    """The points of cells ``(H,)``, cell after cell, ``N`` in all.

    Attributes:
        counts: Points of every cell, ``(H,)``.
        x: Columns in the cells, ``(N,)``.
        y: The same along y.
        energy: [MeV], ``(N,)`` float32.
    """

    counts: NDArray[np.int64]
    x: NDArray[np.int64]
    y: NDArray[np.int64]
    energy: NDArray[np.float32]


def choose(  # noqa: PLR0917 - every engine has these arguments in this order
    tiles: Tiles,
    contexts: TileContexts,
    counts: NDArray[np.integer],
    cell: NDArray[np.integer],
    energy: NDArray[np.float32],
    codes: NDArray[np.int16],
    keys: NDArray[np.uint64],
) -> NDArray[np.int64]:
    """A real tile for every cell, ``(H,)``. Those of shower ``i`` depend on its cells, codes and key alone.

    Args:
        tiles: The real ones.
        contexts: What is looked at.
        counts: Cells of every shower, ``(B,)``.
        cell: Of the frame's read-out, rising in every shower, ``(H,)``.
        energy: Of the cells [MeV], ``(H,)``.
        codes: Of the conditions, ``(B, conditions)``.
        keys: Of the showers, ``(B,)``.
    """
    shower = np.repeat(np.arange(len(counts)), counts)
    board = contexts.board(shower, cell, energy, codes)
    chosen = np.empty(len(cell), np.int64)
    for rows in board.rounds():
        leaf = _leaves(tiles, board.contexts(rows))
        word = words(keys[shower[rows]], FIRST_WORD + cell[rows].astype(np.int64))
        chosen[rows] = tiles.start[leaf] + below(word, tiles.count[leaf])
        board.put(rows, tiles.centre[chosen[rows]])
    return chosen


def filled(
    tiles: Tiles, chosen: NDArray[np.int64], energy: NDArray[np.float32], signs: NDArray[np.int16]
) -> Filled:
    """The points of cells.

    Args:
        tiles: The real ones.
        chosen: The tile of every cell, ``(H,)``.
        energy: Of the cells [MeV], ``(H,)``.
        signs: Which way their contexts are mirrored, 1 or -1 for x and y, ``(H, 2)``.
    """
    first = tiles.first[chosen].astype(np.int64)
    counts = tiles.first[chosen + 1] - first
    point = np.repeat(first - firsts(counts)[:-1], counts) + np.arange(counts.sum())
    place = tiles.place[point].astype(np.int64)
    last = tiles.grid - 1
    x, y = (
        np.where(np.repeat(signs[:, k], counts) > 0, column, last - column)
        for k, column in enumerate((place // tiles.grid, place % tiles.grid))
    )
    return Filled(counts, x, y, np.repeat(energy, counts) * tiles.share[point])


def _leaves(tiles: Tiles, context: NDArray[np.int16]) -> NDArray[np.int64]:
    """Walk all contexts ``(m, L)`` down the tree at once."""
    leaf = np.zeros(len(context), np.int64)
    left = np.flatnonzero(tiles.feature[leaf] >= 0)
    while len(left):
        at = leaf[left]
        above = context[left, tiles.feature[at]] > tiles.limit[at]
        leaf[left] = tiles.kid[at] + above
        left = left[tiles.feature[leaf[left]] >= 0]
    return leaf
