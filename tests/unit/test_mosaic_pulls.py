from __future__ import annotations

import numpy as np
import pytest

from caloforge.models.mosaic.forest import Forest, single_leaf
from caloforge.models.mosaic.lattice import Block
from caloforge.models.mosaic.pulls import Apart, fit_pulls, no_pulls
from caloforge.models.mosaic.tables import BUCKETS, ENERGY_UNIT
from caloforge.models.mosaic.touching import TOUCHES, touching

BESIDE, CORNER, SAME = TOUCHES[0], TOUCHES[1], TOUCHES[2]


def test_cells_that_touch_a_block() -> None:
    block = Block((0, 0), ((3, 3), (3, 4)))
    around = [(2, 3), (2, 2), (5, 5), (3, 5)]
    own = list(touching(around, block, 10, TOUCHES[:2]))
    # above the first, at the corner of the second; corner of the first; nobody's; beside the second
    assert own == [(10, 0, BESIDE), (10, 1, CORNER), (11, 0, CORNER), (13, 1, BESIDE)]
    before = list(touching([(3, 3)], block, 0, TOUCHES[2:]))
    assert before == [(0, 0, SAME), (0, 1, SAME + 1)]


def leaf_of(count: int) -> Forest:
    """One leaf with so many rows."""
    one = single_leaf()
    rows = np.arange(count)
    return Forest(
        np.zeros(BUCKETS, np.int32), one.feature, one.limit, one.kid, one.start, one.count * count, rows
    )


def test_pulls_are_found_in_patterns_that_were_held_apart() -> None:
    rng = np.random.default_rng(4)
    touch = [(0, 0, BESIDE), (1, 1, BESIDE), (2, 0, CORNER)]
    # the leaf has either cell hit as often; a pulled one is three times as frequent
    leaf = rng.integers(2, size=4000)[:, None] == np.arange(2)
    context = np.where(rng.random((9000, 3)) < 0.3, 300, 0).astype(np.int16)
    lead = np.log(3) * ((context[:, 0] > 0).astype(float) - (context[:, 1] > 0))
    first = rng.random(9000) < 1 / (1 + np.exp(-lead))
    apart = Apart(context, np.column_stack([first, ~first]), np.ones(9000, np.int64))
    found = fit_pulls(apart, leaf, leaf_of(4000), touch, rng=rng)
    amount = dict(
        zip(
            zip(found.place.tolist(), found.child.tolist(), strict=True),
            found.amount / ENERGY_UNIT,
            strict=True,
        )
    )
    # McFadden's sampling of alternatives is consistent: errors go with 1 / sqrt(9000 x .4 x .2)
    assert amount[0, 0] == pytest.approx(np.log(3), abs=0.1)
    assert amount[1, 1] == amount[0, 0]
    assert abs(amount.get((2, 0), 0.0)) < 0.12


def test_nothing_pulls_where_nothing_is_known() -> None:
    empty = Apart(np.zeros((0, 3), np.int16), np.zeros((0, 2), bool), np.zeros(0, np.int64))
    rng = np.random.default_rng(1)
    for touch in ([], [(0, 0, BESIDE)]):
        found = fit_pulls(empty, np.ones((3, 2), bool), leaf_of(3), touch, rng=rng)
        assert [len(column) for column in found] == [len(column) for column in no_pulls()] == [0, 0, 0]
