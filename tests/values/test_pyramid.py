"""Stages of the Calorimeter Pyramid against hand computations."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch

from caloforge.geometry import geometry_from_dict
from caloforge.models.pyramid.choice import ChoiceFlow
from caloforge.models.pyramid.hit_energies import HitEnergies
from caloforge.models.pyramid.side import ShowerSide
from caloforge.models.pyramid.tree import Parents, sums_by_layer
from caloforge.nn import SetContext, SplineFlowConfig

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
    layers, condition = torch.full((80, 2), 50.0), torch.zeros(80, 1)
    last = 0.7 * (step == 3).float()[:, None]
    with torch.no_grad():
        first, second = (
            model.sample(hits, layers, condition, torch.zeros(80, 2), Shifted(x)) for x in (0 * last, last)
        )
    # scaled to the layers' energies: ratios between cells of the earlier steps stay
    early = (step < 3) & (hits.shower == 0) & (hits.number < 16)
    before, after = (e[early] - THRESHOLD for e in (first, second))
    torch.testing.assert_close(after / after.sum(), before / before.sum(), rtol=1e-4, atol=1e-6)
    assert not torch.allclose(first, second)
