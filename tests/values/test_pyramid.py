"""Stages of the Calorimeter Pyramid against hand computations."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch

from caloforge.geometry import geometry_from_dict
from caloforge.models.pyramid.choice import ChoiceFlow
from caloforge.models.pyramid.groups import group_of_cell, group_sums
from caloforge.models.pyramid.hit_energies import HitEnergies
from caloforge.models.pyramid.left_over import LeftOver, left_before
from caloforge.models.pyramid.lots import chosen
from caloforge.models.pyramid.side import ShowerSide
from caloforge.models.pyramid.tree import Parents, sums_by_layer
from caloforge.models.totals.energy_sums import with_sums
from caloforge.nn import SetContext, SplineFlowConfig
from caloforge.nn.topk import gumbel

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from caloforge.geometry import Geometry

EULER_GAMMA = 0.5772156649015329
SMALL = SplineFlowConfig.model_validate({"transforms": 2, "conditioner": {"hidden": (8,)}})
THRESHOLD = 0.1


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def box(nx: int, ny: int, layers: int) -> Geometry:
    content = {
        "name": "box",
        "threshold": THRESHOLD,
        "grid": {"kind": "box", "nx": nx, "ny": ny, "pitch": [10, 10]},
        "layers": [{"repeat": layers, "slabs": [["Si", 1.0, "sensitive"]]}],
    }
    return geometry_from_dict(content, source="test")


def whole(geometry: Geometry) -> NDArray[np.int64]:
    """One region for all cells of a layer."""
    return np.zeros(geometry.n_cells // geometry.n_layers, dtype=np.int64)


def side_of(geometry: Geometry, *, common: float, scale: float) -> ShowerSide:
    side = ShowerSide(geometry, whole(geometry))
    side.common.fill_(common)
    side.spread.copy_(torch.tensor([math.log(scale), 0.0, 0.0]))
    return side


def test_sums_of_layers_by_hand() -> None:
    hits = Parents(torch.tensor([0, 0, 1]), torch.tensor([0, 5, 5]), torch.tensor([2, 1]))
    sums = sums_by_layer(hits, torch.tensor([0, 1, 1]), torch.tensor([[1.0], [2.0], [4.0]]), 3)
    assert sums[..., 0].tolist() == [[1.0, 2.0, 0.0], [0.0, 4.0, 0.0]]


@pytest.mark.parametrize("latent", [0.3, -0.2])
def test_a_tilt_by_hand(latent: float) -> None:
    """Two cells at x = -5 and 5 mm with 2 and 4 MeV above threshold."""
    geometry = box(2, 1, 1)
    side = side_of(geometry, common=0.25, scale=3.0)
    hits = Parents(torch.tensor([0, 0]), torch.tensor([0, 1]), torch.tensor([2]))
    energy = torch.tensor([2.0, 4.0]) + THRESHOLD
    found = side.tilted(hits, energy, torch.tensor([[latent, 0.0]]), torch.zeros(1, 1))
    way, total = 5 / 5.05, 6 + 2 * THRESHOLD
    lever = 5 * way * (1 - (2 / total) ** 2)
    tilt = latent * 0.5 * 3.0 / lever
    tilted = np.array([2 * np.exp(-tilt * way), 4 * np.exp(tilt * way)])
    expected = THRESHOLD + tilted * 6 / tilted.sum()
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_a_tilt_of_a_row_of_cells_by_hand() -> None:
    """Cells at -15, -5, 5 and 15 mm: directions are shorter close to the axis."""
    side = side_of(box(4, 1, 1), common=0.5, scale=2.0)
    hits = Parents(torch.zeros(4, dtype=torch.int64), torch.arange(4), torch.tensor([4]))
    excess, x = np.array([1.0, 4.0, 3.0, 2.0]), np.array([-15.0, -5.0, 5.0, 15.0])
    energy = excess + THRESHOLD
    way = x / (np.abs(x) + 0.01 * 10.0)
    share = energy / energy.sum()
    lever = (share * x * way).sum() - (share * x).sum() * (share * way).sum()
    tilted = excess * np.exp(0.4 * 0.5**0.5 * 2.0 / lever * way)
    expected = THRESHOLD + tilted * 10.0 / tilted.sum()
    found = side.tilted(hits, torch.tensor(energy).float(), torch.tensor([[0.4, 0.0]]), torch.zeros(1, 1))
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_cells_know_all_cells_around() -> None:
    """In the middle of 3 x 3 cells the eight others, and those one and two layers behind and before."""
    model = HitEnergies(SMALL, box(3, 3, 5), np.zeros(9, np.int64), 1)
    middle = 2 * 9 + 4
    beside = set(range(18, 27)) - {middle}
    assert set(model.around[middle].tolist()) == beside | {middle + 9 * k for k in (-2, -1, 1, 2)}
    assert set(model.around[4].tolist()) == (set(range(9)) - {4}) | {13, 22, -1}
    assert set(model.around[3].tolist()) == {0, 1, 4, 6, 7, 12, 21, -1}


def test_rings_close_on_themselves() -> None:
    """Four angles of two rings: beside the first cell lie the second and the last one."""
    grid = {"kind": "polar", "n_alpha": 4, "r_edges": [0, 10, 30]}
    geometry = geometry_from_dict({"name": "rings", "layers": [{"grid": grid}]}, source="test")
    around = HitEnergies(SMALL, geometry, whole(geometry), 1).around
    assert set(around[0].tolist()) == {1, 2, 3, 6, 7, -1}
    assert set(around[6].tolist()) == {0, 1, 4, 5, 7, -1}


def showers(geometry: Geometry, count: int = 80, hits: int = 12) -> tuple[Parents, Tensor]:
    """As many random hits in every layer of every shower."""
    per_layer = geometry.n_cells // geometry.n_layers
    scores = torch.rand(count * geometry.n_layers, per_layer, generator=rng(3))
    local = scores.topk(hits, dim=1).indices.sort(1).values
    first = torch.arange(geometry.n_layers).repeat(count)[:, None] * per_layer
    total = hits * geometry.n_layers
    shower = torch.arange(count).repeat_interleave(total)
    energy = THRESHOLD - torch.rand(count * total, generator=rng(4)).log()
    return Parents(shower, (first + local).flatten(), torch.full((count,), total)), energy


def centres(geometry: Geometry, hits: Parents, energy: Tensor) -> Tensor:
    place = torch.tensor(geometry.cell_positions[:, :2])[hits.number].double()
    zeros = torch.zeros(len(hits.per_shower), 3, dtype=torch.float64)
    columns = torch.cat([place, torch.ones_like(place[:, :1])], 1) * energy.double()[:, None]
    sums = zeros.index_add(0, hits.shower, columns)
    return sums[:, :2] / sums[:, 2:]


def test_tilts_move_the_centre_by_the_common_part_of_its_spread() -> None:
    geometry = box(10, 10, 4)
    hits, energy = showers(geometry)
    side = side_of(geometry, common=0.25, scale=2.0)
    latent = torch.tensor([[0.3, -0.5]]).expand(80, 2)
    moved = side.tilted(hits, energy, latent, torch.zeros(80, 1))
    shift = centres(geometry, hits, moved) - centres(geometry, hits, energy)
    # a step of first order: what is above threshold moves, what a cell has at least does not
    excess = 1 - THRESHOLD * len(energy) / float(energy.sum())
    wanted = 0.5 * 2.0 * np.array([0.3, -0.5]) * excess
    np.testing.assert_allclose(shift.mean(0), wanted, rtol=0.05)


def test_latent_vectors_keep_the_variance_of_standardised_centres() -> None:
    """Centres of deviation one, half of it common: half of the variance is that of the noise."""
    geometry = box(10, 10, 4)
    hits, energy = showers(geometry, 400)
    found = centres(geometry, hits, energy)
    scale = float(found.square().mean().sqrt())
    side = side_of(geometry, common=0.5, scale=scale)
    latent = side.latent(hits, energy, torch.zeros(400, 1), rng())
    assert float(latent.square().mean()) == pytest.approx(1.0, rel=0.1)
    fit = float((latent.double() * found).mean() / found.square().mean() * scale)
    assert fit == pytest.approx(0.5**0.5, abs=0.08)


def test_fitted_spreads_are_those_of_the_centres() -> None:
    geometry = box(10, 10, 8)
    hits, energy = showers(geometry, 300)
    side = ShowerSide(geometry, whole(geometry))
    condition = torch.rand(300, 1, generator=rng()) * 2 - 1
    side.fit(hits, energy, condition)
    side.common.fill_(1.0)
    latent = side.latent(hits, energy, condition, rng())
    assert float(latent.square().mean()) == pytest.approx(1.0, rel=0.02)


def energies(geometry: Geometry) -> tuple[HitEnergies, Parents, Tensor]:
    hits, energy = showers(geometry)
    torch.manual_seed(0)
    model = HitEnergies(SMALL, geometry, whole(geometry), 1)
    model.fit(hits, energy, torch.zeros(80, 1))
    return model, hits, energy


def learnt(model: HitEnergies, hits: Parents, energy: Tensor, monkeypatch: pytest.MonkeyPatch) -> Tensor:
    """The energies [MeV] that the flow of cells is trained on."""
    seen: list[Tensor] = []

    def record(target: Tensor, _: SetContext) -> Tensor:
        seen.append(target[:, 0])
        return target[:, 0]

    monkeypatch.setattr(model.flow, "log_prob", record)
    monkeypatch.setattr(LeftOver, "last", property(lambda left: torch.zeros_like(left.number).bool()))
    model.log_prob(hits, energy, torch.zeros(len(hits.per_shower), 1), rng())
    return model.scale.inverse(seen[0]).exp() + THRESHOLD


def test_the_flow_of_cells_learns_what_is_above_threshold(monkeypatch: pytest.MonkeyPatch) -> None:
    model, hits, energy = energies(box(10, 10, 4))
    model.side.common.fill_(0.0)  # nothing to tilt
    found = learnt(model, hits, energy, monkeypatch)
    np.testing.assert_allclose(found, energy, rtol=0.01)


def test_the_flow_of_cells_learns_showers_without_their_side(monkeypatch: pytest.MonkeyPatch) -> None:
    """A tilt that moves showers to a side in sampling is taken out of those that are learnt."""
    geometry = box(10, 10, 4)
    model, hits, energy = energies(geometry)
    model.side.common.fill_(1.0)
    model.side.spread.copy_(torch.tensor([math.log(1.5), 0.0, 0.0]))
    latent = torch.randn(80, 2, generator=rng(1)).clamp(-1.5, 1.5)
    tilted = model.side.tilted(hits, energy, latent, torch.zeros(80, 1))
    before = centres(geometry, hits, tilted)
    after = centres(geometry, hits, learnt(model, hits, tilted, monkeypatch))
    assert float(after.square().mean().sqrt()) < 0.5 * float(before.square().mean().sqrt())


def choice(hit: Tensor) -> ChoiceFlow:
    torch.manual_seed(0)
    flow = ChoiceFlow(SMALL, hit.shape[1], 1, shared=1)
    flow.fit(hit, None, None)
    return flow


def patterns(count: int, parts: int) -> Tensor:
    """Each part by chance, at least one."""
    hit = torch.rand(count, parts, generator=rng(5)) < 0.4
    hit[:, 0] |= ~hit.any(1)
    return hit


def test_scores_of_hit_parts_are_gumbel_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of location 0 where hit and -7 where not, less -3 and over 3; the number by its distribution."""
    hit = patterns(20_000, 6)
    model, seen = choice(hit), []

    def record(target: Tensor, _: SetContext) -> Tensor:
        seen.append(target)
        return target[:, 0]

    monkeypatch.setattr(model.flow, "log_prob", record)
    context = SetContext(torch.zeros(len(hit), 1))
    model.log_prob(hit, None, context, rng())
    number, scores = seen[0][:, 0], seen[0][:, 1:]
    assert float(scores[hit].mean()) == pytest.approx((EULER_GAMMA + 3) / 3, abs=0.01)
    assert float(scores[~hit].mean()) == pytest.approx((EULER_GAMMA - 7 + 3) / 3, abs=0.01)
    assert float(scores[hit].std()) == pytest.approx(math.pi / 6**0.5 / 3, rel=0.02)
    assert float(number.std()) == pytest.approx(1.0, abs=0.02)
    monkeypatch.setattr(model.flow, "sample", lambda noise, _: noise)
    assert torch.equal(model.sample(seen[0], None, None, context), hit)


def test_sure_parts_are_hit_from_their_number_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """Part 2 is hit in all patterns of two or more: its score is not asked for then."""
    hit = torch.zeros(600, 4, dtype=torch.bool)
    hit[torch.arange(600), torch.arange(600) % 4] = True
    hit[300:, 2] = True  # with one more part, where that is not part 2 itself
    hit[torch.arange(302, 600, 4), 0] = True
    model = choice(hit)
    monkeypatch.setattr(model.flow, "sample", lambda noise, _: noise)
    # what the flow draws: the number, then the scores of the parts
    numbers = model.number(torch.tensor([[1], [2]]), torch.full((2, 1), 0.5).double(), None)
    scores = torch.tensor([[3.0, 2.0, -9.0, 1.0]]).expand(2, 4)
    drawn = model.sample(torch.cat([numbers, scores], 1), None, None, SetContext(torch.zeros(2, 1)))
    assert drawn.tolist() == [[True, False, False, False], [True, False, True, False]]


class Shifted:
    """The same noise every time, but for some cells."""

    def __init__(self, extra: Tensor) -> None:
        self.extra = extra

    def normal(self, stage: str, counts: Tensor | int, width: int) -> Tensor:
        rows = 80 if isinstance(counts, int) else int(counts.sum())
        noise = torch.randn(rows, width, generator=rng(9))
        return torch.zeros_like(noise) if stage == "axis" else noise + self.extra

    def uniform(self, stage: str, counts: Tensor | int, width: int) -> Tensor:
        raise NotImplementedError


def test_cells_of_earlier_steps_do_not_see_the_last_one() -> None:
    model, hits, _ = energies(box(4, 4, 2))
    model.side.common.fill_(0.0)
    step = model.colour[hits.number]
    torch.nn.init.normal_([m for m in model.flow.modules() if isinstance(m, torch.nn.Linear)][-1].weight)
    counts, condition = model.sums(hits, step.float())[0], torch.zeros(80, 1)
    totals = counts, torch.full((80, 2), 50.0)
    noise = torch.randn(len(step), 3, generator=rng(9))
    last = 0.7 * (step == 3).float()[:, None]
    with torch.no_grad():
        first, second = (model._drawn(hits, totals, condition, noise + x) for x in (0 * last, last))
    assert torch.equal(first[step < 3], second[step < 3])
    assert not torch.allclose(first, second)


def test_energies_are_brought_to_their_sums_by_hand() -> None:
    """x -> x exp(lambda x / (x + m)): the change's logarithms are as the weights, sums as wanted."""
    excess, key = torch.tensor([0.1, 1.0, 3.0, 2.0, 5.0]).double(), torch.tensor([0, 0, 0, 1, 3])
    wanted = torch.tensor([6.0, 0.5, 9.0, 5.0]).double()
    found = with_sums(excess, wanted, key)
    assert found[:3].sum().item() == pytest.approx(6.0, rel=1e-9)
    assert found[3:].tolist() == pytest.approx([0.5, 5.0], rel=1e-9)
    change = (found / excess)[:3].log()
    weight = torch.tensor([0.1 / 2.1, 1.0 / 3.0, 3.0 / 5.0]).double()  # six for three: two on average
    np.testing.assert_allclose(change / change[2], weight / weight[2], rtol=1e-6)
    far = with_sums(excess, torch.tensor([0.0, 1e4, 1.0, 1e-3]).double(), key)
    assert far[:3].tolist() == [0.0, 0.0, 0.0]
    assert far[3:].tolist() == pytest.approx([1e4, 1e-3], rel=1e-6)


def test_groups_of_cells_by_hand() -> None:
    assert group_of_cell(np.array([0, 0, 1]), 2).tolist() == [0, 0, 1, 2, 2, 3]
    hits = Parents(torch.tensor([0, 0, 1]), torch.tensor([0, 1, 2]), torch.tensor([2, 1]))
    counts, sums = group_sums(hits, torch.tensor([0, 0, 1, 2, 2, 3]), torch.tensor([1.0, 2.5, 4.0]), 4)
    assert counts.tolist() == [[2.0, 0.0, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0]]
    assert sums.tolist() == [[3.5, 0.0, 0.0, 0.0], [0.0, 4.0, 0.0, 0.0]]


def test_the_cell_that_is_missed_is_that_of_independent_cells() -> None:
    """Two of three are hit: each is missed with a chance that goes as exp(-logit)."""
    groups, logit = 20_000, torch.tensor([2.0, 0.0, 0.0])
    key = torch.arange(groups).repeat_interleave(3)
    race = gumbel(torch.rand(3 * groups, generator=rng(4), dtype=torch.float64))
    hit = chosen(logit.repeat(groups).double(), race, key, torch.full((groups,), 2)).reshape(-1, 3)
    assert bool((hit.sum(1) == 2).all())
    chance = (-logit).exp() / (-logit).exp().sum()
    np.testing.assert_allclose((~hit).double().mean(0), chance, atol=0.01)


def two_groups() -> tuple[Parents, Tensor, Tensor, Tensor]:
    """Hits of two showers, their groups (of two) and steps (of three), energies above threshold."""
    shower = torch.tensor([0, 0, 0, 0, 1])
    hits = Parents(shower, torch.tensor([0, 1, 2, 3, 0]), torch.tensor([4, 1]))
    return (
        hits,
        torch.tensor([0, 0, 1, 0, 1]),
        torch.tensor([0, 2, 1, 2, 0]),
        torch.tensor([1.0, 2.0, 4, 8, 16]),
    )


def test_what_is_left_by_hand() -> None:
    left = left_before(*two_groups(), (2, 3))
    assert left.number.tolist() == [3.0, 2.0, 1.0, 2.0, 1.0]
    assert left.excess.tolist() == [11.0, 10.0, 4.0, 10.0, 16.0]
    assert left.last.tolist() == [False, False, True, False, True]
    assert left.mean.tolist() == pytest.approx([11 / 3, 5.0, 4.0, 5.0, 16.0])
    np.testing.assert_allclose(left.features[1], [math.log(2) - 2, math.log(5)], rtol=1e-6)


def test_what_is_left_after_some_is_what_the_next_ones_see() -> None:
    hits, group, step, excess = two_groups()
    key, left = (
        hits.shower * 2 + group,
        LeftOver(torch.tensor([3.0, 1, 0, 1]), torch.tensor([11.0, 4, 0, 16])),
    )
    for turn in range(3):
        rows = step == turn
        seen, known = left.of(key[rows]), left_before(hits, group, step, excess, (2, 3)).of(rows)
        assert torch.equal(seen.number, known.number)
        assert torch.equal(seen.excess, known.excess)
        left = left.less(excess[rows], key[rows])
    assert left.number.tolist() == [0.0] * 4
    assert left.too_little.tolist() == [False] * 4
    poor = LeftOver(torch.tensor([2.0, 2.0, 1.0]), torch.tensor([-3.0, 2.1e-3, 0.9e-3]))
    assert poor.too_little.tolist() == [True, False, True]
    assert poor.mean.tolist() == pytest.approx([1e-3, 1.05e-3, 1e-3])


def test_energies_that_others_cannot_afford_are_drawn_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """A group of three has 6 MeV; two hits draw 4 and 5, then 1 and 1.5, and stay so."""
    model, _, _ = energies(box(4, 4, 2))
    z = torch.tensor([[4.0, 1.0, 9.0], [5.0, 1.5, 9.0], [7.0, 7.0, 7.0]])
    monkeypatch.setattr(model.flow, "sample", lambda noise, _: model.scale(noise.log()))
    monkeypatch.setattr(model.scale, "forward", lambda value: value)
    monkeypatch.setattr(model.scale, "inverse", lambda value: value)
    context = torch.zeros(3, 1), torch.zeros(3, 1)
    left = LeftOver(torch.tensor([3.0, 1.0]), torch.tensor([6.0, 2.5]))
    drawn = model._affordable(context, left, torch.tensor([0, 0, 1]), z)
    assert drawn.tolist() == pytest.approx([1.0, 1.5, 2.5])  # the last of its group has all that is left
    poor = LeftOver(torch.tensor([3.0, 1.0]), torch.tensor([0.3, 2.5]))
    assert model._affordable(context, poor, torch.tensor([0, 0, 1]), z).tolist() == pytest.approx(
        [0.1, 0.1, 2.5]
    )


def test_hits_whose_energy_is_certain_are_not_learnt(monkeypatch: pytest.MonkeyPatch) -> None:
    model, _, energy = energies(box(4, 4, 2))
    rows: list[int] = []
    monkeypatch.setattr(model.flow, "log_prob", lambda target, _: rows.append(len(target)) or target[:, 0])
    model.side.common.fill_(0.0)
    alone = Parents(torch.tensor([0, 0, 1]), torch.tensor([0, 1, 20]), torch.tensor([2, 1]))
    found = model.log_prob(alone, energy[:3], torch.zeros(2, 1), rng())
    assert len(found) == rows[0] == 1  # the first of two; the other one, and a hit alone, get what is left
