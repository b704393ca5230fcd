"""Real tiles of showers in the frame: what is inside of its cells, with their contexts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from caloforge.models.mosaic.frame import box_grid
from caloforge.models.mosaic.runs import firsts
from caloforge.models.mosaic.tiles import centre_codes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from caloforge.geometry import Geometry
    from caloforge.models.mosaic.tile_contexts import Board, TileContexts
    from caloforge.showers import Showers

__all__ = ["RealTiles", "real_tiles"]


@dataclass(frozen=True, eq=False)
class RealTiles:
    """``n`` tiles, mirrored as their contexts, with ``P`` points together.

    Attributes:
        context: ``(n, L)`` int16.
        counts: Points of every tile, ``(n,)``.
        place: As of ``Tiles``, the largest share first, ``(P,)`` uint16.
        share: Of the tiles' energies, ``(P,)`` float32.
    """

    context: NDArray[np.int16]
    counts: NDArray[np.int64]
    place: NDArray[np.uint16]
    share: NDArray[np.float32]

    @property
    def first(self) -> NDArray[np.int32]:
        """Where a tile's points begin, ``(n + 1,)``."""
        return firsts(self.counts)

    @classmethod
    def joined(cls, parts: Sequence[RealTiles]) -> RealTiles:
        """The tiles of several blocks."""
        names = ("context", "counts", "place", "share")
        return cls(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))

    def chosen(self, rows: NDArray[np.integer]) -> RealTiles:
        """Some of them, in the order of ``rows``."""
        first, counts = self.first[rows].astype(np.int64), self.counts[rows]
        point = np.repeat(first - firsts(counts)[:-1], counts) + np.arange(counts.sum())
        return RealTiles(self.context[rows], counts, self.place[point], self.share[point])


def real_tiles(
    framed: Showers,
    cells: Showers,
    geometry: Geometry,
    contexts: TileContexts,
    codes: NDArray[np.int16],
    *,
    grid: int,
    keep: float,
    rng: np.random.Generator,
) -> RealTiles:
    """The tiles of some cells of a block of showers.

    Args:
        framed: The showers' points in the frame, at centres of parts of cells.
        cells: They in the frame's read-out.
        geometry: The frame's read-out.
        contexts: What is looked at.
        codes: Of the conditions, ``(B, conditions)``.
        grid: Parts of a cell each way.
        keep: Share of the cells.
        rng: Chooses them.
    """
    assert cells.cells is not None  # for the type checker: they are cells
    board = contexts.board(cells.shower, cells.cells, cells.energy, codes)
    tile, place, share = _points(framed, cells, geometry, board, grid)
    counts = np.bincount(tile, minlength=len(board.turn))
    centre = centre_codes(place, share, firsts(counts), grid)
    found, kept = [], rng.random(len(counts)) < keep
    for rows in board.rounds():
        chosen = rows[kept[rows]]
        found.append((chosen, board.contexts(chosen)))
        board.put(rows, centre[rows])
    context = np.empty((len(counts), contexts.length(codes.shape[1])), np.int16)
    for chosen, told in found:
        context[chosen] = told
    return RealTiles(context, counts, place, share).chosen(np.flatnonzero(kept))


def _points(
    framed: Showers, cells: Showers, geometry: Geometry, board: Board, grid: int
) -> tuple[NDArray[np.int64], NDArray[np.uint16], NDArray[np.float32]]:
    """The cell of every point, its place there and its share, cell by cell, the largest share first."""
    assert framed.points is not None  # for the type checker
    assert cells.cells is not None
    x, y, z = framed.points.astype(np.float64).T
    found = geometry.find_cells(x, y, geometry.layer_of(z))
    known = cells.shower * geometry.n_cells + cells.cells
    key = np.where(found < 0, -1, framed.shower * geometry.n_cells + found)
    tile = np.minimum(np.searchsorted(known, key), max(len(known) - 1, 0))
    inside = np.flatnonzero(known[tile] == key) if len(known) else np.zeros(0, np.int64)
    order = inside[np.lexsort((-framed.energy[inside], tile[inside]))]
    tile, energy = tile[order], framed.energy[order].astype(np.float64)
    total = np.bincount(tile, energy, minlength=max(len(known), 1))
    place = _place(x[order], y[order], board.signs[tile], geometry, grid)
    return tile, place, (energy / total[tile]).astype(np.float32)


def _place(
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    signs: NDArray[np.int16],
    geometry: Geometry,
    grid: int,
) -> NDArray[np.uint16]:
    box = box_grid(geometry)
    step = box.pitch[0] / grid
    columns = []
    for k, value in enumerate((x, y)):
        column = np.floor((value - box.low[k]) / step).astype(np.int64) % grid
        columns.append(np.where(signs[:, k] > 0, column, grid - 1 - column))
    return (columns[0] * grid + columns[1]).astype(np.uint16)
