"""Steps in the sensors summed on a fine lateral grid: the points of a shower."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

import numpy as np

from caloforge.geant4.stack import SensorDepths, half_width, plates
from caloforge.geometry import BoxGrid, PolarGrid

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from caloforge.geometry import Geometry

__all__ = ["POINT_CUT", "Cloud", "Clusters"]

POINT_CUT = 1e-4  # MeV of raw sensor energy
_BITS = 21  # of a lateral index in a packed key
_MIDDLE = 1 << (_BITS - 1)
_MASK = (1 << _BITS) - 1


class Cloud(NamedTuple):
    """The points of one shower.

    Attributes:
        points: x, y, z [mm], ``(H, 3)`` float32.
        energy: Raw sensor energy [MeV], ``(H,)`` float32.
    """

    points: NDArray[np.float32]
    energy: NDArray[np.float32]


class _Lateral(Protocol):
    """A lateral grid without a border."""

    def index(
        self, x: NDArray[np.float64], y: NDArray[np.float64]
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]: ...

    def centre(
        self, i: NDArray[np.int64], j: NDArray[np.int64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]: ...


class _Box:
    """The cells of a box grid cut into ``factor`` x ``factor``, going on outside of the window."""

    def __init__(self, grid: BoxGrid, factor: int) -> None:
        self._low = np.array(grid.low)
        self._pitch = np.array(grid.pitch) / factor

    def index(
        self, x: NDArray[np.float64], y: NDArray[np.float64]
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        i, j = (np.floor((v - self._low[a]) / self._pitch[a]).astype(np.int64) for a, v in enumerate((x, y)))
        return i, j

    def centre(
        self, i: NDArray[np.int64], j: NDArray[np.int64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        x, y = (self._low[a] + (v + 0.5) * self._pitch[a] for a, v in enumerate((i, j)))
        return x, y


class _Polar:
    """The rings and angles of a polar grid cut into ``factor`` each; more rings outside of the window."""

    def __init__(self, grid: PolarGrid, factor: int, radius: float) -> None:
        fine = grid.refined(factor)
        step = fine.r_edges[-1] - fine.r_edges[-2]
        outside = np.arange(fine.r_edges[-1] + step, np.sqrt(2) * radius + step, step)
        edges = (*([0.0] if fine.r_edges[0] > 0 else []), *fine.r_edges, *outside.tolist())
        self._grid, self._edges = PolarGrid(r_edges=edges, n_alpha=fine.n_alpha), np.array(edges)

    def index(
        self, x: NDArray[np.float64], y: NDArray[np.float64]
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        alpha, ring = self._grid.alpha_and_ring(x, y)
        return alpha, np.minimum(ring, self._grid.n_r - 1)

    def centre(
        self, i: NDArray[np.int64], j: NDArray[np.int64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        alpha = -np.pi + (i + 0.5) * 2 * np.pi / self._grid.n_alpha
        r = 0.5 * (self._edges[j] + self._edges[j + 1])
        return r * np.cos(alpha), r * np.sin(alpha)


class Clusters:
    """Sums steps in the fine cells of a geometry.

    The fine cells are the read-out cells cut into ``points_per_cell`` x ``points_per_cell``, going on outside
    of the window; points lie on their centres, at the depth ``layer_z``. Fine cells below ``POINT_CUT``
    are dropped. On polar grids a fine cell is a piece of a ring.
    """

    def __init__(self, geometry: Geometry) -> None:
        self._depths = SensorDepths(plates(geometry))
        self._layer_z = geometry.layer_z
        radius = half_width(geometry)
        grids = list(dict.fromkeys(layer.grid for layer in geometry.layers))
        self._laterals = [_lateral(grid, geometry.points_per_cell, radius) for grid in grids]
        self._lateral_of = np.array([grids.index(layer.grid) for layer in geometry.layers])

    def __call__(self, steps: NDArray[np.float64]) -> Cloud:
        """Sum the steps of one shower.

        Args:
            steps: x, y, z of the middle [mm] and deposit [MeV] of every step, ``(S, 4)``.
        """
        layer = self._depths.layer(steps[:, 2])
        i, j = np.zeros((2, len(steps)), dtype=np.int64)
        for rows, lateral in self._by_lateral(layer):
            i[rows], j[rows] = lateral.index(steps[rows, 0], steps[rows, 1])
        keys, group = np.unique(_pack(layer, i, j), return_inverse=True)
        energy = np.bincount(group, weights=steps[:, 3], minlength=len(keys))
        kept = energy >= POINT_CUT
        return Cloud(self._centres(keys[kept]), energy[kept].astype(np.float32))

    def _centres(self, keys: NDArray[np.int64]) -> NDArray[np.float32]:
        layer, i, j = _unpack(keys)
        points = np.empty((len(keys), 3), dtype=np.float32)
        for rows, lateral in self._by_lateral(layer):
            points[rows, 0], points[rows, 1] = lateral.centre(i[rows], j[rows])
        points[:, 2] = self._layer_z[layer]
        return points

    def _by_lateral(self, layer: NDArray[np.int64]) -> list[tuple[slice | NDArray[np.int64], _Lateral]]:
        if len(self._laterals) == 1:
            return [(slice(None), self._laterals[0])]
        which = self._lateral_of[layer]
        return [(np.flatnonzero(which == n), lateral) for n, lateral in enumerate(self._laterals)]


def _lateral(grid: BoxGrid | PolarGrid, factor: int, radius: float) -> _Lateral:
    return _Box(grid, factor) if isinstance(grid, BoxGrid) else _Polar(grid, factor, radius)


def _pack(layer: NDArray[np.int64], i: NDArray[np.int64], j: NDArray[np.int64]) -> NDArray[np.int64]:
    return (layer << (2 * _BITS)) | ((i + _MIDDLE) << _BITS) | (j + _MIDDLE)


def _unpack(keys: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    return keys >> (2 * _BITS), ((keys >> _BITS) & _MASK) - _MIDDLE, (keys & _MASK) - _MIDDLE
