"""Splits in depth: trends, donors, sums that stay, and the distributions that come back."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from caloforge.errors import ConfigError
from caloforge.models.noise import StreamNoise
from caloforge.models.totals.donors import Donors
from caloforge.models.totals.layer_totals import LayerTotals, LayerTotalsConfig
from caloforge.models.totals.linear import CountScale, LinearTrend
from caloforge.models.totals.nodes import Node, splits_of

THRESHOLD = 0.1
CAPACITY = torch.tensor([4, 50])
WEIGHTS = torch.tensor([1.0, 1.0, 1.0, 2.0, 2.0])


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def toy(showers: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """Hits and energies of five layers of two regions, incident energies and conditions."""
    generator = rng(5)
    condition = 2 * torch.rand(showers, 1, generator=generator) - 1
    incident = 30_000 * 3.0 ** condition[:, 0].double()
    depth = 2 + 0.6 * torch.randn(showers, 1, generator=generator) + 0.3 * condition
    shape = torch.exp(-0.5 * (torch.arange(5) - depth).square())
    mean = torch.stack([3.9 * shape.pow(0.1), 25 * shape * (1.5 + condition)], dim=2)
    counts = torch.minimum(torch.poisson(mean, generator=generator), CAPACITY)
    above = counts * (1.0 + 0.3 * torch.rand(counts.shape, generator=generator))
    weighted = (above * WEIGHTS[:, None]).sum((1, 2), keepdim=True)
    wanted = 1e-3 * incident * (1 + 0.03 * torch.randn(showers, generator=generator))
    above = above * (wanted / weighted[:, 0, 0])[:, None, None]
    return counts, (above + THRESHOLD * counts).float(), incident, condition


def fitted(config: LayerTotalsConfig | None = None, showers: int = 3000) -> LayerTotals:
    model = LayerTotals(
        config or LayerTotalsConfig(), capacity=CAPACITY, weights=WEIGHTS, threshold=THRESHOLD
    )
    model.fit(*toy(showers), rng())
    return model


def test_splits_by_hand() -> None:
    nodes = [(0, 5), (0, 2), (2, 5), (0, 1), (1, 2), (2, 3), (3, 5), (3, 4), (4, 5)]
    inner = [(0, 5), (0, 2), (2, 5), (3, 5)]
    assert [(n.start, n.stop) for n in splits_of(5)] == inner
    assert set(inner) < set(nodes)
    assert len(splits_of(30)) == 29
    assert splits_of(1) == ()
    assert Node(3, 8).halves == (Node(3, 5), Node(5, 8))


def test_a_trend_finds_a_line_and_stays_within_what_it_saw() -> None:
    terms = torch.randn(500, 2, generator=rng(), dtype=torch.float64)
    target = torch.stack([3 * terms[:, 0] - 2 * terms[:, 1] + 1, 7 + 0 * terms[:, 0]], dim=1)
    known = torch.ones_like(target, dtype=torch.bool)
    known[:, 1] = False
    trend = LinearTrend(2, 2)
    trend.fit(terms, target, known)
    torch.testing.assert_close(trend(terms)[:, 0], target[:, 0], rtol=0.01, atol=0.02)
    assert bool((trend(terms)[:, 1] == 0).all())  # of what was never seen nothing is said
    far = trend(torch.tensor([[50.0, 0.0]], dtype=torch.float64))
    assert float(far[0, 0]) == pytest.approx(float(target[:, 0].max()))


def test_the_scatter_of_a_binomial_share_is_found() -> None:
    """The angle of a binomial share k of n has the variance 1 / 4 n, whatever the share is."""
    number = torch.randint(20, 200, (20_000,), generator=rng()).double()
    chance = torch.rand(20_000, generator=rng(1), dtype=torch.float64) * 0.6 + 0.2
    share = torch.binomial(number, chance, generator=rng(2)) / number
    residual = (share.sqrt().asin() - chance.sqrt().asin())[:, None]
    scale = CountScale(1)
    scale.fit(residual, number[:, None].reciprocal(), torch.ones(20_000, 1, dtype=torch.bool))
    assert float(scale.terms[1, 0]) == pytest.approx(0.25, rel=0.15)  # the largest residuals are cut
    assert float(scale(torch.tensor([[0.01]], dtype=torch.float64))[0, 0]) == pytest.approx(0.05, rel=0.08)


def test_donors_come_from_the_leaf_of_their_terms() -> None:
    """Below zero residuals are -1 or -2, above it 10 and now and then not seen."""
    terms = torch.linspace(-1, 1, 1000)[:, None]
    low = torch.where(torch.arange(1000) % 2 == 0, -1.0, -2.0)
    residual = torch.where(terms[:, 0] < 0, low, 10.0).double()[:, None]
    residual[900:] = torch.nan
    donors = Donors(1, 1, leaves=4, size=500, leaf=20)
    donors.fit(terms.double(), residual, rng())
    uniform = torch.rand(4000, generator=rng(1), dtype=torch.float64)
    below = donors(torch.full((4000, 1), -0.5), uniform)[:, 0]
    assert set(below.tolist()) == {-1.0, -2.0}
    assert float(below.mean()) == pytest.approx(-1.5, abs=0.1)
    above = donors(torch.full((4000, 1), 0.5), uniform)[:, 0]
    assert set(above[~above.isnan()].tolist()) <= {10.0, 0.0}
    assert bool(donors(torch.full((10, 1), 0.99), uniform[:10]).isnan().any())


def test_every_leaf_keeps_a_donor() -> None:
    terms = torch.arange(1000.0)[:, None].double()
    donors = Donors(1, 1, leaves=16, size=16, leaf=10)
    donors.fit(terms, terms, rng())
    drawn = donors(terms, torch.full((1000,), 0.5).double())[:, 0]
    assert float((drawn - terms[:, 0]).abs().max()) < 200


def test_drawn_totals_have_the_distribution_of_the_showers() -> None:
    counts, energies, incident, condition = toy(3000)
    drawn, sums = fitted().sample(incident, condition, StreamNoise(3, np.arange(3000)))
    assert torch.equal(drawn, drawn.round())
    assert bool((drawn <= CAPACITY).all())
    assert bool((drawn >= 0).all())
    assert bool((sums >= drawn * THRESHOLD - 1e-9).all())
    assert bool((sums[drawn == 0] == 0).all())
    for ours, theirs in ((drawn, counts), (sums, energies)):
        torch.testing.assert_close(ours.float().mean(0), theirs.mean(0), rtol=0.05, atol=0.1)
        torch.testing.assert_close(ours.float().std(0), theirs.std(0), rtol=0.12, atol=0.15)
    layer, number = torch.arange(5.0), counts.sum(2)
    depth, ours = ((n @ layer / n.sum(1)) for n in (number, drawn.sum(2).float()))
    assert float(ours.std()) == pytest.approx(float(depth.std()), rel=0.06)


def test_the_weighted_sum_is_as_narrow_as_it_was() -> None:
    counts, energies, incident, condition = toy(3000)
    model = fitted()
    drawn, sums = model.sample(incident, condition, StreamNoise(3, np.arange(3000)))
    weight = WEIGHTS[:, None]
    excess = ((energies - THRESHOLD * counts) * weight).sum((1, 2)) / incident
    ours = ((sums - THRESHOLD * drawn) * weight).sum((1, 2)) / incident
    assert float(ours.std() / ours.mean()) == pytest.approx(float(excess.std() / excess.mean()), rel=0.08)
    assert float(ours.mean()) == pytest.approx(float(excess.mean()), rel=0.003)


def test_totals_are_the_same_for_the_same_seed_and_in_any_block() -> None:
    model, (_, _, incident, condition) = fitted(), toy(40)
    whole, _ = model.sample(incident, condition, StreamNoise(3, np.arange(40)))
    part, _ = model.sample(incident[10:20], condition[10:20], StreamNoise(3, np.arange(10, 20)))
    assert torch.equal(whole[10:20], part)


def test_few_showers_will_do_and_none_fitted_is_an_error() -> None:
    config = LayerTotalsConfig(leaves=4, donors=50, leaf=5)
    counts, _ = fitted(config, showers=30).sample(*toy(30)[2:], StreamNoise(0, np.arange(30)))
    assert float(counts.sum()) > 0
    model = LayerTotals(config, capacity=CAPACITY, weights=WEIGHTS, threshold=THRESHOLD)
    with pytest.raises(ConfigError, match="not fitted"):
        model.sample(*toy(30)[2:], StreamNoise(0, np.arange(30)))
