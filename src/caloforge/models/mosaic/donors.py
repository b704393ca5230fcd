"""Which real split a step takes: down a tree to its leaf, and one of the leaf's; and the trends."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from caloforge.models.mosaic.tables import BUCKETS, TREND_SHIFT
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
    return tables.start[leaf] + below(word, tables.count[leaf])


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
