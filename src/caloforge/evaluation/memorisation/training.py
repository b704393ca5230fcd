"""The showers that models were trained on, and how near others are to them."""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING

import numpy as np

from caloforge.evaluation.memorisation.blocks import SHIFTS, find_blocks
from caloforge.evaluation.memorisation.nearest import Nearest, nearest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from caloforge.features import CellStore

__all__ = ["MOST", "Training"]

MOST = 10_000
"""So many showers at most are searched for blocks, evenly chosen."""

_PART = 2000


class Training:
    """Training showers. What was computed once is kept: every model is compared with Geant4.

    Args:
        cells: The showers.
        path: Their file.
    """

    def __init__(self, cells: CellStore, path: str) -> None:
        self.cells, self.path = cells, path
        self._known: dict[int, _Known] = {}
        self._blocks: dict[bool, NDArray[np.uint64]] = {}

    def __len__(self) -> int:
        return len(self.cells)

    def blocks(self, *, scaled: bool) -> NDArray[np.uint64]:
        """Words of the blocks of at most ``MOST`` of the showers, however they are laid; rising.

        Args:
            scaled: As of ``find_blocks``.
        """
        if scaled not in self._blocks:
            self._blocks[scaled] = np.unique(np.concatenate([*self._words(scaled=scaled)]))
        return self._blocks[scaled]

    def _words(self, *, scaled: bool) -> Iterator[NDArray[np.uint64]]:
        cells = self.cells.select(slice(None, None, -(-len(self) // MOST)))
        for start, shift in product(range(0, len(cells), _PART), SHIFTS):
            part = cells.select(slice(start, start + _PART))
            yield np.unique(find_blocks(part, shift, scaled=scaled).word)

    def nearest(self, showers: CellStore) -> Nearest:
        """Distances of showers to the nearest of these."""
        known = self._known.setdefault(id(showers.cells), _Known(showers))
        return known.distances(showers, self.cells)


class _Known:
    """Distances of showers of one store, by their first hit."""

    def __init__(self, showers: CellStore) -> None:
        self._store = showers.cells  # as long as it lives, no other one has its id
        self._first: NDArray[np.int64] = np.zeros(0, np.int64)
        nothing, layers = np.zeros(0, np.float32), np.zeros((0, showers.geometry.n_layers), np.float32)
        self._nearest = Nearest(nothing, nothing, layers)

    def distances(self, showers: CellStore, training: CellStore) -> Nearest:
        """Those known, and those that are computed now; showers without hits have none."""
        hit = showers.count > 0
        new = np.unique(showers.first[hit & ~np.isin(showers.first, self._first)], return_index=True)[1]
        if len(new):
            rows = np.flatnonzero(hit & ~np.isin(showers.first, self._first))[new]
            self._add(showers.first[rows], nearest(showers.select(rows), training))
        return self._of(showers.first, hit)

    def _add(self, first: NDArray[np.int64], found: Nearest) -> None:
        joined = np.concatenate([self._first, first])
        order = np.argsort(joined)
        self._first = joined[order]
        self._nearest = self._nearest.followed_by(found).select(order)

    def _of(self, first: NDArray[np.int64], hit: NDArray[np.bool_]) -> Nearest:
        if not len(self._first):
            return Nearest.unknown(len(first), self._nearest.layer.shape[1])
        place = np.minimum(np.searchsorted(self._first, first), len(self._first) - 1)
        return self._nearest.select(place).only(hit)
