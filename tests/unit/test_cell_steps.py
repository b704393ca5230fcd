"""Cells in steps: windows, orders, numbers of hits, and that training sees what sampling sees."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

from caloforge.geometry import geometry_from_dict, load_geometry
from caloforge.models.noise import StreamNoise
from caloforge.models.pyramid.cell_steps import CellSteps, _Cells
from caloforge.models.pyramid.depth import layer_order
from caloforge.models.pyramid.groups import group_sums
from caloforge.models.pyramid.lots import binomial, chosen, hits_of_step
from caloforge.models.pyramid.regions import region_of_cell
from caloforge.models.pyramid.tree import Parents
from caloforge.models.pyramid.window import LAYER_WINDOW, PLANE_WINDOW, colours, window
from caloforge.nn import ConditionerConfig
from caloforge.nn.topk import gumbel

if TYPE_CHECKING:
    from caloforge.geometry import Geometry


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def box(nx: int, layers: int) -> Geometry:
    content = {
        "name": "box",
        "threshold": 0.1,
        "grid": {"kind": "box", "nx": nx, "ny": nx, "pitch": [10, 10]},
        "layers": [{"repeat": layers, "slabs": [["Si", 1.0, "sensitive"]]}],
    }
    return geometry_from_dict(content, source="test")


def test_layers_are_drawn_from_far_to_near() -> None:
    level, front, behind = layer_order(6)
    assert level.tolist() == [0, 2, 1, 2, 0, 2]
    assert front.tolist() == [-1, 0, 0, 2, -1, 4]
    assert behind.tolist() == [-1, 2, 4, 4, -1, -1]
    for number in (1, 2, 30, 45):
        level, front, behind = layer_order(number)
        for other in (front, behind):
            assert (level[other[other >= 0]] < level[other >= 0]).all()
    assert layer_order(1)[0].tolist() == [0]


def test_windows_look_away_from_the_axis() -> None:
    """In a box of 6 x 6, (5, 3) has one step outwards nothing and one step across (5, 4)."""
    steps = ((1, 0), (-1, 0), (0, 1), (0, -1))
    found = window(box(6, 1), steps)
    assert found[5 * 6 + 3].tolist() == [-1, 4 * 6 + 3, 5 * 6 + 4, 5 * 6 + 2]
    assert found[0 * 6 + 2].tolist() == [-1, 1 * 6 + 2, 0 * 6 + 1, 0 * 6 + 3]
    assert found[3 * 6 + 5].tolist() == [-1, 3 * 6 + 4, 4 * 6 + 5, 2 * 6 + 5]
    polar = window(load_geometry("cylinder-ds2"), steps)  # 16 angles x 9 rings
    assert polar[0].tolist() == [1, -1, 9, 15 * 9]
    assert polar[15 * 9 + 8].tolist() == [-1, 15 * 9 + 7, 8, 14 * 9 + 8]
    assert len(PLANE_WINDOW) == 24
    assert len(LAYER_WINDOW) == 13


@pytest.mark.parametrize("name", ["siw-ecal", "cylinder-ds2"])
def test_cells_that_touch_have_different_colours(name: str) -> None:
    geometry = load_geometry(name)
    colour = colours(geometry)
    around = window(geometry, [(a, b) for a in (-1, 0, 1) for b in (-1, 0, 1) if (a, b) != (0, 0)])
    assert ((colour[around] != colour[:, None]) | (around < 0)).all()
    assert sorted(set(colour.tolist())) == [0, 1, 2, 3]


def test_regions_are_rings() -> None:
    assert np.bincount(region_of_cell(load_geometry("siw-ecal"))).tolist() == [4, 12, 20, 64, 96, 204, 500]
    assert np.bincount(region_of_cell(load_geometry("cylinder-ds2"))).tolist() == [16, 16, 16, 32, 32, 32]


@pytest.mark.parametrize(("trials", "chance"), [(1, 0.25), (3, 0.4), (40, 0.05), (60, 0.3), (20, 0.9)])
def test_binomial_numbers_have_its_mean_and_variance(trials: int, chance: float) -> None:
    mean, variance = trials * chance, trials * chance * (1 - chance)
    count = 40_000
    drawn = binomial(
        torch.full((count,), mean).double(),
        torch.full((count,), variance).double(),
        torch.rand(count, generator=rng(), dtype=torch.float64),
    ).double()
    assert float(drawn.mean()) == pytest.approx(mean, abs=5 * (variance / count) ** 0.5 + 0.01)
    assert float(drawn.var()) == pytest.approx(variance + (1 / 12 if mean >= 2.5 else 0), rel=0.05)


def test_one_hit_that_is_left_falls_as_often_as_its_cells_say() -> None:
    """Independent cells would give 1 - 0.9^3 = 0.271 instead of 0.3, and two hits now and then."""
    groups, uniform = 30_000, torch.rand(30_000, generator=rng(), dtype=torch.float64)
    key = torch.arange(groups).repeat_interleave(3)
    logit = torch.full((len(key),), float(np.log(0.1 / 0.9)))
    left, after = torch.ones(groups, dtype=torch.int64), torch.full((groups,), 9)
    drawn = hits_of_step(logit, key, left, after, uniform)
    assert int(drawn.max()) == 1
    assert float(drawn.double().mean()) == pytest.approx(0.3, abs=0.01)
    last = hits_of_step(logit, key, left, torch.zeros_like(after), uniform)
    assert bool((last == 1).all())  # no cell comes later


def test_highest_scores_of_every_group() -> None:
    score = torch.tensor([0.1, 3.0, 2.0, -1.0, 5.0, 4.0])
    key = torch.tensor([1, 0, 1, 0, 1, 2])
    hit = chosen(score, torch.zeros(6), key, torch.tensor([1, 2, 0]))
    assert hit.tolist() == [False, True, True, False, True, False]


@pytest.mark.parametrize("number", [1, 2])
def test_one_hit_and_one_miss_fall_as_odds_say(number: int) -> None:
    """Odds 3, 1/49 and 1/49: one of three is hit, or missed, in proportion to the odds of that pattern."""
    odds, groups = torch.tensor([3.0, 1 / 49, 1 / 49]), 20_000
    key = torch.arange(groups).repeat_interleave(3)
    race = gumbel(torch.rand(3 * groups, generator=rng(), dtype=torch.float64))
    hit = chosen(odds.log().repeat(groups).double(), race, key, torch.full((groups,), number))
    share = hit.reshape(groups, 3).double().mean(0)
    expected = odds / odds.sum() if number == 1 else 1 - (1 / odds) / (1 / odds).sum()
    torch.testing.assert_close(share.float(), expected, rtol=0, atol=0.01)


def steps(geometry: Geometry, *, hidden: int = 16, rows: int = 500) -> CellSteps:
    torch.manual_seed(0)
    model = CellSteps(
        ConditionerConfig(hidden=(hidden,)), geometry, region_of_cell(geometry), conditions=1, rows=rows
    )
    torch.nn.init.normal_(model.net.last.weight, std=0.5)
    return model


def some_hits(geometry: Geometry, model: CellSteps, showers: int) -> tuple[Parents, tuple[torch.Tensor, ...]]:
    hit = torch.rand(showers, geometry.n_cells, generator=rng(1)) < 0.2
    hits = Parents.marked(hit)
    totals = group_sums(hits, model.group, torch.ones(len(hits.number)), len(model.capacity))
    return hits, totals


@pytest.mark.parametrize("name", ["box", "cylinder-ds2"])
def test_groups_get_their_numbers_of_hits(name: str) -> None:
    geometry = box(12, 6) if name == "box" else load_geometry(name)
    model = steps(geometry)
    _, (counts, energies) = some_hits(geometry, model, 5)
    with torch.no_grad():
        drawn = model.sample(
            (counts, energies), torch.zeros(5, 1), torch.zeros(5, 2), StreamNoise(2, np.arange(5))
        )
    found, _ = group_sums(drawn, model.group, torch.ones(len(drawn.number)), len(model.capacity))
    assert torch.equal(found, counts)


def test_training_sees_what_sampling_saw(monkeypatch: pytest.MonkeyPatch) -> None:
    """Cells around, hits and cells left of all steps, when the drawn shower is learnt."""
    geometry = box(12, 6)
    model = steps(geometry)
    _, totals = some_hits(geometry, model, 3)
    record: dict[tuple[int, int], tuple[list[int], int, int]] = {}
    original = CellSteps._logit

    def keep(self: CellSteps, block: Any, cells: Any) -> torch.Tensor:
        columns = (cells.shower, cells.cell, cells.seen, cells.left, cells.free)
        rows = zip(*(column.tolist() for column in columns), strict=True)
        record.update({(s, c): (n, h, o) for s, c, n, h, o in rows})
        return original(self, block, cells)

    monkeypatch.setattr(CellSteps, "_logit", keep)
    condition, side = torch.zeros(3, 1), torch.zeros(3, 2)
    with torch.no_grad():
        drawn = model.sample(totals, condition, side, StreamNoise(2, np.arange(3)))
        sampled = dict(record)
        record.clear()
        for seed in range(40):
            model.loss(drawn, totals, condition, side, rng(seed))
    both = sampled.keys() & record.keys()
    assert len(both) > 500
    assert all(sampled[key] == record[key] for key in both)


def one_hit_of_four() -> tuple[CellSteps, Parents, tuple[torch.Tensor, torch.Tensor]]:
    """The last colour of the inner 2 x 2 cells of a layer is hit; a network that knows nothing."""
    geometry = box(4, 1)
    model = steps(geometry, rows=20_000)
    torch.nn.init.zeros_(model.net.last.weight)
    torch.nn.init.zeros_(model.net.last.bias)
    inner = np.flatnonzero(region_of_cell(geometry) == 0)
    last = int(inner[colours(geometry)[inner].argmax()])
    totals = torch.tensor([[1.0, 0.0]]), torch.tensor([[1.0, 0.0]])
    return model, Parents(torch.tensor([0]), torch.tensor([last]), torch.tensor([1])), totals


def test_cross_entropy_by_hand() -> None:
    """One of 4, 3 and 2 cells that are left is hit: odds of 1.5 to 3.5, 2.5, 1.5; the last one is certain."""
    model, hits, totals = one_hit_of_four()
    loss = model.loss(hits, totals, torch.zeros(1, 1), torch.zeros(1, 2), rng())
    missed = [math.log(1 + 1.5 / rest) for rest in (3.5, 2.5, 1.5)]
    assert float(loss.detach()) == pytest.approx(sum(missed) / 3, abs=0.004)


def test_what_is_outside_is_missed_and_what_comes_later_is_not_known() -> None:
    model, _, totals = one_hit_of_four()
    block = model._block(totals, torch.zeros(1, 1), torch.zeros(1, 2))
    shower, cell = model._open(block)
    seen, place = model._seen(block.state, shower, cell, block), model.around[cell]
    assert cell.tolist() == [5, 6, 9, 10]
    assert bool((seen[place == 16] == -1).all())  # beside the grid
    assert bool((seen[place == 17] == 0).all())  # there is no other layer
    inner = torch.isin(place, cell)
    assert bool((seen[inner] == 0).all())  # nothing is drawn yet
    assert bool((seen[~inner & (place < 16)] == -1).all())  # a ring without hits
    assert {int((place == number).sum()) > 0 for number in (5, 15, 16, 17)} == {True}


def test_cells_that_see_hits_speak_for_themselves() -> None:
    geometry = box(12, 3)
    model = steps(geometry)
    _, totals = some_hits(geometry, model, 2)
    block = model._block(totals, torch.zeros(2, 1), torch.zeros(2, 2))
    block.state[:, : geometry.n_cells] = torch.randint(-1, 2, (2, geometry.n_cells), generator=rng(3)).to(
        torch.int8
    )
    shower, cell = (x.flatten() for x in torch.meshgrid(torch.arange(2), torch.arange(432), indexing="ij"))
    seen = model._seen(block.state, shower, cell, block)
    quiet = torch.arange(len(cell)) % 3 == 0
    seen[quiet] = seen[quiet].clamp(max=0)
    left, free = torch.full_like(cell, 3), torch.full_like(cell, 9)
    cells = _Cells(shower, cell, seen, left, free)
    with torch.no_grad():
        own, found = model._logit(block, cells), model._logits_by_zone(block, cells)
    torch.testing.assert_close(found[~quiet], own[~quiet])
    assert len(found[quiet].unique()) < int(quiet.sum())


def test_cells_follow_those_in_front() -> None:
    """Layers 0 and 2 are random; of the hits of layer 1 three in four lie behind one of layer 0."""
    geometry, generator = box(10, 3), rng(3)
    model = steps(geometry, hidden=32, rows=2000)
    optimiser = torch.optim.Adam(model.parameters(), 0.01)
    condition, side = torch.zeros(100, 1), torch.zeros(100, 2)

    def layers() -> torch.Tensor:
        hit = torch.rand(100, 3, 100, generator=generator) < 0.1
        kept = torch.rand(100, 100, generator=generator) < 0.75
        noise = torch.rand(100, 100, generator=generator) < 0.025
        hit[:, 1] = (hit[:, 0] & kept) | (~hit[:, 0] & noise)
        return hit

    for step in range(250):
        hits = Parents.marked(layers().flatten(1))
        totals = group_sums(hits, model.group, torch.ones(len(hits.number)), len(model.capacity))
        optimiser.zero_grad()
        model.loss(hits, totals, condition, side, rng(step)).backward()
        optimiser.step()
    with torch.no_grad():
        drawn = model.sample(totals, condition, side, StreamNoise(0, np.arange(100)))
    made = torch.zeros(100, geometry.n_cells, dtype=torch.bool)
    made[drawn.shower, drawn.number] = True
    front, middle, back = made.reshape(100, 3, 100).unbind(1)
    # 0.1 x 0.75 of all cells beside 0.9 x 0.025
    assert float((front & middle).sum() / middle.sum()) == pytest.approx(0.769, abs=0.06)
    assert float((back & middle).sum() / middle.sum()) == pytest.approx(0.1, abs=0.05)
