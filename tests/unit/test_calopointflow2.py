"""CaloPointFlow II: published sizes, exact placement in rings, energies, totals, losses."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chi2

from caloforge.errors import ConfigError, GeometryError
from caloforge.geometry import Geometry, find_rings, load_geometry
from caloforge.geometry.grids import BoxGrid, PolarGrid
from caloforge.geometry.layers import Layer, Slab
from caloforge.models import Batch, CellSet, build_model
from caloforge.models.noise import StreamNoise
from caloforge.models.pointflow.calopointflow2 import CaloPointFlow2, CaloPointFlow2Config
from caloforge.models.pointflow.cell_choice import draw_cells
from caloforge.models.pointflow.hit_energy import HitEnergy, share_energy
from caloforge.models.pointflow.hit_points import CellPoints, RingPoints
from caloforge.models.pointflow.ring_placement import RingPlacement, merge_cells
from caloforge.models.pointflow.shower_totals import ShowerTotals
from caloforge.nn.autoregressive import AutoregressiveFlow
from caloforge.training import load_config
from toy_training import particles_of

if TYPE_CHECKING:
    from torch import nn

VARIANT_1 = {"hits": "cells", "points": {"transforms": 12, "masks": "random", "summary": None}}


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def parameters(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


EVEN = torch.ones(10_000)  # energies that do not matter


def noise(showers: int) -> StreamNoise:
    return StreamNoise(1, np.arange(showers))


def toy_geometry(grid: BoxGrid | PolarGrid, *, layers: int = 4, threshold: float = 0.1) -> Geometry:
    slabs = (Slab(material="W", thickness=2.0), Slab(material="Si", thickness=0.5, sensitive=True))
    stack = tuple(Layer(id=i, slabs=slabs, grid=grid) for i in range(layers))
    return Geometry(name="toy", layers=stack, threshold=threshold)


SQUARE = toy_geometry(BoxGrid(nx=4, ny=4, pitch=(5.0, 5.0)))  # rings of 4, 8, 4 cells
POLAR = toy_geometry(PolarGrid(n_alpha=6, r_edges=(0.0, 5.0, 10.0, 20.0)))  # three rings of 6
GRIDS = pytest.mark.parametrize("geometry", [SQUARE, POLAR], ids=["square", "polar"])


class TestSizes:
    """The counts of the public code's shipped configurations."""

    @pytest.fixture(autouse=True)
    def _quick(self, monkeypatch: pytest.MonkeyPatch) -> None:
        # flows cannot be built on the meta device: save the time that random weights take at least
        monkeypatch.setattr(torch.nn.init, "kaiming_uniform_", lambda tensor, **_: tensor)

    @GRIDS
    def test_variant_2(self, geometry: Geometry) -> None:
        model = build_model("calopointflow-2", load_config("calopointflow-2/paper").model, geometry)
        assert parts_of(model) == [510_792, 3_158_656, 29_421_056, 6_868_254]
        assert parameters(model) == 39_958_758

    @GRIDS
    def test_variant_1(self, geometry: Geometry) -> None:
        config = load_config("calopointflow-2/variant-1").model
        assert config == CaloPointFlow2Config.model_validate(VARIANT_1)
        model = build_model("calopointflow-2", config, geometry)
        assert parts_of(model) == [510_792, 3_158_720, 29_421_056, 673_320]
        assert parameters(model) == 33_763_888


def parts_of(model: nn.Module) -> list[int]:
    return [parameters(getattr(model, name)) for name in ("totals", "encoder", "latent", "points")]


def test_autoregressive_flow_inverts_and_is_normalised() -> None:
    config = CaloPointFlow2Config().totals.flow.model_copy(update={"transforms": 3, "hidden": (16,)})
    torch.manual_seed(0)
    flow = AutoregressiveFlow(2, 1, config)
    for p in flow.parameters():
        p.data += 0.1 * torch.randn(p.shape, generator=rng())
    z, context = torch.randn(500, 2, generator=rng()), torch.randn(500, 1, generator=rng(1))
    x = flow.sample(z, context)
    back = flow.flow(context).transform(x)
    torch.testing.assert_close(back, z, atol=2e-4, rtol=0)
    axis = torch.linspace(-6, 6, 81)
    grid = torch.cartesian_prod(axis, axis)
    density = flow.log_prob(grid, torch.zeros(len(grid), 1)).exp()
    assert float(density.sum().detach() * 0.15**2) == pytest.approx(1.0, abs=1e-2)


class TestPlacement:
    @GRIDS
    @pytest.mark.parametrize("surplus", ["add", "move"])
    def test_distinct_cells_of_the_ring_while_there_are_any(self, geometry: Geometry, surplus: str) -> None:
        rings = find_rings(geometry)
        shower, ring = hits_of(rings.size, share=1.0)
        cell = RingPlacement(rings, surplus)(shower, ring, EVEN[: len(ring)], 3, noise(3))
        np.testing.assert_array_equal(rings.ring[cell.numpy()], ring.numpy())
        assert len(torch.unique(shower * geometry.n_cells + cell)) == len(cell)

    @GRIDS
    def test_every_cell_of_a_ring_is_as_likely(self, geometry: Geometry) -> None:
        rings = find_rings(geometry)
        showers, per_ring = 3000, 2
        ring = torch.arange(len(rings.size)).repeat_interleave(per_ring).repeat(showers)
        shower = torch.arange(showers).repeat_interleave(per_ring * len(rings.size))
        cell = RingPlacement(rings, "add")(shower, ring, torch.ones(len(ring)), showers, noise(showers))
        found = np.bincount(cell.numpy(), minlength=geometry.n_cells)
        expected = showers * per_ring / rings.size[rings.ring]
        # without replacement: counts scatter less than a multinomial's
        assert ((found - expected) ** 2 / expected).sum() < chi2.ppf(0.999, geometry.n_cells)
        pairs = cell.reshape(showers, -1, per_ring)
        turned = pairs[..., 0] > pairs[..., 1]
        assert 0.45 < float(turned.double().mean()) < 0.55

    @GRIDS
    def test_added_surplus_starts_again_with_the_ring_s_cells(self, geometry: Geometry) -> None:
        rings = find_rings(geometry)
        size = int(rings.size[1])
        ring = torch.ones(2 * size + 1, dtype=torch.int64)
        shower = torch.zeros_like(ring)
        cell = RingPlacement(rings, "add")(shower, ring, EVEN[: len(ring)], 1, noise(1))
        energy = torch.ones(len(ring))
        _, cells, summed = merge_cells(shower, cell, energy, n_cells=geometry.n_cells)
        np.testing.assert_array_equal(cells, rings.cells[1][:size])
        assert sorted(summed.tolist()) == [2.0] * (size - 1) + [3.0]

    @GRIDS
    @settings(max_examples=20)
    @given(data=st.data())
    def test_moved_surplus_keeps_the_number_of_hits(self, geometry: Geometry, data: st.DataObject) -> None:
        rings = find_rings(geometry)
        draw = st.lists(st.integers(0, len(rings.size) - 1), max_size=40)
        parts = [torch.tensor(data.draw(draw), dtype=torch.int64) for _ in range(3)]
        ring = torch.cat(parts)
        shower = torch.arange(3).repeat_interleave(torch.tensor([len(p) for p in parts]))
        cell = RingPlacement(rings, "move")(shower, ring, EVEN[: len(ring)], 3, noise(3))
        layer, placed = rings.layer[ring], geometry.cell_layer[cell.numpy()]
        np.testing.assert_array_equal(layer, placed)
        room = geometry.n_cells // geometry.n_layers
        lit = torch.unique(shower * geometry.n_cells + cell).numpy() // room
        wanted = np.bincount(shower.numpy() * geometry.n_layers + layer, minlength=12)
        np.testing.assert_array_equal(np.bincount(lit, minlength=12), np.minimum(wanted, room))

    def test_moved_surplus_goes_to_the_nearest_free_ring(self) -> None:
        rings = find_rings(POLAR)
        ring = torch.tensor([0] * 6 + [1] * 9 + [2] * 2)  # rings 0 and 1 full: three go to ring 2
        cell = RingPlacement(rings, "move")(torch.zeros_like(ring), ring, EVEN[: len(ring)], 1, noise(1))
        assert np.bincount(rings.ring[cell.numpy()], minlength=12).tolist() == [6, 6, 5] + [0] * 9
        ring = torch.tensor([3] * 5 + [4] * 9 + [5] * 2)  # the first to the free cell inside
        cell = RingPlacement(rings, "move")(torch.zeros_like(ring), ring, EVEN[: len(ring)], 1, noise(1))
        assert np.bincount(rings.ring[cell.numpy()], minlength=12).tolist() == [0] * 3 + [6, 6, 4] + [0] * 6

    def test_the_softest_hits_leave_a_full_ring(self) -> None:
        rings = find_rings(POLAR)
        energy = torch.tensor([5.0, 1.0, 7.0, 2.0, 9.0, 3.0, 8.0, 4.0])
        ring = torch.zeros(8, dtype=torch.int64)  # of six cells
        cell = RingPlacement(rings, "move")(ring, ring, energy, 1, noise(1))
        moved = rings.ring[cell.numpy()] == 1
        assert sorted(energy[torch.from_numpy(moved)].tolist()) == [1.0, 2.0]

    def test_a_shower_is_placed_the_same_in_any_block(self) -> None:
        rings = find_rings(SQUARE)
        shower, ring = hits_of(rings.size, share=0.7)
        together = RingPlacement(rings, "move")(shower, ring, EVEN[: len(ring)], 3, noise(3))
        last = shower == 2
        alone = RingPlacement(rings, "move")(
            torch.zeros_like(shower[last]),
            ring[last],
            EVEN[: int(last.sum())],
            1,
            StreamNoise(1, np.array([2])),
        )
        np.testing.assert_array_equal(together[last], alone)


def hits_of(size: np.ndarray, *, share: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Three showers with a share of every ring's cells hit, in random order."""
    counts = torch.from_numpy(np.floor(size * share).astype(np.int64))
    ring = torch.arange(len(size)).repeat_interleave(counts)
    shuffled = [ring[torch.randperm(len(ring), generator=rng(s))] for s in range(3)]
    return torch.arange(3).repeat_interleave(len(ring)), torch.cat(shuffled)


class TestEnergy:
    def hits(self) -> torch.Tensor:
        return 0.1 + torch.empty(20_000).exponential_(generator=rng()) ** 2

    @pytest.mark.parametrize("scaling", ["fraction", "quantile"])
    def test_round_trip(self, scaling: str) -> None:
        energy, total = self.hits(), torch.full((20_000,), 700.0)
        transform = HitEnergy(scaling, 0.1)
        with pytest.raises(ConfigError, match="not fitted"):
            transform(energy, total)
        transform.fit(energy, total)
        feature = transform(energy, total)
        back = transform.inverse(feature, total)
        torch.testing.assert_close(back, energy, rtol=2e-3, atol=2e-4)
        assert abs(float(feature.mean())) < 0.02
        assert float(feature.std()) == pytest.approx(1.0, abs=0.02)

    def test_quantiles_never_leave_threshold_and_range(self) -> None:
        energy, total = self.hits(), torch.ones(20_000)
        transform = HitEnergy("quantile", 0.1)
        transform.fit(energy, total)
        wild = transform.inverse(torch.linspace(-50, 50, 101), torch.ones(101))
        assert float(wild.min()) == pytest.approx(0.1, rel=1e-5)
        assert float(wild.max()) == pytest.approx(float(energy.max()), rel=1e-3)
        assert (wild.diff() >= 0).all()

    def test_quantiles_of_few_or_equal_energies(self) -> None:
        for energy in (torch.tensor([0.3]), torch.full((10,), 0.3), torch.tensor([0.1, 0.2, 5.0])):
            transform = HitEnergy("quantile", 0.0)
            transform.fit(energy, energy)
            back = transform.inverse(transform(energy, energy), energy)
            torch.testing.assert_close(back, energy, rtol=1e-3, atol=0)

    def test_energies_are_shared_above_the_floor(self) -> None:
        energy = torch.tensor([0.1, 0.3, 0.6, 0.1, 0.1, 2.0])
        index, total = torch.tensor([0, 0, 0, 1, 1, 3]), torch.tensor([3.0, 1.0, 7.0, 0.01])
        shared = share_energy(energy, index, total, floor=0.1)
        torch.testing.assert_close(shared[:3], 0.1 + (energy[:3] - 0.1) * (2.7 / 0.7))
        torch.testing.assert_close(shared[3:5], torch.tensor([0.5, 0.5]))  # nothing above to scale
        assert float(shared[5]) == pytest.approx(0.1)  # the sum is less than the threshold
        assert (shared >= np.float32(0.1)).all()

    def test_without_a_floor_it_is_a_plain_scale(self) -> None:
        energy, index = torch.rand(50, generator=rng()), torch.arange(50) // 10
        total = torch.arange(1.0, 6.0)
        shared = share_energy(energy, index, total, floor=0.0)
        torch.testing.assert_close(shared.reshape(5, 10).sum(1), total)
        torch.testing.assert_close(shared / energy, (total / energy.reshape(5, 10).sum(1))[index])


class TestTotals:
    @pytest.mark.parametrize("degree", [0, 3])
    def test_round_trip_and_scales(self, degree: int) -> None:
        energy = torch.logspace(3, 6, 4000, dtype=torch.float64)
        condition = torch.linspace(-1, 1, 4000)[:, None]
        normal = torch.randn(2, 4000, generator=rng(), dtype=torch.float64)
        total = energy * (0.03 * (0.1 * normal[0] * (energy / 1e3) ** -0.5).exp())
        counts = (5 * energy**0.5 * (0.1 * normal[1]).exp()).long()
        transform = ShowerTotals(degree)
        transform.fit(counts, total, energy, condition, rng())
        target = transform(counts, total, energy, condition, rng())
        assert target.mean(0).abs().max() < 0.03
        torch.testing.assert_close(target.std(0), torch.ones(2), rtol=0, atol=0.05)
        if degree:  # at every energy, whose spreads differ by thirty
            ends = torch.stack([target[:800].std(0), target[-800:].std(0)])
            torch.testing.assert_close(ends, torch.ones(2, 2), rtol=0, atol=0.25)
        hits, visible = transform.inverse(target, energy, condition)
        assert ((hits - counts).abs() <= 1e-5 * counts + 1e-9).double().mean() > 0.99
        torch.testing.assert_close(visible.double(), total, rtol=1e-5, atol=0)

    def test_far_off_targets_stay_finite(self) -> None:
        counts, energy = torch.tensor([10, 20, 30]), torch.full((3,), 1e3, dtype=torch.float64)
        transform = ShowerTotals(3)
        transform.fit(counts, energy / 30, energy, torch.zeros(3, 1), rng())
        far = torch.tensor([[1e3, 1e3], [-1e3, -1e3], [0.0, 0.0]])
        hits, visible = transform.inverse(far, energy, torch.tensor([[50.0], [-50.0], [0.0]]))
        assert hits.tolist()[:2] == [math.floor(math.exp(30)), 1]  # the model has a bound, see ``Bounds``
        assert bool(visible.isfinite().all())


class TestPoints:
    @GRIDS
    @pytest.mark.parametrize("by_layer", [False, True])
    def test_rings_come_back(self, geometry: Geometry, *, by_layer: bool) -> None:
        cell = torch.arange(geometry.n_cells).repeat(5)
        points = RingPoints(geometry, "quantile", by_layer=by_layer, surplus="add")
        points.fit(cell, *hit_energies(len(cell)))
        made = points(cell, *hit_energies(len(cell)), rng())
        shower = torch.arange(5).repeat_interleave(geometry.n_cells)
        back, _ = points.inverse(made, shower, torch.ones(5), noise(5))
        rings = find_rings(geometry)
        np.testing.assert_array_equal(rings.ring[back.numpy()], rings.ring[cell.numpy()])
        assert made.std(0)[:2].tolist() == pytest.approx([1.0, 1.0], abs=0.15)

    @GRIDS
    def test_cells_come_back(self, geometry: Geometry) -> None:
        cell = torch.arange(geometry.n_cells).repeat(20)
        points = CellPoints(geometry, "fraction")
        energy, total = hit_energies(len(cell))
        points.fit(cell, energy, total)
        made = points(cell, energy, total, rng())
        assert made.shape == (len(cell), 4)
        back, energies = points.inverse(made, torch.arange(len(cell)), total, noise(len(cell)))
        np.testing.assert_array_equal(back, cell)
        torch.testing.assert_close(energies, energy, rtol=1e-3, atol=1e-4)

    def test_rings_need_a_symmetry(self) -> None:
        oblong = toy_geometry(BoxGrid(nx=4, ny=3, pitch=(5.0, 5.0)))
        with pytest.raises(GeometryError):
            RingPoints(oblong, "quantile", by_layer=False, surplus="add")
        assert CellPoints(oblong, "quantile").shape == (4, 4, 3)


def hit_energies(n: int) -> tuple[torch.Tensor, torch.Tensor]:
    energy = 0.1 + torch.rand(n, generator=rng(5))
    return energy, torch.full((n,), 60.0)


def toy_batch(geometry: Geometry, showers: int = 40) -> Batch:
    """3 to 12 cells, none in the last layer, of energies that rise with the incident energy."""
    counts = 3 + torch.arange(showers) % 10
    hit = geometry.n_cells * (geometry.n_layers - 1) // geometry.n_layers
    cell = torch.cat([(5 * i + 7 * torch.arange(int(n))) % hit for i, n in enumerate(counts)])
    incident = torch.linspace(1e3, 1e4, showers, dtype=torch.float64)
    index = torch.arange(showers).repeat_interleave(counts)
    energy = (0.1 + torch.rand(len(cell), generator=rng()) * incident[index] / 1e3).float()
    return Batch(particles_of(incident), cells=CellSet(counts, cell, energy))


def model_of(geometry: Geometry, *overrides: str) -> CaloPointFlow2:
    config = load_config("calopointflow-2/smoke", overrides).model
    model = build_model("calopointflow-2", config, geometry)
    assert isinstance(model, CaloPointFlow2)
    model.prepare(toy_batch(geometry), rng())
    return model.eval()


SHOWERS = 64
PUBLISHED = (
    "model.energy=fraction",
    "model.balance=published",
    "model.sampler.surplus=add",
    "model.sampler.draws_per_hit=1",
)
VARIANTS = pytest.mark.parametrize(
    "overrides",
    [
        (),
        PUBLISHED,
        ("model.points.summary=null", "model.rings_by_layer=false"),
        ("model.hits=cells", "model.points.summary=null"),
        ("model.sampler.draws_per_hit=1",),
    ],
    ids=["mended", "published", "independent", "cells", "single"],
)


def test_rings_fill_up_when_points_are_estimates() -> None:
    """A core of four cells that four of eight hits lie in: full, not full on average."""
    showers, hits = 400, 8
    rings = find_rings(SQUARE)
    assert rings.size[:2].tolist() == [4, 8]

    def occupied(draws: int) -> float:
        shower = torch.arange(showers).repeat_interleave(draws * hits)
        ring = torch.randint(2, (len(shower),), generator=rng())
        energy = torch.ones(len(ring))
        cell = RingPlacement(rings, "add")(shower, ring, energy, showers, noise(showers))
        if draws > 1:
            wanted = torch.full((showers,), hits)
            drawn = draw_cells(shower, cell, wanted, noise(showers), placement="pareto")
            assert torch.equal(drawn.counts, wanted)
            shower, cell = drawn.shower, drawn.cell
        core = rings.ring[cell] == 0
        return len(np.unique((shower * SQUARE.n_cells + cell)[core])) / showers

    assert occupied(1) == pytest.approx(3.45, abs=0.1)  # E[min(4, n)], n binomial
    assert 3.7 < occupied(8) <= 4


class TestModel:
    @GRIDS
    @VARIANTS
    def test_samples_are_cells_with_the_drawn_totals(
        self, geometry: Geometry, overrides: tuple[str, ...]
    ) -> None:
        model = model_of(geometry, *overrides)
        energy = torch.linspace(1e3, 1e4, SHOWERS, dtype=torch.float64)
        with torch.no_grad():
            cells = model.sample(particles_of(energy), noise(SHOWERS))
            condition = model.conditions(particles_of(energy))
            totals = model.totals.sample(noise(SHOWERS).normal("totals", 1, 2), condition)
            counts, total = model._wanted(totals, energy, condition)
        sums = torch.zeros(SHOWERS).index_add(0, cells.index, cells.energy)
        torch.testing.assert_close(sums, total, rtol=1e-4, atol=0)
        assert 0 <= int(cells.cell.min()) <= int(cells.cell.max()) < geometry.n_cells
        assert bool(((cells.index * geometry.n_cells + cells.cell).diff() > 0).all())
        assert (cells.counts <= counts).all()
        if overrides == ("model.sampler.draws_per_hit=1",):
            np.testing.assert_array_equal(cells.counts, counts)
        if model.config.sampler.draws_per_hit > 1:
            assert cells.counts.sum() > 0.95 * counts.sum()  # the points may lie in fewer cells
        if model.config.energy == "quantile":
            assert (cells.energy >= np.float32(geometry.threshold)).all()

    @VARIANTS
    def test_the_loss_does_not_know_the_order_of_the_hits(self, overrides: tuple[str, ...]) -> None:
        model = model_of(SQUARE, *overrides)
        points = torch.randn(60, model.hits.features, generator=rng())
        counts = torch.tensor([10, 20, 30])
        index = torch.arange(3).repeat_interleave(counts)
        shuffled = torch.cat([torch.randperm(int(n), generator=rng()) for n in counts])
        shuffled += (counts.cumsum(0) - counts)[index]
        context = torch.randn(3, 3, generator=rng())
        first, second = (
            model._points_loss(p, counts, index, context, rng())["loss"] for p in (points, points[shuffled])
        )
        torch.testing.assert_close(first, second, rtol=1e-5, atol=1e-5)

    def test_published_weights_of_the_loss(self) -> None:
        published, elbo = (model_of(SQUARE, f"model.balance={b}") for b in ("published", "elbo"))
        batch = toy_batch(SQUARE)
        terms, bound = (m.loss(batch, turn="points", rng=rng()) for m in (published, elbo))
        torch.testing.assert_close(terms["hits"], bound["hits"])
        # per latent number there, per number of the hits here
        assert abs(bound["latent"]) < abs(terms["latent"])
        torch.testing.assert_close(terms["loss"], terms["hits"] + terms["latent"])

    def test_loss_is_per_number(self) -> None:
        """Untrained flows are nearly the identity, and the totals nearly normal."""
        model = model_of(SQUARE, "model.balance=published")
        batch = toy_batch(SQUARE)
        totals = model.loss(batch, turn="totals", rng=rng())["loss"]
        assert totals.item() == pytest.approx(0.5 + 0.5 * math.log(2 * math.pi), abs=0.15)

    def test_training_needs_cells(self) -> None:
        batch = toy_batch(SQUARE)
        without = Batch(batch.particles)
        with pytest.raises(ValueError, match="cells=True"):
            model_of(SQUARE).loss(without, turn="totals", rng=rng())

    @pytest.mark.parametrize("surplus", ["add", "move"])
    @pytest.mark.parametrize("by_layer", ["true", "false"])
    def test_layers_that_were_never_hit_stay_dark(self, surplus: str, by_layer: str) -> None:
        overrides = (
            f"model.sampler.surplus={surplus}",
            f"model.rings_by_layer={by_layer}",
            "model.sampler.draws_per_hit=1",
        )
        model = model_of(SQUARE, *overrides)
        with torch.no_grad():
            cells = model.sample(particles_of(torch.full((50,), 5e3)), noise(50))
        assert set(SQUARE.cell_layer[cells.cell].tolist()) == {0, 1, 2}


def test_it_runs_on_the_catalogue_s_square_and_polar_read_outs() -> None:
    for name in ("siw-ecal", "cylinder-ds2"):
        geometry = load_geometry(name)
        model = model_of(geometry)
        with torch.no_grad():
            cells = model.sample(particles_of(torch.full((3,), 5e3)), noise(3))
        assert (cells.counts > 0).all()
