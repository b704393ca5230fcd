"""Splits in depth: trends, donors, sums that stay, and the distributions that come back."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from caloforge.errors import ConfigError
from caloforge.models.noise import StreamNoise
from caloforge.models.totals.donors import Donors
from caloforge.models.totals.layer_totals import LayerTotals, LayerTotalsConfig, _of_energies
from caloforge.models.totals.linear import CountScale, LinearTrend
from caloforge.models.totals.nodes import Node, splits_of
from caloforge.models.totals.quantile_maps import MeanMaps, QuantileMaps
from caloforge.models.totals.root import Root

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
    scale.fit(residual, number[:, None, None].reciprocal(), torch.ones(20_000, 1, dtype=torch.bool))
    assert float(scale.terms[1, 0]) == pytest.approx(0.25, rel=0.15)  # the largest residuals are cut
    assert float(scale(torch.tensor([[[0.01]]], dtype=torch.float64))[0, 0]) == pytest.approx(0.05, rel=0.08)


def test_the_scatter_of_hard_and_soft_halves_is_found() -> None:
    """A variance of 0.01 + 0.2 x + 0.5 y comes back though y reaches from 0.01 to 10."""
    x = torch.rand(50_000, generator=rng(), dtype=torch.float64)
    y = 10 ** (3 * torch.rand(50_000, generator=rng(1), dtype=torch.float64) - 2)
    noise = torch.rand(50_000, generator=rng(2), dtype=torch.float64) * 12**0.5 - 3**0.5  # none far out
    inverse = torch.stack([x, y], dim=1)[:, :, None].repeat(1, 1, 2)
    residual = ((0.01 + 0.2 * x + 0.5 * y).sqrt() * noise)[:, None].repeat(1, 2)
    known = torch.tensor([True, False]).expand(50_000, 2)
    scale = CountScale(2, inverses=2)
    scale.fit(residual, inverse, known)
    np.testing.assert_allclose(scale.terms[:, 0], [0.01, 0.2, 0.5], rtol=0.15)
    assert scale.terms[:, 1].tolist() == [1.0, 1.0, 1.0]
    given = torch.tensor([[[2.0], [0.5]]], dtype=torch.float64)
    scale.terms[:, 1] = torch.tensor([4.0, 1.5, 4.0])
    assert scale(given, slice(1, 2)).tolist() == [[3.0]]


def test_quantile_maps_by_hand() -> None:
    """What is drawn from 0 to 1 is real from 0 to 2 in class 0; class 2 has few rows."""
    drawn = torch.arange(1001, dtype=torch.float64) / 1000
    key = torch.zeros(1001, dtype=torch.int64)
    maps = QuantileMaps(3)
    few = torch.full((10,), 2), torch.ones(10).double()
    maps.fit((torch.cat([key, few[0]]), torch.cat([drawn, few[1]])), (key, 2 * drawn))
    asked = torch.tensor([0.25, 0.5, 0.9, 0.0, 1.0, -1.0, 5.0]).double()
    edge = 0.5 / 65  # where the outermost quantiles are: beyond them it is a shift
    wanted = [0.5, 1.0, 1.8, edge, 2.0 - edge, edge - 1.0, 6.0 - edge]
    np.testing.assert_allclose(maps(torch.zeros(7, dtype=torch.int64), asked), wanted, atol=1e-5)
    np.testing.assert_allclose(maps(torch.full((7,), 2), asked), asked, atol=1e-6)


def test_mean_energies_get_their_distribution_by_region_and_number() -> None:
    """Hits alone are drawn with half of their energy in region 1; pairs, and region 0, are right."""
    hits = torch.randint(1, 3, (3000, 2, 2), generator=rng()).double()
    energy = hits * (0.5 + torch.rand(3000, 2, 2, generator=rng(1), dtype=torch.float64))
    soft = torch.ones_like(hits)
    soft[..., 1] = torch.where(hits[..., 1] == 1, 0.5, 1.0)
    maps = MeanMaps(2)
    maps.fit((hits, soft * energy), (hits, energy))
    np.testing.assert_allclose(maps(hits, soft * energy), energy, rtol=0.02)
    none = maps(torch.zeros(1, 2, 2).double(), torch.zeros(1, 2, 2).double())
    assert float(none.sum()) == 0.0


def test_maps_leave_the_regions_their_energies() -> None:
    model, (_, _, incident, condition) = fitted(), toy(200)
    _, before = model._draw(incident, condition, StreamNoise(3, np.arange(200)))
    counts, after = model.sample(incident, condition, StreamNoise(3, np.arange(200)))
    before, after = ((x * WEIGHTS[:, None]).sum(1) for x in (before, after - THRESHOLD * counts))
    torch.testing.assert_close(after, before, rtol=1e-9, atol=0.0)


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


def test_other_conditions_count_beside_the_energy() -> None:
    """Showers that lean are deeper here, by half a layer, and have more energy, by a tenth."""
    counts, energies, incident, condition = toy(3000)
    lean = torch.rand(3000, 1, generator=rng(9)).round()
    counts[:, 1:] = torch.where(lean[..., None] > 0, counts[:, :-1], counts[:, 1:])
    energies[:, 1:] = torch.where(lean[..., None] > 0, 1.1 * energies[:, :-1], energies[:, 1:])
    model = LayerTotals(
        LayerTotalsConfig(), capacity=CAPACITY, weights=WEIGHTS, threshold=THRESHOLD, conditions=2
    )
    both = torch.cat([condition, lean], dim=1)
    model.fit(counts, energies, incident, both, rng())
    _, drawn = model.sample(incident, both, StreamNoise(4, np.arange(3000)))
    layers = torch.arange(5)
    for leans in (0, 1):
        rows = lean[:, 0] == leans
        real, mine = (e[rows].sum(2) for e in (energies, drawn))
        assert mine.sum(1).mean() == pytest.approx(real.sum(1).mean().item(), rel=0.02)
        depth = [(e * layers).sum() / e.sum() for e in (mine, real)]
        assert depth[0] == pytest.approx(depth[1].item(), abs=0.04)


def test_smeared_residuals_are_as_wide_as_real_ones() -> None:
    """Half of the variance from a donor, half from the smearing: the sum is that of the showers."""
    _, _, incident, condition = toy(2000)
    root = Root(1, size=2000, smooth=1.0)
    hits = 50 * torch.randn(2000, 1, generator=rng(7)).exp().double().round() + 1
    energy = hits * torch.randn(2000, 1, generator=rng(8), dtype=torch.float64).exp()
    root.fit(hits, energy, incident, condition, rng())
    kept = root.residual.double()
    drawn = root._residual(condition, StreamNoise(1, np.arange(2000)))
    torch.testing.assert_close(drawn.std(0), kept.std(0), rtol=0.06, atol=0.0)


def test_residuals_come_from_showers_of_like_energy_on_both_sides() -> None:
    root = Root(1, size=1000, smooth=0.0)
    root.energy.copy_(torch.linspace(-1, 1, 1000))
    root.residual.copy_(root.energy[:, None].expand(1000, 3))
    root.number.fill_(1000)
    found = root._residual(torch.zeros(4000, 1), StreamNoise(1, np.arange(4000)))[:, 0]
    assert float(found.mean()) == pytest.approx(0.0, abs=0.003)
    assert float(found.abs().max()) == pytest.approx(0.06, abs=0.003)  # 3 % of a thousand, on either side


def test_a_tree_tells_narrow_residuals_from_wide_ones() -> None:
    """The mean is the same on both sides of zero, the width is not."""
    terms = torch.linspace(-1, 1, 4000, dtype=torch.float64)[:, None]
    width = torch.where(terms < 0, 0.1, 1.0)
    residual = width * torch.where(torch.arange(4000) % 2 == 0, -1.0, 1.0)[:, None]
    donors = Donors(1, 1, leaves=2, size=4000, leaf=20)
    donors.fit(terms, residual, rng())
    uniform = torch.rand(1000, generator=rng(1), dtype=torch.float64)
    for place, wanted in ((-0.05, 0.1), (0.05, 1.0)):
        drawn = donors(torch.full((1000, 1), place), uniform)
        assert float(drawn.abs().max()) == pytest.approx(wanted, rel=1e-3)


def test_what_the_scatter_of_energies_follows_by_hand() -> None:
    front, behind = torch.tensor([[2.0, 0.0]]).double(), torch.tensor([[4.0, 5.0]]).double()
    found = _of_energies(front, behind, torch.tensor([[0.97, 0.07]]).double())
    np.testing.assert_allclose(found, [[[0.75, 1.2], [1.0, 10.0]]])
