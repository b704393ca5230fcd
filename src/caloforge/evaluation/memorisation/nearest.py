"""How near the nearest training shower is: whole showers, energies of layers, single layers.

Distances are Hellinger's, between the shares p and q of the energy: the square is
``2 - 2 sum sqrt(p q)``. They are 0 for a copy, also a scaled one, and do not hang on the hottest cell
alone. Turned and mirrored copies, by the symmetries of the read-out, are copies.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Self

import numpy as np
from scipy.sparse import csr_array

from caloforge.geometry import cell_symmetries

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from caloforge.features import CellBatch, CellStore
    from caloforge.geometry import Geometry

__all__ = ["LEAST_HITS", "Nearest", "nearest"]

LEAST_HITS = 10
"""A layer with fewer is not compared: such ones are alike by chance."""

_COLUMNS = 512
_ROWS = 4096


@dataclass(frozen=True)
class Nearest:
    """Distances of ``n`` showers to the nearest of another sample.

    Attributes:
        shower: Between cells of the whole shower, ``(n,)``; not a number for showers without hits.
        profile: Between energies of layers, ``(n,)``; the same.
        layer: Between cells of a layer, the same one in both, ``(n, layers)``; not a number where there are
            fewer than ``LEAST_HITS`` hits.
    """

    shower: NDArray[np.float32]
    profile: NDArray[np.float32]
    layer: NDArray[np.float32]

    @classmethod
    def unknown(cls, count: int, layers: int) -> Self:
        """Showers without hits."""
        nothing = np.full(count, np.nan, np.float32)
        return cls(nothing, nothing, np.full((count, layers), np.nan, np.float32))

    def select(self, rows: NDArray[np.integer]) -> Self:
        """Some showers."""
        return replace(self, shower=self.shower[rows], profile=self.profile[rows], layer=self.layer[rows])

    def followed_by(self, other: Nearest) -> Self:
        """These showers and others."""
        return replace(
            self,
            shower=np.concatenate([self.shower, other.shower]),
            profile=np.concatenate([self.profile, other.profile]),
            layer=np.concatenate([self.layer, other.layer]),
        )

    def only(self, known: NDArray[np.bool_]) -> Self:
        """The same showers, without the distances of some."""
        return replace(
            self,
            shower=np.where(known, self.shower, np.nan),
            profile=np.where(known, self.profile, np.nan),
            layer=np.where(known[:, None], self.layer, np.nan),
        )


def nearest(showers: CellStore, training: CellStore) -> Nearest:
    """Look for the nearest training shower of every shower, in blocks of both.

    Args:
        showers: ``n`` of them, ``S`` times turned.
        training: ``N`` of them, in the same read-out. The time goes with ``n S N``, memory is flat.
    """
    geometry = showers.geometry
    likest = _Likest.none(len(showers), geometry.n_layers)
    symmetries = cell_symmetries(geometry)
    step = max(1, _COLUMNS // len(symmetries))
    for known in _slices(len(training), _ROWS):
        roots = _Roots.of(training.batch(known), geometry)
        for rows in _slices(len(showers), step):
            likest.update(rows, _Roots.of(showers.batch(rows), geometry), roots, symmetries)
    return likest.distances(showers.count)


def _slices(count: int, size: int) -> Iterator[slice]:
    return (slice(i, min(i + size, count)) for i in range(0, count, size))


@dataclass(frozen=True)
class _Roots:
    """Square roots of shares of the energy, of ``b`` showers.

    Attributes:
        geometry: The read-out.
        shower: Of every hit, ``(H,)``; hits are in the order of their layers.
        cell: Of every hit, ``(H,)``.
        value: Root of the hit's share of its layer, ``(H,)``.
        start: Hits of layer l are those from ``start[l]`` to ``start[l + 1]``.
        layers: Roots of the layers' shares of the shower, ``(b, layers)``.
        hits: Hits of the layers, ``(b, layers)``.
    """

    geometry: Geometry
    shower: NDArray[np.int64]
    cell: NDArray[np.int32]
    value: NDArray[np.float32]
    start: NDArray[np.int64]
    layers: NDArray[np.float32]
    hits: NDArray[np.int64]

    @classmethod
    def of(cls, batch: CellBatch, geometry: Geometry) -> _Roots:
        shape = (len(batch.offsets) - 1, geometry.n_layers)
        layer = geometry.cell_layer[batch.cells]
        place = batch.shower * shape[1] + layer
        size = shape[0] * shape[1]
        hits = np.bincount(place, minlength=size)
        energy = np.bincount(place, batch.energy, size)
        total = energy.reshape(shape).sum(axis=1, keepdims=True)
        shares = np.divide(energy.reshape(shape), total, out=np.zeros(shape), where=total > 0)
        order = np.argsort(layer, kind="stable")
        return cls(
            geometry,
            batch.shower[order],
            batch.cells[order],
            np.sqrt(batch.energy / energy[place]).astype(np.float32)[order],
            np.searchsorted(layer[order], np.arange(shape[1] + 1)),
            np.sqrt(shares).astype(np.float32),
            hits.reshape(shape),
        )

    def rows(self, layer: int) -> csr_array[np.float32]:
        """The showers in one layer, ``(b, cells)``, each of length 1 or 0."""
        mine = slice(*self.start[layer : layer + 2])
        first, last = self.geometry.layer_offsets[layer : layer + 2]
        shape = (len(self.layers), int(last - first))
        return csr_array((self.value[mine], (self.shower[mine], self.cell[mine] - first)), shape=shape)

    def columns(self, layer: int, symmetries: NDArray[np.int32]) -> NDArray[np.float32]:
        """The same with ``S`` symmetries each, ``(cells, b S)``."""
        mine = slice(*self.start[layer : layer + 2])
        first, last = self.geometry.layer_offsets[layer : layer + 2]
        turns = len(symmetries)
        image = np.zeros((int(last - first), len(self.layers) * turns), np.float32)
        column = self.shower[mine] * turns + np.arange(turns)[:, None]
        image[symmetries[:, self.cell[mine]] - first, column] = self.value[mine]
        return image


@dataclass(frozen=True)
class _Likest:
    """The largest scalar products so far, as ``Nearest`` has distances."""

    shower: NDArray[np.float32]
    profile: NDArray[np.float32]
    layer: NDArray[np.float32]
    hits: NDArray[np.int64]

    @classmethod
    def none(cls, count: int, layers: int) -> _Likest:
        both, each = np.zeros((2, count), np.float32), np.zeros((count, layers), np.float32)
        return cls(both[0], both[1], each, np.zeros((count, layers), np.int64))

    def update(self, rows: slice, new: _Roots, known: _Roots, symmetries: NDArray[np.int32]) -> None:
        turns = len(symmetries)
        weights = np.repeat(new.layers, turns, axis=0)
        total = np.zeros((len(known.layers), len(weights)), np.float32)
        for layer in np.flatnonzero(new.hits.any(axis=0) & known.hits.any(axis=0)).tolist():
            found = known.rows(layer) @ new.columns(layer, symmetries)
            _raise(self.layer[rows, layer], found.max(axis=0).reshape(-1, turns).max(axis=1))
            found *= known.layers[:, layer, None]
            found *= weights[:, layer]
            total += found
        _raise(self.shower[rows], total.max(axis=0).reshape(-1, turns).max(axis=1))
        _raise(self.profile[rows], (known.layers @ new.layers.T).max(axis=0))
        self.hits[rows] = new.hits

    def distances(self, count: NDArray[np.int64]) -> Nearest:
        """What is left of 2, its root."""
        empty, few = count == 0, self.hits < LEAST_HITS
        return Nearest(
            _distance(self.shower, empty), _distance(self.profile, empty), _distance(self.layer, few)
        )


def _raise(highest: NDArray[np.float32], found: NDArray[np.float32]) -> None:
    np.maximum(highest, found, out=highest)


def _distance(product: NDArray[np.float32], unknown: NDArray[np.bool_]) -> NDArray[np.float32]:
    distance = np.sqrt(np.maximum(2.0 - 2.0 * product, 0.0))
    return np.where(unknown, np.nan, distance).astype(np.float32)
