"""The real splits in the leaves as columns that pack well, and back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from caloforge.models.mosaic.layout import ANGLE, HITS, PLACES, RATIO

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from caloforge.models.mosaic.layout import Layout
    from caloforge.models.mosaic.tables import Tables

__all__ = ["ANGLE_STEP", "RATIO_STEP", "SHARE_STEP", "Donors", "read_donors", "write_donors"]

ANGLE_STEP = 16
"""Of the hits' split variables, in units of ``1 / HIT_UNIT``: shares to a thousandth."""

RATIO_STEP = 64
"""Of the energies', in units of ``1 / ENERGY_UNIT``: an eighth, where few hits scatter by about 1."""

SHARE_STEP = 0.1
"""Of the logarithm of shares relative to that of a pattern's last hit."""

_MOST_STEPS = 127


@dataclass(frozen=True, eq=False)
class Donors:
    """The donors that are kept, leaf after leaf, sorted in each.

    Attributes:
        count: Of every leaf, ``(F,)``.
        row: Their rows in the tables, ``(D,)``.
        tree: Their trees, ``(D,)``.
    """

    count: NDArray[np.int64]
    row: NDArray[np.int64]
    tree: NDArray[np.int64]

    @classmethod
    def of(
        cls,
        tables: Tables,
        layout: Layout,
        uses: NDArray[np.uint8],
        *,
        most: int,
        rng: np.random.Generator,
    ) -> Donors:
        """Keep up to ``most`` of every leaf: every k-th of the sorted ones from a random start on."""
        is_leaf = tables.feature[layout.node] < 0
        leaf, tree = layout.node[is_leaf], layout.tree[is_leaf]
        start, count = tables.start[leaf].astype(np.int64), tables.count[leaf].astype(np.int64)
        index = np.repeat(np.arange(len(leaf)), count)
        row = np.repeat(start - np.cumsum(count) + count, count) + np.arange(count.sum())
        pattern, hits = _patterns(tables, row, uses[tree[index]]), _hits(tables, row, uses[tree[index]])
        order = np.lexsort((tables.split_ratio[row], hits, pattern, index))
        kept = order[evenly(count, np.minimum(count, most), rng)]
        return cls(np.minimum(count, most), row[kept], tree[index[kept]])


def _hits(tables: Tables, row: NDArray[np.int64], asked: NDArray[np.uint8]) -> NDArray[np.int16]:
    return np.where(asked & HITS, tables.split_hits[row], 0).astype(np.int16)


def _patterns(tables: Tables, row: NDArray[np.int64], asked: NDArray[np.uint8]) -> NDArray[np.uint16]:
    return np.where(asked & PLACES, tables.pattern[row], 0).astype(np.uint16)


def evenly(
    count: NDArray[np.int64], wanted: NDArray[np.int64], rng: np.random.Generator
) -> NDArray[np.bool_]:
    """Which of ``count`` things ``(F,)`` on end are kept so that ``wanted`` are, evenly spread."""
    place = np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count)
    number, offset = np.repeat(count, count), np.repeat(rng.integers(np.maximum(count, 1)), count)
    passed = place * np.repeat(wanted, count) + offset
    kept: NDArray[np.bool_] = (passed + np.repeat(wanted, count)) // number > passed // number
    return kept


def write_donors(
    tables: Tables, donors: Donors, uses: NDArray[np.uint8], trees: NDArray[np.int32]
) -> dict[str, NDArray[Any]]:
    """The columns of a file.

    Args:
        tables: As they are fitted.
        donors: Which are kept.
        uses: What the donors of every tree are asked for, ``(T,)``.
        trees: The tree of every table and number of hits, ``(K, BUCKETS)``.
    """
    asked, row, first = uses[donors.tree], donors.row, _firsts(donors.count)
    hits, pattern = _hits(tables, row, asked), _patterns(tables, row, asked)
    split = _splits(asked, hits, _largest(trees, len(uses))[donors.tree])
    ratio = _rounded(tables.split_ratio[row[split]], RATIO_STEP)
    breaks = _breaks(first, hits)[split]
    return {
        "uses": uses,
        "counts": narrow(donors.count),
        "hits": narrow(_differences(hits, first)[(asked & HITS) > 0]),
        "angle": narrow(_rounded(tables.split_angle[row], ANGLE_STEP)[(asked & ANGLE) > 0]),
        "ratio": narrow(ratio[breaks]),
        "ratio_step": narrow(_differences(ratio, breaks)[~breaks]),
        "pattern": pattern[(asked & PLACES) > 0],
        "share": _share_codes(tables, row, pattern),
    }


def read_donors(
    arrays: Mapping[str, NDArray[Any]], leaf_tree: NDArray[np.int64], trees: NDArray[np.int32]
) -> dict[str, NDArray[Any]]:
    """The columns of tables by name.

    Args:
        arrays: Of a file.
        leaf_tree: The tree of every leaf, ``(F,)``.
        trees: The tree of every table and number of hits, ``(K, BUCKETS)``.

    Raises:
        IndexError, ValueError: They do not fit together.
    """
    uses, count = arrays["uses"], arrays["counts"].astype(np.int64)
    asked, first = np.repeat(uses[leaf_tree], count), _firsts(count)
    hits = _filled((asked & HITS) > 0, arrays["hits"], np.int16)
    hits = _sums(hits, first).astype(np.uint8)
    pattern = _filled((asked & PLACES) > 0, arrays["pattern"], np.uint16)
    split = _splits(asked, hits, np.repeat(_largest(trees, len(uses))[leaf_tree], count))
    bits = np.bitwise_count(pattern)
    return {
        "split_hits": hits,
        "split_angle": ANGLE_STEP * _filled((asked & ANGLE) > 0, arrays["angle"], np.int16),
        "split_ratio": _read_ratios(arrays, split, _breaks(first, hits)),
        "pattern": pattern,
        "share_start": np.cumsum(bits, dtype=np.int32) - bits,
        "share": _shares(arrays["share"], bits),
    }


def _read_ratios(
    arrays: Mapping[str, NDArray[Any]], split: NDArray[np.bool_], breaks: NDArray[np.bool_]
) -> NDArray[np.int16]:
    steps = np.zeros(int(split.sum()), np.int16)
    at = breaks[split]
    steps[at], steps[~at] = arrays["ratio"], arrays["ratio_step"]
    return RATIO_STEP * _filled(split, _sums(steps, at), np.int16)


def _splits(
    asked: NDArray[np.uint8], hits: NDArray[np.integer], largest: NDArray[np.uint8]
) -> NDArray[np.bool_]:
    """Which donors are asked for a ratio: not those whose hits are all in one child."""
    apart = (hits > 0) & (hits < largest)
    found: NDArray[np.bool_] = ((asked & ANGLE) > 0) | (((asked & RATIO) > 0) & apart)
    return found


def _largest(trees: NDArray[np.int32], count: int) -> NDArray[np.uint8]:
    """The most hits that a tree is for, ``(count,)``."""
    table, bucket = np.nonzero(trees >= 0)
    largest = np.zeros(count, np.uint8)
    np.maximum.at(largest, trees[table, bucket], bucket.astype(np.uint8))
    return largest


def _share_codes(tables: Tables, row: NDArray[np.int64], pattern: NDArray[np.uint16]) -> NDArray[np.int8]:
    """Logarithms of shares, relative to the last one of their pattern, which is left out."""
    bits = np.bitwise_count(pattern).astype(np.int64)
    start = np.repeat(tables.share_start[row] - np.cumsum(bits) + bits, bits)
    share = np.log(np.maximum(tables.share[start + np.arange(bits.sum())], 1e-9))
    last = np.cumsum(bits) - 1
    code = np.round((share - np.repeat(share[last[bits > 0]], bits[bits > 0])) / SHARE_STEP)
    return np.delete(code, last[bits > 0]).clip(-_MOST_STEPS, _MOST_STEPS).astype(np.int8)


def _shares(code: NDArray[np.int8], bits: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Shares of patterns of so many hits, which add up to 1."""
    some = bits[bits > 0]
    end = np.cumsum(some, dtype=np.int64)
    last = np.zeros(end[-1] if len(end) else 0, np.bool_)
    last[end - 1] = True
    whole = _filled(~last, code, np.int8)
    table = np.exp(SHARE_STEP * np.arange(-128, 128)).astype(np.float32).astype(np.float64)
    weight, pattern = table[whole.astype(np.int16) + 128], np.repeat(np.arange(len(some)), some)
    total = np.bincount(pattern, weights=weight, minlength=len(some))
    share: NDArray[np.float32] = (weight / total[pattern]).astype(np.float32)
    return share


def narrow(values: NDArray[np.integer]) -> NDArray[Any]:
    """Whole numbers in the smallest type that holds them."""
    low, high = values.min(initial=0), values.max(initial=0)
    limits = ((dtype, np.iinfo(dtype)) for dtype in (np.uint8, np.int8, np.uint16, np.int16))
    fitting = (dtype for dtype, limit in limits if limit.min <= low and high <= limit.max)
    return values.astype(next(fitting, np.int32))


def _rounded(values: NDArray[np.int16], step: int) -> NDArray[np.int16]:
    most = 2**15 // step - 1
    return np.round(values / step).clip(-most, most).astype(np.int16)


def _filled(where: NDArray[np.bool_], values: NDArray[Any], dtype: type[np.integer]) -> NDArray[Any]:
    whole = np.zeros(len(where), dtype)
    whole[where] = values
    return whole


def _firsts(count: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which of ``count`` things on end are the first ones."""
    first = np.zeros(int(count.sum()), np.bool_)
    first[(np.cumsum(count) - count)[count > 0]] = True
    return first


def _breaks(first: NDArray[np.bool_], hits: NDArray[np.integer]) -> NDArray[np.bool_]:
    """Where a leaf begins, or donors of other hits."""
    other = np.zeros(len(hits), np.bool_)
    other[1:] = hits[1:] != hits[:-1]
    return first | other


def _differences(values: NDArray[np.int16], first: NDArray[np.bool_]) -> NDArray[np.int16]:
    """Each less the one before, but for the first ones."""
    before = np.where(first, 0, np.concatenate([[0], values[:-1]]) if len(values) else values)
    return (values - before).astype(np.int16)


def _sums(steps: NDArray[np.integer], first: NDArray[np.bool_]) -> NDArray[np.int32]:
    """What ``_differences`` was given."""
    sums = np.cumsum(steps, dtype=np.int32)  # may wrap around: differences are right all the same
    start = np.flatnonzero(first)
    length = np.diff(np.append(start, len(steps)))
    restored: NDArray[np.int32] = sums - np.repeat(sums[start] - steps[start], length)
    return restored
