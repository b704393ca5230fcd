"""Which cells are hit together: sums over showers, in groups of showers for jackknife errors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from caloforge.features import CellBatch, CellStore

__all__ = ["PARTS", "HitCounts", "Pattern", "count_hits", "occupancy"]

PARTS = 20
"""Parts that the showers are dealt into; leaving each out gives the error."""

_IMAGE_BYTES = 16_000_000


@dataclass(frozen=True)
class Pattern:
    """What is counted.

    Attributes:
        chosen: Cells whose pairs are all counted, ``(K,)``.
        near: A neighbour of every cell by direction, -1 for none, ``(D, n_cells)``.
        beside: Which directions stay in the layer, ``(D,)``.
        group: Ring or block of every cell, ``(n_cells,)``.
        groups: Number of groups.
        largest: Cells of the largest group.
    """

    chosen: NDArray[np.int64]
    near: NDArray[np.int64]
    beside: NDArray[np.bool_]
    group: NDArray[np.int64]
    groups: int
    largest: int


@dataclass(frozen=True)
class HitCounts:
    """Counts of one sample.

    Attributes:
        showers: Showers of every part, ``(P,)``.
        single: Showers in which each cell is hit, ``(P, n_cells)``.
        near: Showers in which a cell and its neighbour are hit, ``(P, D, n_cells)``.
        joint: Showers in which two of the chosen cells are hit, ``(P, K, K)``.
        hits: Hits of every shower, ``(n,)``.
        pairs: Hit neighbours in the same layer of every shower, ``(n,)``.
        group_hits: Groups of every shower with 0, 1, ... hits, ``(n, largest + 1)``; 0 is not filled.
    """

    showers: NDArray[np.float64]
    single: NDArray[np.float32]
    near: NDArray[np.float32]
    joint: NDArray[np.float32]
    hits: NDArray[np.int64]
    pairs: NDArray[np.int64]
    group_hits: NDArray[np.int32]


def occupancy(store: CellStore) -> NDArray[np.float64]:
    """Share of the showers in which each cell is hit, ``(n_cells,)``."""
    count = np.zeros(store.geometry.n_cells)
    for batch in store.batches(_batch_size(store)):
        count += np.bincount(batch.cells, minlength=len(count))
    return count / max(len(store), 1)


def count_hits(store: CellStore, pattern: Pattern) -> HitCounts:
    """Count in one pass over the showers, in small batches."""
    cells, (directions, chosen), n = (
        store.geometry.n_cells,
        (len(pattern.near), len(pattern.chosen)),
        len(store),
    )
    counts = HitCounts(
        showers=np.zeros(PARTS),
        single=np.zeros((PARTS, cells), np.float32),
        near=np.zeros((PARTS, directions, cells), np.float32),
        joint=np.zeros((PARTS, chosen, chosen), np.float32),
        hits=store.count.astype(np.int64),
        pairs=np.zeros(n, np.int64),
        group_hits=np.zeros((n, pattern.largest + 1), np.int32),
    )
    for part, rows in _dealt(n, _batch_size(store)):
        _add(counts, part, rows, store.batch(rows), pattern)
    return counts


def _dealt(count: int, size: int) -> Iterator[tuple[int, NDArray[np.int64]]]:
    for part in range(PARTS):
        rows = np.arange(part, count, PARTS)
        for start in range(0, len(rows), size):
            yield part, rows[start : start + size]


def _batch_size(store: CellStore) -> int:
    return max(_IMAGE_BYTES // store.geometry.n_cells, 1)


def _add(counts: HitCounts, part: int, rows: NDArray[np.int64], batch: CellBatch, pattern: Pattern) -> None:
    shower, cells = batch.shower, batch.cells
    # one column more than cells, never hit, is where the neighbour -1 points to
    image = np.zeros((len(rows), len(pattern.group) + 1), np.bool_)
    image[shower, cells] = True
    counts.showers[part] += len(rows)
    counts.single[part] += np.bincount(cells, minlength=len(pattern.group))
    for number, near in enumerate(pattern.near):
        both = image[shower, near[cells]]
        counts.near[part, number] += np.bincount(cells[both], minlength=len(near))
        if pattern.beside[number]:
            counts.pairs[rows] += np.bincount(shower[both], minlength=len(rows))
    chosen = image[:, pattern.chosen].astype(np.float32)
    counts.joint[part] += chosen.T @ chosen
    counts.group_hits[rows] = _group_hits(shower, pattern.group[cells], len(rows), pattern)


def _group_hits(
    shower: NDArray[np.int64], group: NDArray[np.int64], count: int, pattern: Pattern
) -> NDArray[np.int32]:
    """How many groups of every shower have 1, 2, ... hits, ``(count, largest + 1)``."""
    inside = np.bincount(shower * pattern.groups + group, minlength=count * pattern.groups)
    hit = np.flatnonzero(inside)
    bins = pattern.largest + 1
    key = (hit // pattern.groups) * bins + inside[hit]
    return np.bincount(key, minlength=count * bins).reshape(count, bins).astype(np.int32)
