from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from caloforge.streams import Streams, philox

SEEDS = st.integers(0, 2**64 - 1)
ONES = 0xFFFFFFFF


@pytest.mark.parametrize(
    ("counter", "key", "expected"),
    [
        ((0, 0, 0, 0), (0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
        ((ONES, ONES, ONES, ONES), (ONES, ONES), (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
        (
            (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
            (0xA4093822, 0x299F31D0),
            (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
        ),
    ],
)
def test_known_answers_of_random123(
    counter: tuple[int, ...], key: tuple[int, int], expected: tuple[int, ...]
) -> None:
    words = philox(np.array(counter, dtype=np.uint64)[:, None], key)
    assert words[:, 0].tolist() == list(expected)


@given(SEEDS, st.lists(st.integers(0, 6), min_size=1, max_size=8), st.integers(1, 9), st.integers(0, 2**40))
def test_a_shower_does_not_depend_on_its_batch(seed: int, counts: list[int], width: int, first: int) -> None:
    shower = first + np.arange(len(counts))
    together = Streams(seed, shower).normal("points", np.array(counts), width=width)
    assert together.shape == (sum(counts), width)
    alone = [
        Streams(seed, shower[[i]]).normal("points", n, width=width)
        for i, n in reversed(list(enumerate(counts)))
    ]
    np.testing.assert_array_equal(together, np.concatenate(alone[::-1]))


@given(SEEDS, st.integers(0, 20), st.integers(0, 20))
def test_more_rows_leave_the_first_ones(seed: int, few: int, more: int) -> None:
    streams = Streams(seed, np.array([5]))
    long = streams.uniform("a", few + more, width=3)
    np.testing.assert_array_equal(streams.uniform("a", few, width=3), long[:few])


def test_seeds_showers_stages_rows_and_columns_share_no_number() -> None:
    # 32-bit words: 3200 of them coincide somewhere with a probability of 0.1 %
    drawn = [
        Streams(seed, np.array([0, 1, 2**32, 2**33])).uniform(stage, 20, width=5)
        for seed in (0, 1, 2**32, 2**63)
        for stage in ("shower-flow", "points")
    ]
    values = np.concatenate(drawn).ravel()
    assert len(values) == 3200
    assert len(np.unique(values)) == 3200


def test_one_number_of_rows_is_for_all_showers() -> None:
    streams = Streams(1, np.arange(3))
    np.testing.assert_array_equal(streams.normal("a", 4), streams.normal("a", np.full(3, 4)))
    assert Streams(1, np.arange(0)).normal("a", 4, width=2).shape == (0, 2)


def test_numbers_have_their_distributions() -> None:
    streams = Streams(42, np.arange(200))
    uniform, normal = streams.uniform("u", 250, width=4).ravel(), streams.normal("n", 250, width=4).ravel()
    assert normal.dtype == np.float32
    assert 0 < uniform.min() < 1e-4
    assert 1 - 1e-4 < uniform.max() < 1
    assert stats.kstest(uniform, "uniform").pvalue > 1e-3
    assert stats.kstest(normal.astype(float), "norm").pvalue > 1e-3
    n = len(normal)
    assert abs(normal.mean()) < 4 / n**0.5
    assert abs(normal.var() - 1) < 4 * (2 / n) ** 0.5
    assert abs(stats.kurtosis(normal)) < 4 * (24 / n) ** 0.5


def test_neighbours_are_not_correlated() -> None:
    draw = Streams(7, np.arange(100)).normal("n", 100, width=4).reshape(100, 100, 4)
    pairs = [(draw[1:], draw[:-1]), (draw[:, 1:], draw[:, :-1]), (draw[..., 1:], draw[..., :-1])]
    for a, b in pairs:
        assert abs(np.mean(a * b)) < 4 / a.size**0.5
