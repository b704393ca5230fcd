"""Layer-to-layer flows against hand computations: transforms, renormalisation, what a layer sees."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch

from caloforge.errors import ConfigError, GeometryError
from caloforge.geometry import Geometry, geometry_from_dict, load_geometry
from caloforge.models import build_model
from caloforge.models.base import Batch, CellSet, Particles
from caloforge.models.l2l.energy_flow import EnergyFlow, EnergyFlowConfig
from caloforge.models.l2l.hit_map import HitMap
from caloforge.models.l2l.image_layer import ImageLayer, ImageLayerConfig
from caloforge.models.l2l.layer_flow import Seen
from caloforge.models.l2l.masked import L2LFlows
from caloforge.models.l2l.model import LayerToLayer
from caloforge.models.l2l.quantiles import QuantileConfig, Quantiles
from caloforge.models.l2l.readout import largest_cells, renormalised
from caloforge.models.l2l.voxels import VoxelConfig, Voxels
from caloforge.models.noise import StreamNoise
from caloforge.showers import Incident
from caloforge.training import load_config
from caloforge.units import GEV

SHOWERS = 40
BOX = {"kind": "box", "nx": 4, "ny": 4, "pitch": [5.0, 5.0]}
RINGS = {"kind": "polar", "n_alpha": 3, "r_edges": [0, 5, 10, 20]}


def geometry_of(*grids: dict[str, Any]) -> Geometry:
    content = {"name": "toy", "threshold": 0.1, "layers": [{"grid": grid} for grid in grids]}
    return geometry_from_dict(content, source="toy")


UNIFORM = geometry_of(*[BOX] * 4)
RAGGED = geometry_of(BOX, RINGS, {**RINGS, "n_alpha": 1})


def batch_of(geometry: Geometry) -> Batch:
    rng = np.random.default_rng(1)
    incident = Incident.of(rng.uniform(10, 100, SHOWERS) * GEV)
    cells = torch.rand(SHOWERS, geometry.n_cells, generator=torch.Generator().manual_seed(1)).pow(6) * 9
    return Batch(Particles.of(incident), cells=CellSet.from_dense(cells, geometry.threshold))


def model_of(geometry: Geometry, *overrides: str, name: str = "l2lflows") -> LayerToLayer:
    config = load_config(f"{name}/smoke", overrides)
    model = build_model(name, config.model, geometry, seed=1)
    assert isinstance(model, LayerToLayer)
    model.prepare(batch_of(geometry), torch.Generator().manual_seed(0))
    return model.eval()


OWN = ("model.shared=false", "model.totals={kind: flow, flow: {transforms: 2, hidden: [8]}}")


def voxels_of(*, largest: float = 0.999) -> Voxels:
    """A unit of 1 MeV."""
    voxels = Voxels(VoxelConfig(), UNIFORM)
    voxels.fit(torch.full((1, UNIFORM.n_cells), largest))
    return voxels


def test_energies_go_through_a_logarithm_and_a_logit() -> None:
    """1 + log10(e + 1e-7) / 7, then logit(0.01 + 0.98 u); 1 MeV is the unit."""
    u = 1 + math.log10(1e-3 + 1e-7) / 7
    a = 0.01 + 0.98 * u
    found = voxels_of().encode(torch.tensor([[1e-3, 1.0, 0.0, 5.0]]), slice(0, 4))
    expected = [math.log(a / (1 - a)), math.log(99), -math.log(99), math.log(99)]
    torch.testing.assert_close(found, torch.tensor([expected]), rtol=1e-4, atol=1e-4)


def test_numbers_come_back_as_energies() -> None:
    voxels = voxels_of(largest=60.0)
    energy = torch.tensor([[0.0, 0.1, 1.0, 59.0]])
    back = voxels.decode(voxels.encode(energy, slice(0, 4)), slice(0, 4))
    torch.testing.assert_close(back, energy, rtol=1e-4, atol=1e-4)
    assert float(voxels.decode(torch.tensor([[30.0]]), slice(0, 1))) == pytest.approx(60.001, rel=1e-5)


def test_every_layer_has_its_own_unit() -> None:
    voxels = Voxels(VoxelConfig(), UNIFORM)
    dense = torch.zeros(2, UNIFORM.n_cells)
    dense[0, 3], dense[1, 17], dense[0, 40] = 5.0, 2.0, 7.0
    voxels.fit(dense)
    assert voxels.largest.tolist() == [5.0, 2.0, 7.0, 0.0]


def test_empty_cells_are_filled_with_noise_below_threshold() -> None:
    """Log-normal, median 1 keV, 0.2 powers of ten; 0 to 1 keV more on every cell."""
    dense = torch.zeros(4000, UNIFORM.n_cells)
    dense[:, 0] = 5.0
    found = voxels_of().noisy(dense, torch.Generator().manual_seed(0))
    assert float((found[:, 0] - 5.0).mean()) == pytest.approx(0.5e-3, rel=0.05)
    assert float((found[:, 0] - 5.0).max()) <= 1e-3 + 1e-6
    quiet = Voxels(VoxelConfig(noise=0.0), UNIFORM)
    logs = quiet.noisy(dense, torch.Generator().manual_seed(0))[:, 1:].log10()
    assert float(logs.mean()) == pytest.approx(-3.0, abs=0.005)
    assert float(logs.std()) == pytest.approx(0.2, rel=0.02)
    loud = Voxels(VoxelConfig(filler=1.0), UNIFORM)
    assert float(loud.noisy(dense, torch.Generator().manual_seed(0))[:, 1:].max()) <= 0.101


def quantiles_of(dense: torch.Tensor) -> Quantiles:
    quantiles = Quantiles(QuantileConfig(width=0.4), UNIFORM)
    quantiles.fit(dense)
    return quantiles


def many(showers: int = 3000) -> torch.Tensor:
    """A third of the cells are hit, layers behind harder than those in front."""
    rng = torch.Generator().manual_seed(2)
    energy = 0.1 * torch.empty(showers, UNIFORM.n_cells).exponential_(1.5, generator=rng).exp()
    hit = torch.rand(energy.shape, generator=rng) < 1 / 3
    return torch.where(hit, energy ** (1 - 0.1 * torch.from_numpy(UNIFORM.cell_layer)), 0.0)


def test_hits_and_empty_cells_are_normal_on_either_side_of_0() -> None:
    """Around 1 and -1, 0.4 wide, cut at 2.3 widths, where they would come near 0."""
    dense = many()
    found = quantiles_of(dense).drawn(dense, torch.Generator().manual_seed(0))
    hit = dense >= 0.1
    cut = float(torch.special.ndtr(torch.tensor(-2.3)))
    levels = torch.tensor([0.1, 0.5, 0.9])
    of_hits = 1 + 0.4 * torch.special.ndtri(cut + levels * (1 - cut))
    of_empty = -1 + 0.4 * torch.special.ndtri(levels - cut)  # what lies beyond is turned round
    for layer in range(4):
        cells = slice(16 * layer, 16 * layer + 16)
        for values, expected in (
            (found[:, cells][hit[:, cells]], of_hits),
            (found[:, cells][~hit[:, cells]], of_empty),
        ):
            assert float(values.abs().min()) >= 0.0799
            torch.testing.assert_close(values.quantile(levels), expected, rtol=0, atol=0.02)


def test_quantiles_come_back_as_energies_and_the_middle_decides() -> None:
    dense = many()
    quantiles = quantiles_of(dense)
    hit = dense >= 0.1
    some = slice(20, 40)
    back = quantiles.decode(quantiles.encode(dense[:, some], some), some)
    torch.testing.assert_close(back[hit[:, some]], dense[:, some][hit[:, some]], rtol=1e-3, atol=0)
    assert float(back[~hit[:, some]].max()) < 0.1
    assert bool((quantiles.encode(dense)[~hit] == quantiles.nothing).all())
    line = torch.tensor([[-4.0, -0.1, 0.04, 0.12, 0.5, 99.0]])
    found = quantiles.decode(line, slice(5, 6))[0]
    assert (found >= 0.1).tolist() == [False, False, True, True, True, True]
    assert float(found[0]) < float(found[1])
    assert float(found[2]) == pytest.approx(float(found[3]), rel=1e-5)  # turned round at 0.08
    assert float(found[2]) > 0.1
    assert float(found[0]) > 0.1 * quantiles.lowest
    assert float(found[-1]) == pytest.approx(float(dense[:, [5, 6, 9, 10]].max()), rel=1e-3)
    # an empty cell at -1 + 0.4 * 1.5, mirrored at the threshold, is the hit at 1 - 0.4 * 0.75
    empty, hit = (float(quantiles.decode(torch.full((1, 1), x), slice(5, 6))) for x in (-0.4, 0.7))
    assert 0.1**2 / empty == pytest.approx(hit, rel=2e-3)


def test_quantiles_are_of_cells_as_far_from_the_axis_or_of_all_where_these_have_few_hits() -> None:
    """Of 4 x 4 cells, 4 are in the middle, 4 at corners, 8 beside these."""
    dense = many(200)
    dense[:, :16] = 0.0
    dense[:, 16] = 0.2  # a corner
    quantiles = quantiles_of(dense)
    assert quantiles.group[16:32].tolist() == [5, 4, 4, 5, 4, 3, 3, 4, 4, 3, 3, 4, 5, 4, 4, 5]
    largest = quantiles.nodes.exp()[:, -1] * 0.1
    assert float(largest[0]) == pytest.approx(float(dense.max()), rel=1e-3)
    assert float(largest[5]) == pytest.approx(float(dense[:, [16, 19, 28, 31]].max()), rel=1e-3)
    assert float(quantiles_of(torch.zeros(3, UNIFORM.n_cells)).nodes.diff(dim=1).min()) > 0


def by_hand(cells: list[float], total: float, threshold: float) -> list[float]:
    """The words of the reference, cell by cell."""
    order = sorted(range(len(cells)), key=cells.__getitem__)
    for k in range(len(order)):
        rest = sum(cells[j] for j in order[k:])
        if rest > 0 and cells[order[k]] * total / rest >= threshold:
            kept = set(order[k:])
            return [c * total / rest if j in kept else 0.0 for j, c in enumerate(cells)]
    return [0.0] * len(cells)


def test_renormalised_layers_have_their_energy_in_cells_above_threshold() -> None:
    rng = np.random.default_rng(0)
    cells = rng.exponential(size=(200, 9)) ** 3 * (rng.random((200, 9)) < 0.7)
    total = rng.exponential(size=200) * 2
    found = renormalised(torch.from_numpy(cells), torch.from_numpy(total), 0.3)
    expected = [by_hand(row.tolist(), float(t), 0.3) for row, t in zip(cells, total, strict=True)]
    torch.testing.assert_close(found, torch.tensor(expected, dtype=torch.float64))
    some = found.sum(1) > 0
    assert 0 < int((~some).sum()) < 100
    np.testing.assert_allclose(found[some].sum(1), total[some.numpy()])


def test_as_many_of_the_largest_cells_are_read_out_as_were_drawn() -> None:
    rng = torch.Generator().manual_seed(0)
    cells = torch.rand(50, 9, generator=rng, dtype=torch.float64)
    hits = torch.randint(0, 10, (50,), generator=rng).double()
    total = hits * 0.1 + hits.sign() * torch.rand(50, generator=rng, dtype=torch.float64)
    found = largest_cells(cells, hits, total, 0.1)
    torch.testing.assert_close((found >= 0.1).sum(1).double(), hits)
    torch.testing.assert_close(found.sum(1), total)
    for row in range(50):
        kept = set(found[row].nonzero().flatten().tolist())
        assert kept == set(cells[row].argsort(descending=True)[: int(hits[row])].tolist())


def test_cells_that_are_missing_are_mirrored_at_the_threshold() -> None:
    """0.08 below 0.1 becomes 0.125 above it; the sum is already that of the layer."""
    cells = torch.tensor([[0.5, 0.08, 0.01, 0.001]], dtype=torch.float64)
    total = torch.tensor([0.5 + 0.125 + 0.2])
    found = largest_cells(cells, torch.tensor([3.0]), total, 0.1)
    torch.testing.assert_close(found, torch.tensor([[0.5, 0.125, 0.2, 0.0]], dtype=torch.float64))
    deeper = largest_cells(cells, torch.tensor([3.0]), total + 0.8, 0.1, lowest=0.1)
    torch.testing.assert_close(deeper, torch.tensor([[0.5, 0.125, 1.0, 0.0]], dtype=torch.float64))


def test_the_map_of_energies_rises_and_makes_the_spectrum_that_is_wanted() -> None:
    rng = np.random.default_rng(0)
    drawn = torch.from_numpy(0.1 * np.exp(rng.exponential(size=20_000)))
    wanted = torch.from_numpy(0.1 * np.exp(1.5 * rng.exponential(size=30_000) ** 1.2))
    fitted = HitMap(0.1)
    assert torch.equal(fitted(drawn), drawn)  # not before it is fitted
    fitted.fit(wanted, drawn)
    mapped = fitted(drawn)
    levels = torch.linspace(0.02, 0.98, 25, dtype=torch.float64)
    both = [values.log().quantile(levels) for values in (mapped, wanted)]
    torch.testing.assert_close(both[0], both[1], rtol=0, atol=0.05)
    grid = torch.linspace(0.1, 200.0, 5000, dtype=torch.float64)
    assert bool((fitted(grid).diff() > 0).all())
    assert float(fitted(torch.tensor(0.1))) == pytest.approx(0.1)
    assert float(fitted(torch.tensor(0.05))) == pytest.approx(0.05)


def energy_flow(veto: float) -> EnergyFlow:
    """Its layers' logits are standard normal."""
    config = EnergyFlowConfig.model_validate({"veto": veto, "flow": {"transforms": 1, "order": "first"}})
    flow = EnergyFlow(config, 4, 1)
    flow.fit(torch.tensor([[1.0, 2.0, 100.0, 5.0]]))
    with torch.no_grad():
        for parameter in flow.parameters():
            parameter.zero_()
    return flow


def test_vetoed_showers_are_drawn_again_the_others_stay() -> None:
    condition, incident = torch.zeros(200, 1), torch.full((200,), 100.0)
    noise = StreamNoise(1, np.arange(200))
    with torch.no_grad():
        free, cut = (energy_flow(v).sample(incident, condition, noise) for v in (0.0, 2.0))
        part = energy_flow(2.0).sample(incident[7:9], condition[7:9], StreamNoise(1, np.arange(7, 9)))
    wild = free.sum(1) > 200
    assert 20 < int(wild.sum()) < 180
    assert bool((cut.sum(1) <= 200).all())
    assert torch.equal(free[~wild], cut[~wild])
    torch.testing.assert_close(part, cut[7:9], rtol=1e-4, atol=1e-4)


def test_energies_of_layers_go_through_a_logit_of_their_share() -> None:
    """Unit 1.05 times the largest; noise of 1 keV, less 1 keV: an untrained flow's zero is half of it."""
    flow = energy_flow(0.0)
    assert float(flow.unit) == pytest.approx(105.0)
    with torch.no_grad():
        drawn = flow.sample(torch.ones(3), torch.zeros(3, 1), StreamNoise(1, np.arange(3)))
    normal = StreamNoise(1, np.arange(3)).normal("energies", 1, 4).double()
    share = (torch.sigmoid(normal) - 1e-6) / (1 - 2e-6)
    torch.testing.assert_close(drawn, share * 105.0 - 1e-3, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("geometry", [UNIFORM, RAGGED], ids=["uniform", "ragged"])
def test_a_layer_s_flow_is_trained_on_it_and_on_those_in_front(geometry: Geometry) -> None:
    model = model_of(geometry, *OWN, "model.previous=1")
    names = [stage.name for stage in model.stages()]
    assert names == ["energies", *(f"layer-{n:02d}" for n in range(geometry.n_layers))]
    assert {stage.settings for stage in model.stages()} == {"energies", "layers"}
    dense = batch_of(geometry).cells.dense(geometry.n_cells)  # type: ignore[union-attr]
    dense.requires_grad_()
    condition = model.conditions(batch_of(geometry).particles)
    x, seen = model._rows_of(2, dense, condition, torch.Generator().manual_seed(0))
    offsets = geometry.layer_offsets
    assert x.shape[1] == offsets[3] - offsets[2]
    (x.sum() + seen.cells.sum() + seen.scalars.sum()).backward()
    touched = set(geometry.cell_layer[dense.grad.abs().sum(0).numpy() > 0].tolist())  # type: ignore[union-attr]
    assert touched == {1, 2}


@pytest.mark.parametrize("name", ["l2lflows", "conv-l2lflows"])
def test_a_shared_network_sees_what_networks_of_their_own_see(name: str) -> None:
    flow = "model.layers.flow={squeeze: [2, 2], blocks: 1, bins: 4, unet: {channels: 2, down: [[2, 2]]}}"
    options = [flow] if name == "conv-l2lflows" else []
    shared = model_of(UNIFORM, *options, "model.layers_per_step=4", "model.previous=2", name=name)
    own = model_of(UNIFORM, *options, "model.previous=2", "model.shared=false", name=name)
    batch = batch_of(UNIFORM)
    dense, condition = batch.cells.dense(UNIFORM.n_cells), own.conditions(batch.particles)  # type: ignore[union-attr]
    rows = shared._rows_of(0, dense, condition, torch.Generator().manual_seed(0))[1]
    assert sorted(rows.place.view(SHOWERS, 4)[5].tolist()) == [0, 1, 2, 3]
    for layer in range(4):
        alone = own._rows_of(layer, dense, condition, torch.Generator().manual_seed(0))[1]
        mine = rows.place == layer
        there = alone.cells.shape[1]
        torch.testing.assert_close(rows.cells[mine][:, rows.cells.shape[1] - there :], alone.cells)
        missing = rows.cells[mine][:, : rows.cells.shape[1] - there]
        torch.testing.assert_close(missing, torch.zeros_like(missing))  # empty cells
        torch.testing.assert_close(rows.scalars[mine][:, :3], alone.scalars[:, :3])


@pytest.mark.parametrize("geometry", [UNIFORM, RAGGED], ids=["uniform", "ragged"])
@pytest.mark.parametrize("options", [OWN, (*OWN, "model.seen=drawn", "model.renormalised=false")])
def test_layers_of_any_grids_are_drawn(geometry: Geometry, options: tuple[str, ...]) -> None:
    model = model_of(geometry, *options)
    particles = batch_of(geometry).particles
    noise = StreamNoise(3, np.arange(SHOWERS))
    with torch.no_grad():
        found = model.sample(particles, noise).dense(geometry.n_cells).double()
        _, energies = model._draw_energies(particles.energy, model.conditions(particles), noise)
    sums = torch.zeros_like(energies).index_add(1, model.voxels.layer, found)
    assert bool(((found == 0) | (found >= 0.1 - 1e-6)).all())
    if model.config.renormalised:
        full = sums > 0
        assert float(full.float().mean()) > 0.5
        torch.testing.assert_close(sums[full], energies[full], rtol=1e-4, atol=1e-4)


def test_splits_give_the_hits_and_energies_that_are_read_out() -> None:
    model = model_of(UNIFORM)
    particles, noise = batch_of(UNIFORM).particles, StreamNoise(3, np.arange(SHOWERS))
    with torch.no_grad():
        dense = model.sample(particles, noise).dense(UNIFORM.n_cells)
        hits, energies = model._draw_energies(particles.energy, model.conditions(particles), noise)
    found_hits, found = model._sums(dense)
    torch.testing.assert_close(found_hits, hits)
    torch.testing.assert_close(found, energies, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    "totals", ["{kind: splits, leaves: 8, donors: 100, leaf: 10}", "{kind: flow, flow: {hidden: [8]}}"]
)
def test_of_several_drawings_of_a_layer_the_nearest_is_kept(totals: str) -> None:
    """Rows are showers, three drawings of each; hits are numbers above 0, or all that has the energy."""
    model = model_of(UNIFORM, f"model.totals={totals}", "model.candidates=3")
    drawn = torch.full((6, 16), -1.0)
    drawn[0, :7] = drawn[1, :4] = drawn[2, :2] = drawn[3, :1] = drawn[5, :3] = 0.8
    cells, sums = slice(0, 16), torch.tensor([5.0, 0.0])
    of_layer = model.voxels.decode(drawn, cells)[[1, 4]]
    energy = torch.where(of_layer >= 0.1, of_layer, 0.0).sum(1) + 1e-3
    found = model._nearest(drawn, cells, sums, energy)
    assert torch.equal(found, drawn[[1, 4]])
    assert torch.equal(model._nearest(drawn, cells, torch.zeros(6), torch.zeros(6)), drawn)
    particles = batch_of(UNIFORM).particles
    one, two = (model.sample(particles, StreamNoise(3, np.arange(SHOWERS))) for _ in range(2))
    assert torch.equal(one.energy, two.energy)


@pytest.mark.parametrize("circular", [True, False])
def test_learnt_images_tell_pixels_apart_at_all_angles_alike(circular: bool) -> None:
    """Zeros in front and pixels of one value: what the flow is told differs along r, and x, alone."""
    flow = {"squeeze": [2, 1], "blocks": 1, "bins": 4, "unet": {"channels": 2, "down": [[2, 2]]}}
    config = ImageLayerConfig.model_validate({"embedding": 4, "position": 3, "flow": flow})
    layer = ImageLayer(config, (4, 6), before=1, own=2, layers=0, circular=circular).eval()
    assert layer.position is not None
    assert layer.position.shape == (3, 1 if circular else 4, 6)
    seen = Seen(torch.zeros(2, 24), torch.ones(2, 2), torch.zeros(2, dtype=torch.int64))
    with torch.no_grad():
        told = layer._context(seen)
    assert told.shape == (2, 4, 2, 6)
    assert float(told[..., 2:4].diff(dim=3).abs().max()) > 1e-4
    assert (float(told.diff(dim=2).abs().max()) < 1e-6) is circular


def test_the_published_sizes_of_the_ild_s_read_out() -> None:
    """arXiv:2405.20407's public program: 163 096 520 + 306 732 parameters for 30 x 30 x 30 cells."""
    config = load_config(
        "conv-l2lflows/paper",
        ["model.layers.flow.unet={channels: 32, down: [[3, 3], [5, 5]]}"],
    )
    with torch.device("meta"):
        model = build_model("conv-l2lflows", config.model, load_geometry("ild-30x30x30"))
    flow = sum(p.numel() for p in model.energies.parameters())
    assert (model.learnt_numbers - flow, flow) == (163_096_520, 306_732)


def test_read_outs_that_do_not_fit_are_refused_in_one_sentence() -> None:
    config = load_config("conv-l2lflows/smoke").model
    own = load_config("conv-l2lflows/smoke", OWN).model
    with pytest.raises(GeometryError, match="the same grid in every layer"):
        build_model("conv-l2lflows", own, RAGGED)
    with pytest.raises(ConfigError, match="4 cells along axis 0 are not divided"):
        build_model("conv-l2lflows", config, UNIFORM)
    assert issubclass(L2LFlows, LayerToLayer)
    with pytest.raises(ConfigError, match="one grid"):
        build_model("l2lflows", load_config("l2lflows/smoke").model, RAGGED)
