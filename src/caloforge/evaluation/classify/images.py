"""Showers of several classes as dense images, made batch by batch: cropped and turned where asked for."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import torch

from caloforge.geometry import BoxGrid, cell_symmetries, symmetry_turns, uniform_grid

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from caloforge.evaluation.classify.examples import Batch, CellExamples, Scaling
    from caloforge.features import CellStore
    from caloforge.geometry import Geometry

__all__ = ["ImageExamples", "Symmetries", "Window"]

_OUTSIDE = 1e-2  # share of the hits that a window may leave out
_SEEN = 2000  # showers of each class that decide about the window
_SAME = 1e-6
_VIEWS = 8


@dataclass(frozen=True)
class Symmetries:
    """Turns and mirror images that a read-out and its showers have, the identity first.

    Attributes:
        cells: Where every cell goes, ``(S, n_cells)``.
        turns: What happens to (x, y), ``(S, 2, 2)``.
    """

    cells: NDArray[np.int32]
    turns: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.cells)

    @classmethod
    def of(cls, geometry: Geometry, fixed: NDArray[np.floating] | None = None) -> Self:
        """Those of a read-out: 8 of a square, 2 n_alpha of rings, else the identity alone.

        Args:
            geometry: The read-out.
            fixed: Transverse directions ``(n, 2)`` that must stay as they are, where a network is
                not told the direction: showers that all lean to one side are only mirrored at it.
        """
        cells, turns = cell_symmetries(geometry), symmetry_turns(geometry)
        if fixed is None:
            return cls(cells, turns)
        distinct = np.unique(fixed.round(9), axis=0)
        moved = np.abs(np.einsum("sij,nj->sni", turns, distinct) - distinct)
        keep = moved.max(axis=(1, 2), initial=0.0) < _SAME
        return cls(cells[keep], turns[keep])

    def turned(
        self,
        columns: NDArray[np.float64],
        cells: NDArray[np.int32],
        shower: NDArray[np.int64],
        choice: NDArray[np.int64],
    ) -> tuple[NDArray[np.float64], NDArray[np.int32]]:
        """Columns and cells after one symmetry a shower.

        Args:
            columns: Conditions; the second and third, if any, are the direction's x and y, ``(b, C)``.
            cells: Of all showers, ``(H,)``.
            shower: That every cell belongs to, ``(H,)``.
            choice: Symmetry of every shower, ``(b,)``.
        """
        if columns.shape[1] > 1:
            lateral = np.einsum("bij,bj->bi", self.turns[choice], columns[:, 1:3])
            columns = np.column_stack([columns[:, :1], lateral, columns[:, 3:]])
        return columns, self.cells[choice[shower], cells]


@dataclass(frozen=True)
class Window:
    """The cells around the axis that networks look at.

    Attributes:
        place: Of every cell in the cropped image, -1 outside of it, ``(n_cells,)``.
        shape: Of the cropped image: layers, x, y or layers, angles, rings.
    """

    place: NDArray[np.int64]
    shape: tuple[int, int, int]

    @classmethod
    def of(cls, stores: Sequence[CellStore]) -> Self:
        """The smallest one, cropped alike on all sides, that 99 % of the hits of all classes lie in."""
        geometry = stores[0].geometry
        grid = uniform_grid(geometry)
        first, second = np.indices(grid.shape)
        margin = grid.shape[1] - 1 - second  # rings are cropped outside
        if isinstance(grid, BoxGrid):
            margin = np.minimum.reduce([first, grid.nx - 1 - first, second, grid.ny - 1 - second])
        hits = np.sum([_hits(store) for store in stores], axis=0).reshape(geometry.n_layers, -1).sum(axis=0)
        per_margin = np.bincount(margin.ravel(), weights=hits)
        cut = int(np.searchsorted(np.cumsum(per_margin), _OUTSIDE * per_margin.sum(), side="right"))
        keep = margin >= min(cut, int(margin.max()))
        shape = (geometry.n_layers, len(np.unique(first[keep])), len(np.unique(second[keep])))
        inside = np.tile(keep.ravel(), geometry.n_layers)
        return cls(np.where(inside, np.cumsum(inside) - 1, -1), shape)


@dataclass(frozen=True)
class ImageExamples:
    """Dense images made batch by batch; a batch is columns ``(b, C)`` and images ``(b, 1, L, I, J)``.

    Attributes:
        cells: The same showers as cells, whose geometry has one grid for all layers.
        symmetries: Showers are turned at random by these while they are learnt from.
        window: What is seen of them; None: all cells.
        turn: Symmetry by which they are seen when they are not learnt from.
    """

    cells: CellExamples
    symmetries: Symmetries | None = None
    window: Window | None = None
    turn: int = 0

    @property
    def counts(self) -> tuple[int, ...]:
        """See ``Examples``."""
        return self.cells.counts

    @property
    def shape(self) -> tuple[int, ...]:
        """Of an image: layers, x, y or layers, angles, rings."""
        return self.cells.stores[0].geometry.dense_shape if self.window is None else self.window.shape

    @property
    def facts(self) -> dict[str, Any]:
        """See ``Examples``."""
        symmetries = 1 if self.symmetries is None else len(self.symmetries)
        return {"symmetries": symmetries, "image": list(self.shape)}

    def batch(self, rows: NDArray[np.int64], rng: np.random.Generator | None = None) -> Batch:
        """See ``Examples``."""
        columns, cells, weights = self.cells.sparse(rows)
        if self.symmetries is not None:
            choice = np.full(len(rows), self.turn)
            if rng is not None:
                choice = rng.integers(len(self.symmetries), size=len(rows))
            columns, moved = self.symmetries.turned(columns, cells.cells, cells.shower, choice)
            cells = replace(cells, cells=moved)
        scaled, place, energy, offsets = self.cells.tensors(columns, cells, weights)
        shower = torch.repeat_interleave(torch.arange(len(rows)), offsets.diff())
        if self.window is not None:
            place = torch.from_numpy(self.window.place)[place]
            shower, place, energy = (values[place >= 0] for values in (shower, place, energy))
        size = int(np.prod(self.shape))
        image = torch.zeros(len(rows) * size, dtype=energy.dtype)
        image[shower * size + place] = energy
        return scaled, image.view(len(rows), 1, *self.shape)

    def views(self) -> tuple[Self, ...]:
        """See ``Examples``: eight at most."""
        if self.symmetries is None:
            return (self,)
        step = max(len(self.symmetries) // _VIEWS, 1)
        return tuple(replace(self, turn=turn) for turn in range(0, len(self.symmetries), step)[:_VIEWS])

    def fitted(self, rows: NDArray[np.int64]) -> Scaling:
        """See ``Examples``."""
        return self.cells.fitted(rows)

    def scaled(self, scaling: Scaling) -> Self:
        """See ``Examples``."""
        return replace(self, cells=self.cells.scaled(scaling))


def _hits(store: CellStore) -> NDArray[np.int64]:
    """Hits of every cell in showers from all over a sample, ``(n_cells,)``."""
    step = max(len(store) // _SEEN, 1)
    cells = store.batch(slice(None, None, step)).cells
    return np.bincount(cells, minlength=store.geometry.n_cells)
