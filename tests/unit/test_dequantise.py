from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from caloforge.errors import ConfigError
from caloforge.preprocessing import CDFDequantiser

SEEDS = st.integers(0, 10**6)


def rng_of(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def random_values(
    seed: int, *, rows: int = 300, sizes: tuple[int, ...] = (3, 40), tables: int = 4
) -> tuple[torch.Tensor, torch.Tensor]:
    """Values of steep distributions, ``(rows, D)``, and kinds of rows; the last kind does not occur."""
    rng = rng_of(seed)
    columns = [(size * torch.rand(rows, generator=rng) ** 3).long() for size in sizes]
    return torch.stack(columns, dim=1), torch.randint(tables - 1, (rows,), generator=rng)


def fitted(values: torch.Tensor, table: torch.Tensor) -> CDFDequantiser:
    dequantiser = CDFDequantiser((3, 40), tables=4)
    dequantiser.fit(values, table)
    return dequantiser


@settings(max_examples=20)
@given(SEEDS, st.sampled_from(["random", "lowest", "highest"]))
def test_values_come_back(seed: int, place: str) -> None:
    values, table = random_values(seed)
    uniform = torch.rand(values.shape, generator=rng_of(seed))
    if place != "random":
        uniform = torch.full_like(uniform, float(place == "highest"))
    dequantiser = fitted(values, table)
    target = dequantiser(values, uniform, table)
    assert target.dtype == torch.float32
    assert bool(target.isfinite().all())
    assert torch.equal(dequantiser.inverse(target, table), values)


def test_rare_values_come_back() -> None:
    rare = torch.tensor([0, 1, 4, 6, 8, 9])
    common = torch.tensor([5, 7]).repeat_interleave(4_000_000)
    dequantiser = CDFDequantiser([10])
    dequantiser.fit(torch.cat([common, rare])[:, None])
    seen = torch.tensor([0, 1, 4, 5, 6, 7, 8, 9])[:, None]
    for uniform in (0.0, 0.5, 1.0):
        target = dequantiser(seen, torch.full((8, 1), uniform))
        assert torch.equal(dequantiser.inverse(target), seen)


def test_targets_are_standard_normal() -> None:
    values, table = random_values(1, rows=40_000)
    target = fitted(values, table)(values, torch.rand(values.shape, generator=rng_of(2)), table)
    for kind in range(3):
        for column in range(2):
            assert stats.kstest(target[table == kind, column].numpy(), "norm").pvalue > 1e-3


def test_shares_are_spread_over_the_bin_of_their_value() -> None:
    values = torch.tensor([[0]] * 1 + [[1]] * 3)
    dequantiser = CDFDequantiser([2])
    dequantiser.fit(values)
    uniform = torch.linspace(0, 1, 11)[:, None]
    for value, low, size in ((0, 0.0, 0.25), (1, 0.25, 0.75)):
        target = dequantiser(torch.full((11, 1), value), uniform)
        share = torch.special.ndtr(target.double())
        torch.testing.assert_close(share, low + size * uniform.double(), rtol=0, atol=1e-7)


def test_normal_numbers_become_values_by_their_frequency() -> None:
    values, table = random_values(3, rows=5000)
    dequantiser = fitted(values, table)
    kind = torch.ones(200_000, dtype=torch.int64)
    drawn = dequantiser.inverse(torch.randn(200_000, 2, generator=rng_of(4)), kind)
    for column, size in enumerate((3, 40)):
        expected = torch.bincount(values[table == 1, column], minlength=size) / (table == 1).sum()
        got = torch.bincount(drawn[:, column], minlength=size) / 200_000
        torch.testing.assert_close(got, expected, rtol=0, atol=6e-3)
        assert not bool(got[expected == 0].any())


@settings(max_examples=20)
@given(SEEDS)
def test_values_that_never_occurred_never_come_out(seed: int) -> None:
    values, table = random_values(seed, rows=30)
    values = values.clone()
    values[:, 1] += values[:, 1] % 2  # even numbers only
    values[:, 1].clamp_(2, 36)
    dequantiser = fitted(values, table)
    wild = torch.tensor([-torch.inf, -40.0, -7.0, 7.0, 40.0, torch.inf])
    normal = torch.cat([wild, torch.randn(594, generator=rng_of(seed))])[:, None].expand(600, 2)
    for kind in range(3):
        seen = values[table == kind]
        if len(seen):
            drawn = dequantiser.inverse(normal, torch.full((600,), kind))
            for column in range(2):
                assert set(drawn[:, column].tolist()) <= set(seen[:, column].tolist())


def test_a_kind_that_did_not_occur_has_equal_values() -> None:
    dequantiser = fitted(*random_values(5))
    drawn = dequantiser.inverse(torch.randn(90_000, 2, generator=rng_of(6)), torch.full((90_000,), 3))
    for column, size in enumerate((3, 40)):
        share = torch.bincount(drawn[:, column], minlength=size) / 90_000
        torch.testing.assert_close(share, torch.full((size,), 1 / size), rtol=0, atol=6e-3)


def test_a_value_that_was_not_counted_gets_a_finite_number() -> None:
    dequantiser = CDFDequantiser([5])
    dequantiser.fit(torch.tensor([[1], [3]]))
    target = dequantiser(torch.arange(5)[:, None], torch.full((5, 1), 0.5))
    assert bool(target.isfinite().all())
    assert bool((target.diff(dim=0) >= 0).all())
    assert set(dequantiser.inverse(target)[:, 0].tolist()) == {1, 3}


def test_tables_are_saved_and_needed() -> None:
    values, table = random_values(7)
    first, second = fitted(values, table), CDFDequantiser((3, 40), tables=4)
    with pytest.raises(ConfigError, match="not fitted"):
        second.inverse(torch.zeros(1, 2))
    second.load_state_dict(first.state_dict())
    normal = torch.randn(300, 2, generator=rng_of(8))
    assert torch.equal(first.inverse(normal, table), second.inverse(normal, table))
    assert first.inverse(normal[:0], table[:0]).shape == (0, 2)
