"""Which real split a step takes: down a tree to its leaf, and one of the leaf's; and the trends."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from caloforge.models.mosaic.program import PATTERN
from caloforge.models.mosaic.tables import BUCKETS, MOST_CHILDREN, MOST_PULL, TREND_SHIFT
from caloforge.models.mosaic.words import below, words

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from caloforge.models.mosaic.state import Items, State
    from caloforge.models.mosaic.tables import Tables

__all__ = ["donors", "trends"]


def donors(
    tables: Tables, state: State, items: Items, table: NDArray[np.int32], keys: NDArray[np.uint64]
) -> NDArray[np.int64]:
    """The donor of every item, ``(m,)``.

    Args:
        tables: Trees and donors.
        state: The contexts.
        items: ``m`` of them.
        table: Of every item, ``(m,)``.
        keys: Of the block's showers.
    """
    leaf = _leaves(tables, state, items, tables.roots[table, np.minimum(items.hits, BUCKETS - 1)])
    word = words(keys[items.shower], items.group.step[items.row])
    donor = tables.start[leaf] + below(word, tables.count[leaf])
    if items.group.kind == PATTERN:
        scores = _scores(tables, state, items, table)
        pulled = np.flatnonzero(scores.any(axis=1))
        if len(pulled):
            donor[pulled] = _pulled(tables, leaf[pulled], scores[pulled], word[pulled])
    return donor


def _scores(tables: Tables, state: State, items: Items, table: NDArray[np.int32]) -> NDArray[np.int64]:
    """By how much every child of every item is pulled, ``(m, children)``."""
    first = tables.pull_start[table].astype(np.int64)
    count = tables.pull_start[table + 1] - first
    item = np.repeat(np.arange(len(table)), count)
    pull = np.arange(len(item)) + np.repeat(first - np.cumsum(count) + count, count)
    place = items.group.context[items.row[item], tables.pull_place[pull]]
    hit = state.codes[items.shower[item], place] > 0
    scores = np.zeros((len(table), MOST_CHILDREN), np.int64)
    np.add.at(scores, (item[hit], tables.pull_child[pull[hit]]), tables.pull[pull[hit]])
    return scores


def _pulled(
    tables: Tables, leaf: NDArray[np.int32], scores: NDArray[np.int64], word: NDArray[np.uint64]
) -> NDArray[np.int64]:
    """Donors of leaves, drawn with weights: 256 exp of the sum of the scores of the children that are hit."""
    count = tables.count[leaf]
    column = np.arange(count.max())
    donor = tables.start[leaf].astype(np.int64)[:, None] + np.minimum(column, count[:, None] - 1)
    z = np.zeros(donor.shape, np.int64)
    for child in range(MOST_CHILDREN):
        z += (tables.pattern[donor] >> child & 1) * scores[:, child, None]
    middle = len(tables.exponential) // 2
    weight = (np.float32(256) * tables.exponential[np.clip(z, -MOST_PULL, MOST_PULL) + middle]).astype(
        np.int64
    )
    total = np.where(column < count[:, None], weight, 0).cumsum(axis=1)
    which = (total > below(word, total[:, -1])[:, None]).argmax(axis=1)
    chosen: NDArray[np.int64] = np.take_along_axis(donor, which[:, None], axis=1)[:, 0]
    return chosen


def trends(
    tables: Tables, state: State, items: Items, table: NDArray[np.int32]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Trends of the hits and of the energies, ``(m,)`` each; arguments as of ``donors``."""
    group = items.group
    codes = state.codes[items.shower[:, None], group.context[items.row]].astype(np.int64)
    # beyond a step's own context the codes are those of the empty node, 0, so that any weight will do
    column = np.arange(codes.shape[1])
    first = tables.weights_start[table].astype(np.int64)
    shift = np.stack([np.zeros_like(first), group.length[items.row].astype(np.int64)])
    found = [_dot(tables.weights, (first + more)[:, None] + column, codes) for more in shift]
    hits, energies = ((total + tables.bias[table, which]) >> TREND_SHIFT for which, total in enumerate(found))
    return hits, energies


def _dot(weights: NDArray[np.int32], index: NDArray[np.int64], codes: NDArray[np.int64]) -> NDArray[np.int64]:
    if not len(weights):
        return np.zeros(len(codes), dtype=np.int64)
    chosen = weights[np.minimum(index, len(weights) - 1)].astype(np.int64)
    total: NDArray[np.int64] = np.einsum("ij,ij->i", chosen, codes)
    return total


def _leaves(tables: Tables, state: State, items: Items, node: NDArray[np.int32]) -> NDArray[np.int32]:
    """Walk all items down their trees at once."""
    leaf = node.copy()
    left = np.arange(len(leaf))
    while len(left):
        at = leaf[left]
        feature = tables.feature[at]
        inner = feature >= 0
        left, at, feature = left[inner], at[inner], feature[inner]
        place = items.group.context[items.row[left], feature]
        above = state.codes[items.shower[left], place] > tables.limit[at]
        leaf[left] = tables.kid[at] + above
    return leaf
