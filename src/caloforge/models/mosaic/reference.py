"""The specification: generation in numpy, which every other implementation follows bit for bit.

A shower has for every node hits ``N``, an energy above threshold ``X`` (float32) and two codes, all 0 at
first. To *put* hits and energy into a node sets them, and the codes of ``X + threshold N`` (in steps of
``deposit_step``) and of ``N``.
``start`` puts the roots; then the steps follow in order. ``SUM`` puts into its parent the children's hits and
energies, added in their order. The others, if their parent has hits, put their children:

- ``COPY`` puts the parent's ``N`` and ``X`` into its child.
- The others choose a donor. The table is ``few``, or ``many`` for splits of more than ``exact`` hits; its
  tree that of ``min(N, BUCKETS - 1)`` hits, which must exist. Down to a leaf, a code above ``limit`` goes to
  ``kid + 1``, another to ``kid``. The upper half of the word of this step, times ``count`` over 2^32, is the
  donor among the leaf's.
- ``SPLIT``: a trend is ``(bias + sum of weights times codes) >> TREND_SHIFT``. The first child has
  ``split_hits`` hits (few) or ``int(float32(N + 1) sine[z])`` (many; z the trend of the hits and
  ``split_angle``, bounded by the table), then at least N less the capacity of the second, at most its
  own capacity and N, and not below 0. If one child has no hits the other has X. Else, with hits a and b, z
  is the trend of the energies, ``hit_weight (code of a - code of b) >> TREND_SHIFT`` and ``split_ratio``,
  bounded to -4095 and 4095, ``r = a exponential[z + 4096]``, and the first child has ``x = X (r / (r + b))``,
  the second ``X - x``.
- ``PATTERN``: children with their bit set, the first child's lowest, have one hit each and ``X share``,
  the donor's shares in the order of the children.

Cells whose nodes have hits have ``X + threshold``. Sums and products of energies and shares are float32,
rounded after every operation (none fused); all else are whole numbers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from caloforge.models.mosaic.codes import hit_code
from caloforge.models.mosaic.donors import donors, trends
from caloforge.models.mosaic.program import COPY, SPLIT, SUM
from caloforge.models.mosaic.schedule import waves
from caloforge.models.mosaic.start import start
from caloforge.models.mosaic.state import Put, State
from caloforge.models.mosaic.tables import TREND_SHIFT

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from caloforge.models.mosaic.program import Program
    from caloforge.models.mosaic.schedule import Group
    from caloforge.models.mosaic.state import Items
    from caloforge.models.mosaic.tables import Roots, Tables

__all__ = ["generate", "shares"]

_MEMORY = 2**26
_MIDDLE = 4096  # the exponentials' ratio of 1

Cells = tuple["NDArray[np.int32]", "NDArray[np.int32]", "NDArray[np.float32]"]


def generate(  # noqa: PLR0917 - every engine has these arguments in this order
    program: Program,
    tables: Tables,
    roots: Roots,
    energy: NDArray[np.float32],
    codes: NDArray[np.int16],
    keys: NDArray[np.uint64],
) -> Cells:
    """Make showers. Shower ``i`` depends on its energy, codes and key alone.

    Args:
        program: Of the read-out.
        tables: Fitted to it.
        roots: The real showers to start from.
        energy: Incident energies [MeV], ``(B,)``.
        codes: Of the conditions, ``(B, conditions)``.
        keys: Random words of the showers, ``(B,)``; ``words.keys_of`` makes them.

    Returns:
        Hits of every shower, ``(B,)`` int32; their cells, shower after shower and rising in each, ``(H,)``
        int32; their energies [MeV], ``(H,)`` float32.
    """
    incident = energy.astype(np.float32)
    size = _showers_at_once(program)
    blocks = (slice(i, i + size) for i in range(0, len(keys), size))
    parts = [
        _block(
            program, tables, start(program, tables, roots, incident[b], codes[b], keys[b]), codes[b], keys[b]
        )
        for b in blocks
    ]
    counts, cell, deposit = (np.concatenate(column) for column in zip(*(parts or [_no_cells()]), strict=True))
    return counts, cell, deposit


def _block(
    program: Program,
    tables: Tables,
    drawn: tuple[NDArray[np.int32], NDArray[np.float32]],
    codes: NDArray[np.int16],
    keys: NDArray[np.uint64],
) -> Cells:
    state = State(program, codes)
    state.put(_roots(program, *drawn))
    for wave in waves(program):
        # all groups of a wave read before one of them writes
        puts = [shares(program, tables, state, group, keys) for group in wave]
        for put in puts:
            state.put(put)
    return state.cells(program.cell)


def _roots(program: Program, hits: NDArray[np.int32], excess: NDArray[np.float32]) -> Put:
    shower, root = np.indices(hits.shape).reshape(2, -1)
    return Put(shower, program.root[root], hits.ravel(), excess.ravel())


def shares(program: Program, tables: Tables, state: State, group: Group, keys: NDArray[np.uint64]) -> Put:
    """What a group's steps put.

    Args:
        program: Of the read-out.
        tables: Fitted to it.
        state: All that is drawn by then.
        group: The steps.
        keys: Of the block's showers, ``(B,)``.
    """
    if group.kind == SUM:
        return _sums(state, group)
    items = state.items(group)
    if group.kind == COPY:
        return Put(items.shower, group.child[items.row, 0], items.hits, items.excess)
    if group.kind == SPLIT:
        return _split(program, tables, state, items, keys)
    return _pattern(tables, state, items, keys)


def _sums(state: State, group: Group) -> Put:
    hits = state.hits[:, group.child].sum(axis=2, dtype=np.int32)
    excess = np.cumsum(state.excess[:, group.child], axis=2)[:, :, -1]  # one after the other
    shower, row = np.indices(hits.shape).reshape(2, -1)
    return Put(shower, group.parent[row], hits.ravel(), excess.ravel())


def _split(program: Program, tables: Tables, state: State, items: Items, keys: NDArray[np.uint64]) -> Put:
    group = items.group
    few = items.hits <= group.exact[items.row]
    table = np.where(few, group.few[items.row], group.many[items.row])
    donor = donors(tables, state, items, table, keys)
    angle, ratio = trends(tables, state, items, table)
    child = group.child[items.row]
    hits = np.where(few, tables.split_hits[donor], _many(tables, items, angle + tables.split_angle[donor]))
    first = _within(hits, items.hits, program.capacity[child])
    ratio += _by_hits(tables, table, first, items.hits - first) + tables.split_ratio[donor]
    excess = _first_excess(tables, items, first, ratio)
    return Put(
        np.repeat(items.shower, 2),
        child.ravel(),
        np.stack([first, items.hits - first], axis=1).ravel(),
        np.stack([excess, items.excess - excess], axis=1).ravel(),
    )


def _many(tables: Tables, items: Items, angle: NDArray[np.int64]) -> NDArray[np.int32]:
    """Hits of the first child from a share, rounded down; it may be N + 1."""
    share = tables.sine[np.clip(angle, 0, len(tables.sine) - 1)]
    hits: NDArray[np.int32] = ((items.hits + 1).astype(np.float32) * share).astype(np.int32)
    return hits


def _within(
    hits: NDArray[np.int32], total: NDArray[np.int32], capacity: NDArray[np.int32]
) -> NDArray[np.int32]:
    """Hits of the first child such that both children have room for theirs."""
    low = np.maximum(hits, total - capacity[:, 1])
    bounded: NDArray[np.int32] = np.maximum(np.minimum(low, np.minimum(capacity[:, 0], total)), 0)
    return bounded


def _by_hits(
    tables: Tables, table: NDArray[np.int32], first: NDArray[np.int32], second: NDArray[np.int32]
) -> NDArray[np.int64]:
    """What the hits that were drawn add to the trend of the energies."""
    apart = hit_code(first).astype(np.int64) - hit_code(second)
    added: NDArray[np.int64] = (tables.hit_weight[table] * apart) >> TREND_SHIFT
    return added


def _first_excess(
    tables: Tables, items: Items, first: NDArray[np.int32], ratio: NDArray[np.int64]
) -> NDArray[np.float32]:
    """Energy above threshold of the first child."""
    bounded = np.clip(ratio, 1 - _MIDDLE, _MIDDLE - 1) + _MIDDLE
    second = items.hits - first
    weight = first.astype(np.float32) * tables.exponential[bounded]
    shared = items.excess * (weight / (weight + second.astype(np.float32)))
    return np.where(first == 0, np.float32(0), np.where(second == 0, items.excess, shared))


def _pattern(tables: Tables, state: State, items: Items, keys: NDArray[np.uint64]) -> Put:
    group = items.group
    donor = donors(tables, state, items, group.few[items.row], keys)
    place = np.arange(group.child.shape[1])
    hit = (tables.pattern[donor][:, None] >> place & 1).astype(bool) & (
        place < group.children[items.row, None]
    )
    item, column = np.nonzero(hit)
    share = tables.share[(tables.share_start[donor][:, None] + np.cumsum(hit, axis=1) - 1)[hit]]
    node = group.child[items.row[item], column]
    ones = np.ones(len(item), dtype=np.int32)
    return Put(items.shower[item], node, ones, items.excess[item] * share)


def _showers_at_once(program: Program) -> int:
    """So many that nodes and codes, and contexts of the longest wave, stay within bounds."""
    nodes = 8 * program.nodes + 2 * program.places + 12 * len(program.cell)
    contexts = max((24 * g.context.size for wave in waves(program) for g in wave), default=0)
    return max(1, _MEMORY // (nodes + contexts))


def _no_cells() -> Cells:
    return np.zeros(0, np.int32), np.zeros(0, np.int32), np.zeros(0, np.float32)
