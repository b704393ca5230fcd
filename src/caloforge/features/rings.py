"""Energies, centres and widths per layer of rings, which agree with the CaloChallenge's bit by bit.

Whether a value on the edge of a bin falls to one side or to the other depends on its last bit: the
centre of a layer with a single voxel, for example, is a mid radius, and many of these are edges. The
sums are therefore taken over all voxels of a layer, in the order and in the precision in which the
CaloChallenge's program takes them (reference section 13.2).
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Any

import numpy as np

from caloforge.geometry import PolarGrid

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from caloforge.features.hits import Hits
    from caloforge.geometry import Geometry

__all__ = ["has_rings_only", "ring_columns"]

_TINY = 1e-16
_DENSE = 1 << 17
_COORDINATES = ("x", "y", "r")


@dataclass(frozen=True)
class _Ring:
    """Coordinates of the voxels of one layer [mm] and their squares, ``(n_cells,)`` each, by name."""

    centres: dict[str, NDArray[np.float64]]
    squares: dict[str, NDArray[np.float64]]

    @classmethod
    def of(cls, grid: PolarGrid) -> _Ring:
        edges = np.asarray(grid.r_edges)
        turns = np.linspace(-np.pi, np.pi, grid.n_alpha + 1)
        alpha = np.repeat(turns[:-1] + 0.5 * np.diff(turns), grid.n_r)
        middle = np.tile(edges[:-1] + 0.5 * np.diff(edges), grid.n_alpha)
        # two ways to halve, as they differ in the last bit
        r = np.tile(0.5 * (edges[:-1] + edges[1:]), grid.n_alpha)
        centres = {"x": middle * np.cos(alpha), "y": middle * np.sin(alpha), "r": r}
        return cls(centres, {name: values * values for name, values in centres.items()})


def has_rings_only(geometry: Geometry) -> bool:
    """Whether every layer is cut into rings."""
    return all(isinstance(layer.grid, PolarGrid) for layer in geometry.layers)


def ring_columns(hits: Hits, geometry: Geometry) -> dict[str, NDArray[Any]]:
    """The columns ``visible``, ``layer_energy``, ``layer_hits``, ``layer_x``, ``width_x``, ... of a block.

    Energies keep the precision that the file has.
    """
    count, layers = len(hits.incident), geometry.n_layers
    columns: dict[str, NDArray[Any]] = {
        "visible": np.empty(count, hits.precision),
        "layer_energy": np.empty((count, layers), hits.precision),
        "layer_hits": np.empty((count, layers), np.float32),
    }
    for name in _COORDINATES:
        columns[f"layer_{name}"] = np.empty((count, layers))
        columns[f"width_{name}"] = np.empty((count, layers))
    stacks = _stacks(geometry)
    for rows, dense in _dense(hits, geometry):
        columns["visible"][rows] = dense.sum(axis=-1)
        for stack in stacks:
            _fill(columns, (rows, stack.layers), stack.of(dense), stack.ring)
    return columns


@dataclass(frozen=True)
class _Stack:
    """Neighbouring layers with the same rings."""

    layers: slice
    cells: slice
    ring: _Ring

    def of(self, dense: NDArray[np.floating]) -> NDArray[np.floating]:
        """Their voxels, ``(b, layers, n_cells)``."""
        return dense[:, self.cells].reshape(len(dense), self.layers.stop - self.layers.start, -1)


def _stacks(geometry: Geometry) -> list[_Stack]:
    grids = [layer.grid for layer in geometry.layers if isinstance(layer.grid, PolarGrid)]
    stacks, start = [], 0
    for grid, same in groupby(grids):
        stop = start + len(list(same))
        first, last = geometry.layer_offsets[[start, stop]].tolist()
        stacks.append(_Stack(slice(start, stop), slice(first, last), _Ring.of(grid)))
        start = stop
    return stacks


def _fill(
    columns: dict[str, NDArray[Any]],
    place: tuple[slice, slice],
    voxels: NDArray[np.floating],
    ring: _Ring,
) -> None:
    total = voxels.sum(axis=-1)
    divisor = total + _TINY
    columns["layer_energy"][place] = total
    # whole numbers, which a product with ones gives faster than counting
    columns["layer_hits"][place] = (voxels != 0).astype(np.float32) @ np.ones(voxels.shape[-1], np.float32)
    wide = voxels.astype(np.float64, copy=False)
    product = np.empty_like(wide)
    for name in _COORDINATES:
        centre = np.multiply(ring.centres[name], wide, out=product).sum(axis=-1) / divisor
        square = np.multiply(ring.squares[name], wide, out=product).sum(axis=-1) / divisor
        columns[f"layer_{name}"][place] = centre
        columns[f"width_{name}"][place] = np.sqrt((square - centre**2).clip(min=0.0))


def _dense(hits: Hits, geometry: Geometry) -> Iterator[tuple[slice, NDArray[np.floating]]]:
    """All voxels of a few showers at a time, ``(b, n_cells)``."""
    count = len(hits.incident)
    step = max(_DENSE // geometry.n_cells, 4)
    for first in range(0, count, step):
        last = min(first + step, count)
        low, high = np.searchsorted(hits.shower, [first, last])
        dense = np.zeros((last - first) * geometry.n_cells, dtype=hits.precision)
        index = (hits.shower[low:high] - first) * geometry.n_cells + hits.cell[low:high]
        # add: files of others may hold several deposits in one cell
        np.add.at(dense, index, hits.energy[low:high].astype(hits.precision))
        yield slice(first, last), dense.reshape(last - first, -1)
