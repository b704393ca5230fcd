from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from caloforge.nn import gumbel, gumbel_targets, top_k_mask

SEEDS = st.integers(0, 10**6)


def rng_of(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_gumbel_numbers_have_their_distribution() -> None:
    uniform = torch.tensor([0.1, 0.5, 0.9], dtype=torch.float64)
    torch.testing.assert_close(torch.exp(-torch.exp(-gumbel(uniform))), uniform)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_gumbel_numbers_are_finite(dtype: torch.dtype) -> None:
    extreme = torch.tensor([0.0, 2.0**-33, 1 - 2.0**-33, 1.0], dtype=torch.float64).to(dtype)
    assert bool(gumbel(extreme).isfinite().all())


@settings(max_examples=20)
@given(SEEDS, st.integers(1, 12))
def test_targets_mark_the_pattern(seed: int, n: int) -> None:
    rng = rng_of(seed)
    hit = torch.rand(50, n, generator=rng) < torch.rand(50, 1, generator=rng)
    hit[0], hit[1] = False, True
    targets = gumbel_targets(hit, torch.rand(50, n, generator=rng), miss=-1.0)
    assert bool(targets.isfinite().all())
    assert torch.equal(top_k_mask(targets, hit.sum(1)), hit)


def test_targets_are_the_gumbel_numbers_that_they_were_drawn_as() -> None:
    rng = rng_of(0)
    hit, uniform = torch.rand(4000, 9, generator=rng) < 0.3, torch.rand(4000, 9, generator=rng)
    raw = gumbel(uniform) + torch.where(hit, 0.0, -7.0)
    targets = gumbel_targets(hit, uniform)
    torch.testing.assert_close(targets.sort(dim=1).values, raw.sort(dim=1).values)
    ordered = (top_k_mask(raw, hit.sum(1)) == hit).all(1)
    assert 0.9 < float(ordered.float().mean()) < 1.0  # some had to be exchanged
    torch.testing.assert_close(targets[ordered], raw[ordered])
    # Gumbel(0, 1) and Gumbel(-7, 1): mean 0.5772 and a deviation of 1.2825
    for values, location in ((targets[hit], 0.0), (targets[~hit], -7.0)):
        assert float(values.mean()) == pytest.approx(location + 0.5772, abs=0.05)
        assert float(values.std()) == pytest.approx(1.2825, abs=0.05)


def test_choices_without_replacement_follow_the_weights() -> None:
    weights = torch.tensor([0.5, 0.3, 0.15, 0.05])
    draws = 100_000
    scores = weights.log() + gumbel(torch.rand(draws, 4, generator=rng_of(1)))
    one, two = (top_k_mask(scores, torch.full((draws,), k)) for k in (1, 2))
    torch.testing.assert_close(one.float().mean(0), weights, rtol=0, atol=6e-3)
    # second choice: the first one's share goes to the others in proportion
    after = weights / (1 - weights[:, None]) * (1 - torch.eye(4))
    torch.testing.assert_close(two.float().mean(0), weights + weights @ after, rtol=0, atol=6e-3)
    assert bool((one <= two).all())


def test_every_row_marks_as_many_as_it_should() -> None:
    scores = torch.randn(6, 5, generator=rng_of(2))
    k = torch.tensor([0, 1, 2, 3, 5, 9])
    mask = top_k_mask(scores, k)
    assert mask.sum(1).tolist() == [0, 1, 2, 3, 5, 5]
    for row, chosen in zip(scores[1:4], mask[1:4], strict=True):
        assert float(row[chosen].min()) > float(row[~chosen].max())
    assert top_k_mask(torch.zeros(2, 4), torch.tensor([2, 3])).sum(1).tolist() == [2, 3]  # ties
    assert top_k_mask(torch.zeros(0, 4), torch.zeros(0, dtype=torch.int64)).shape == (0, 4)
