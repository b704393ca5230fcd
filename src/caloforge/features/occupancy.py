"""Which cells are hit together: neighbours, isolated hits, and pairs along the axes of the read-out."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from caloforge.features.sums import ratio, sums_between
from caloforge.geometry import PolarGrid
from caloforge.geometry.neighbours import behind, beside

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from caloforge.features.hits import Hits
    from caloforge.geometry import Geometry

__all__ = ["AXES", "occupancy_columns"]

AXES = ("first", "second", "depth")
"""x or the angle, y or the radius, and the layers."""

_CHUNK = 1 << 19


def occupancy_columns(hits: Hits, geometry: Geometry) -> dict[str, NDArray[Any]]:
    """Neighbours of the hits of every shower.

    ``neighbours`` ``(B,)``: hits among the up to 26 cells round a hit (3 x 3 in its layer, and in the two
    layers beside it round the cell that its centre lies over), mean over the hits; ``isolated``: share of
    hits without any. ``pairs_first``, ``pairs_second``, ``pairs_depth``: pairs of neighbouring hits along
    an axis, per hit.

    Where all layers have one grid also ``borders_first`` ``(B, k)``, ``borders_second`` and
    ``borders_depth``: these pairs counted by the border between the two cells, which follows cell k of
    the axis (angles are closed: the last border joins the last and the first cell); and the hits of the
    columns that they join, ``columns_first`` and ``columns_second`` (``layer_hits`` has those in depth).
    """
    maps = _Maps.of(geometry)
    parts = [_columns(rows, cells, count, maps) for rows, cells, count in _chunks(hits, geometry.n_cells)]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


@dataclass(frozen=True)
class _Stack:
    """Neighbouring layers with the same grid: their cells, the grid's shape, whether axis 0 is closed."""

    cells: slice
    shape: tuple[int, int]
    closed: bool


@dataclass(frozen=True)
class _Maps:
    """Cells beside every cell; one behind the last cell, which is never hit, where there are none.

    Attributes:
        after: The next cell along each of ``AXES``, ``(n_cells,)`` each.
        before: The cell in the layer in front, ``(n_cells,)``.
        number: Number of the cell along the first two axes, ``(n_cells,)`` each; none for ragged layers.
        lengths: Cells along these axes.
        stacks: Neighbouring layers with the same grid.
        n_cells: Of the read-out.
        n_layers: Of the read-out.
    """

    after: tuple[NDArray[np.int64], ...]
    before: NDArray[np.int64]
    number: tuple[NDArray[np.int64], ...]
    lengths: tuple[int, ...]
    stacks: tuple[_Stack, ...]
    layer: NDArray[np.int64]
    n_cells: int
    n_layers: int

    @classmethod
    def of(cls, geometry: Geometry) -> Self:
        steps = (beside(geometry, 0), beside(geometry, 1), behind(geometry, 1), behind(geometry, -1))
        *after, before = (np.where(step < 0, geometry.n_cells, step) for step in steps)
        number: tuple[NDArray[np.int64], ...] = ()
        if geometry.is_uniform:
            indices = np.indices(geometry.layers[0].grid.shape).reshape(2, -1)
            number = tuple(np.tile(index, geometry.n_layers) for index in indices)
        return cls(
            tuple(after),
            before,
            number,
            geometry.layers[0].grid.shape,
            tuple(_stacks(geometry)),
            geometry.cell_layer.astype(np.int64),
            geometry.n_cells,
            geometry.n_layers,
        )


def _stacks(geometry: Geometry) -> Iterator[_Stack]:
    start = 0
    for grid, same in groupby(layer.grid for layer in geometry.layers):
        stop = start + len(list(same))
        first, last = geometry.layer_offsets[[start, stop]].tolist()
        yield _Stack(slice(first, last), grid.shape, isinstance(grid, PolarGrid) and grid.n_alpha > 2)
        start = stop


def _chunks(hits: Hits, n_cells: int) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64], int]]:
    """Shower in the chunk and cell of every hit, and the number of showers of the chunk."""
    count, step = len(hits.incident), max(_CHUNK // n_cells, 1)
    for first in range(0, max(count, 1), step):
        last = min(first + step, count)
        low, high = np.searchsorted(hits.shower, [first, last])
        yield hits.shower[low:high] - first, hits.cell[low:high].astype(np.int64), last - first


def _columns(
    rows: NDArray[np.int64], cells: NDArray[np.int64], count: int, maps: _Maps
) -> dict[str, NDArray[Any]]:
    base = rows * (maps.n_cells + 1)
    hit = np.zeros((count, maps.n_cells + 1), np.uint8)
    hit.ravel()[base + cells] = 1
    plane = _plane_sums(hit, maps).ravel()
    around = plane[base + cells] - 1 + plane[base + maps.after[2][cells]] + plane[base + maps.before[cells]]
    both = [hit.ravel()[base + after[cells]].astype(bool) for after in maps.after]
    first = np.searchsorted(rows, np.arange(count + 1))
    named = {"neighbours": around, "isolated": around == 0}
    named |= {f"pairs_{name}": pairs for name, pairs in zip(AXES, both, strict=True)}
    columns: dict[str, NDArray[Any]]
    columns = {name: ratio(sums_between(first, values), np.diff(first)) for name, values in named.items()}
    return columns | (_by_border(rows, cells, both, count, maps) if maps.number else {})


def _by_border(
    rows: NDArray[np.int64],
    cells: NDArray[np.int64],
    both: list[NDArray[np.bool_]],
    count: int,
    maps: _Maps,
) -> dict[str, NDArray[Any]]:
    columns = {}
    small = np.min_scalar_type(maps.n_cells)
    closed = (maps.stacks[0].closed, False, False)
    numbers, lengths = (*maps.number, maps.layer), (*maps.lengths, maps.n_layers)
    for name, number, length, pairs, round_ in zip(AXES, numbers, lengths, both, closed, strict=True):
        key = rows * length + number[cells]
        counts = np.bincount(key[pairs], minlength=count * length).reshape(count, length).astype(small)
        columns[f"borders_{name}"] = counts if round_ else counts[:, :-1]
        if name != "depth":
            hits = np.bincount(key, minlength=count * length)
            columns[f"columns_{name}"] = hits.reshape(count, length).astype(small)
    return columns


def _plane_sums(hit: NDArray[np.uint8], maps: _Maps) -> NDArray[np.uint8]:
    """Hits in the 3 x 3 cells round every cell, itself included, ``(b, n_cells + 1)``."""
    sums = np.zeros_like(hit)
    for stack in maps.stacks:
        image = hit[:, stack.cells].reshape(len(hit), -1, *stack.shape)
        summed = _three(_three(image, 2, closed=stack.closed), 3, closed=False)
        sums[:, stack.cells] = summed.reshape(len(hit), -1)
    return sums


def _three(image: NDArray[np.uint8], axis: int, *, closed: bool) -> NDArray[np.uint8]:
    """Sums of every cell and those before and behind it."""
    sums = image.copy()
    moved, source = np.moveaxis(sums, axis, 0), np.moveaxis(image, axis, 0)
    moved[1:] += source[:-1]
    moved[:-1] += source[1:]
    if closed:
        moved[0] += source[-1]
        moved[-1] += source[0]
    return sums
