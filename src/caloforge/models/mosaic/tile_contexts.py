"""What the choice of a tile looks at: energies around its cell, and where in the shower that is."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING

import numpy as np

from caloforge.models.mosaic.codes import constant_codes, deposit_step, energy_code
from caloforge.models.mosaic.frame import box_grid

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from caloforge.geometry import Geometry

__all__ = ["Board", "TileContexts"]

_CROSS = ((0, 0), (1, 0), (0, 1), (-1, 0), (0, -1))
_BESIDE = ((0, 0), *((i, j) for i, j in product((-1, 0, 1), repeat=2) if i or j))
_COLOURS = 4


class TileContexts:
    """Contexts of the cells of a read-out.

    They see the energies of the cell, of the eight around it, of the cross of five in the layers before
    and behind; the centres of the tiles that were put last into the columns of the cross; layer, place and
    colour; and the conditions. Everything is mirrored such that x and y count outwards from the axis; with
    ``leaning`` axes along y alone.

    Layers are filled in four rounds, as if their cells had the colours 0 and 1, 2 and 3 in turn along y in
    every other row: a cell of a later colour sees the tiles of its neighbours.

    Args:
        geometry: The frame's read-out.
        leaning: Whether showers lean along x.
    """

    def __init__(self, geometry: Geometry, *, leaning: bool) -> None:
        grid = box_grid(geometry)
        self.side, self.layers, self.leaning = grid.nx, geometry.n_layers, leaning
        self.step = deposit_step(geometry.threshold)
        self.row = self.side + 2
        self.plane = self.row * self.row
        ways = list(product((-1, 1), repeat=2))
        self.offsets = np.stack([self._offsets(x, y) for x, y in ways])
        self.columns = np.array([[i * x * self.row + j * y for i, j in _CROSS] for x, y in ways])

    @property
    def shape(self) -> tuple[int, int, int]:
        """Layers, and cells of one along x and y."""
        return self.layers, self.side, self.side

    def _offsets(self, x: int, y: int) -> NDArray[np.int64]:
        """Places that are looked at relative to the cell's, for one way of mirroring."""
        layers = [(0, _BESIDE), (-1, _CROSS), (1, _CROSS)]
        steps = [layer * self.plane + i * x * self.row + j * y for layer, at in layers for i, j in at]
        return np.array(steps, np.int64)

    def length(self, conditions: int) -> int:
        """Of a context with so many conditions."""
        return int(self.offsets.shape[1]) + 2 * len(_CROSS) + 4 + conditions

    def signs(self, cell: NDArray[np.integer]) -> NDArray[np.int16]:
        """Which way the contexts of cells ``(H,)`` are mirrored, 1 or -1 for x and y, ``(H, 2)``."""
        x, y = cell // self.side % self.side, cell % self.side
        half = self.side // 2
        outwards = np.ones(len(cell), np.bool_) if self.leaning else x >= half
        return np.where(np.stack([outwards, y >= half], axis=1), 1, -1).astype(np.int16)

    def board(
        self,
        shower: NDArray[np.integer],
        cell: NDArray[np.integer],
        energy: NDArray[np.float32],
        codes: NDArray[np.int16],
    ) -> Board:
        """Cells with their energies in place.

        Args:
            shower: Of every cell, ``(H,)``.
            cell: ``(H,)``.
            energy: [MeV], ``(H,)``.
            codes: Of the conditions, ``(B, conditions)``.
        """
        layer, x, y = np.unravel_index(cell, self.shape)
        showers = len(codes)
        flat = ((shower * (self.layers + 2) + layer + 1) * self.row + x + 1) * self.row + y + 1
        image = np.zeros(showers * (self.layers + 2) * self.plane, np.int16)
        image[flat] = energy_code(energy, self.step)
        half = self.side // 2
        i = x if self.leaning else np.where(x >= half, x - half, half - 1 - x)
        j = np.where(y >= half, y - half, half - 1 - y)
        number, colour = constant_codes(max(self.side, self.layers)), x % 2 * 2 + y % 2
        told = np.column_stack([number[layer], number[i], number[j], number[colour], codes[shower]])
        centres = np.zeros((showers * self.plane, 2), np.int16)
        column = (shower * self.row + x + 1) * self.row + y + 1
        turn = layer * _COLOURS + colour
        return Board(self, turn, flat, column, image, self.signs(cell), told, centres)


@dataclass(frozen=True, eq=False)
class Board:
    """``H`` cells of ``B`` showers, whose tiles are put layer by layer, colour by colour.

    Attributes:
        contexts_of: What is looked at.
        turn: When the cells are filled, ``(H,)``.
        place: Theirs in the image, ``(H,)``.
        column: The same within a layer, ``(H,)``.
        image: Codes of all energies with a border of zeros.
        signs: Which way contexts are mirrored, 1 or -1 for x and y, ``(H, 2)``.
        told: Layer, place, colour and conditions, ``(H, L')``.
        centres: Of the tiles that were put last in every column.
    """

    contexts_of: TileContexts
    turn: NDArray[np.int64]
    place: NDArray[np.int64]
    column: NDArray[np.int64]
    image: NDArray[np.int16]
    signs: NDArray[np.int16]
    told: NDArray[np.int16]
    centres: NDArray[np.int16]

    def rounds(self) -> Iterator[NDArray[np.int64]]:
        """The cells that are filled at once, from the front."""
        order = np.argsort(self.turn, kind="stable")
        ends = np.cumsum(np.bincount(self.turn, minlength=1))
        for rows in np.split(order, ends[:-1]):
            if len(rows):
                yield rows

    def contexts(self, rows: NDArray[np.int64]) -> NDArray[np.int16]:
        """Of some cells of one round, ``(m, L)``."""
        signs = self.signs[rows]
        way = (signs[:, 0] > 0) * 2 + (signs[:, 1] > 0)
        around = self.image[self.place[rows, None] + self.contexts_of.offsets[way]]
        columns = self.centres[self.column[rows, None] + self.contexts_of.columns[way]]
        centres = (columns * signs[:, None]).reshape(len(rows), 2 * len(_CROSS))
        return np.concatenate([around, centres, self.told[rows]], axis=1)

    def put(self, rows: NDArray[np.int64], centre: NDArray[np.int16]) -> None:
        """Tell the next rounds of the tiles of some cells.

        Args:
            rows: The cells.
            centre: Of their tiles, mirrored as their contexts, ``(m, 2)``.
        """
        self.centres[self.column[rows]] = centre * self.signs[rows]
