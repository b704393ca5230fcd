"""The showers that models were trained on, and how near others are to them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from caloforge.evaluation.memorisation.nearest import Nearest, nearest

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from caloforge.features import CellStore

__all__ = ["Training"]


class Training:
    """Training showers. Distances that were computed once are kept: floors ask for Geant4's again.

    Args:
        cells: The showers.
        path: Their file.
    """

    def __init__(self, cells: CellStore, path: str) -> None:
        self.cells, self.path = cells, path
        self._known: dict[int, _Known] = {}

    def __len__(self) -> int:
        return len(self.cells)

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
