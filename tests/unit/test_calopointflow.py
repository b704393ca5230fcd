from __future__ import annotations

import math
from typing import TYPE_CHECKING, cast

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from caloforge.geometry import BoxGrid, Geometry, Layer, PolarGrid, load_geometry
from caloforge.models.base import CellSet
from caloforge.models.noise import StreamNoise
from caloforge.models.pointflow.cell_choice import choose, find_candidates, inclusion, pick
from caloforge.models.pointflow.cell_points import CellPoints
from caloforge.models.pointflow.hit_energy import share_energy
from caloforge.models.pointflow.latent_points import PointEncoder, PointEncoderConfig
from caloforge.models.pointflow.lattice import lattice_normal
from caloforge.models.pointflow.totals import Totals
from caloforge.nn import Posterior
from caloforge.showers import Incident
from caloforge.simulator import Simulator, TrainedRange
from toy_training import batch_of, particles_of, prepared

if TYPE_CHECKING:
    from caloforge.models.pointflow.calopointflow import CaloPointFlow
    from caloforge.models.pointflow.cell_choice import Placement
    from caloforge.models.pointflow.cell_points import PointScaling
    from caloforge.training import TrainingData

RAGGED = Geometry(
    name="ragged",
    threshold=0.5,
    layers=(
        Layer(id=0, grid=BoxGrid(nx=4, ny=3, pitch=(2.0, 3.0), centre=(1.0, -2.0))),
        Layer(id=1, grid=PolarGrid(r_edges=(0, 2, 5), n_alpha=6)),
        Layer(id=2, grid=PolarGrid(r_edges=(1, 4), n_alpha=3)),
    ),
)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def model_of(data: TrainingData, *overrides: str) -> CaloPointFlow:
    return cast("CaloPointFlow", prepared("calopointflow", data, *overrides))


# encoder


def test_the_encoder_does_not_know_the_order_of_the_points() -> None:
    encoder = PointEncoder(4, PointEncoderConfig(element=(8, 8), pooled=(8,), latent=3))
    points, index = torch.randn(30, 4, generator=generator()), torch.tensor([0] * 10 + [1] * 20)
    shuffled = torch.cat([torch.randperm(10, generator=generator()), torch.arange(29, 9, -1)])
    first, second = encoder(points, index, 2), encoder(points[shuffled], index, 2)
    torch.testing.assert_close(first.mean, second.mean)
    torch.testing.assert_close(first.log_variance, second.log_variance)
    alone = encoder(points[10:], index[10:] - 1, 1)
    torch.testing.assert_close(alone.mean[0], first.mean[1])


def test_encoders_have_the_published_sizes() -> None:
    gelu = PointEncoderConfig(element=(64, 128, 1024), pooled=(1024, 512, 512), latent=128, activation="gelu")
    sizes = [
        sum(p.numel() for p in PointEncoder(n, c).parameters())
        for n, c in ((3, gelu), (4, PointEncoderConfig()))
    ]
    assert sizes == [3_158_656, 504_728]


def test_latent_vectors_have_the_mean_the_width_and_the_entropy_of_the_posterior() -> None:
    mean, log_variance = torch.tensor([[1.0, -2.0]]), torch.tensor([[0.5, -3.0]])
    posterior = Posterior(mean.expand(20_000, 2), log_variance.expand(20_000, 2))
    drawn = posterior.draw(generator())
    torch.testing.assert_close(drawn.mean(0), mean[0], atol=0.03, rtol=0)
    torch.testing.assert_close(drawn.var(0).log(), log_variance[0], atol=0.05, rtol=0)
    normal = torch.distributions.Normal(mean, (log_variance / 2).exp())
    torch.testing.assert_close(posterior.entropy[:1], normal.entropy().sum(1))


# points


@pytest.mark.parametrize("scaling", ["linear", "quantile"])
@pytest.mark.parametrize("geometry", [RAGGED, load_geometry("siw-ecal"), load_geometry("cylinder-ds3")])
def test_cells_become_points_inside_of_them(geometry: Geometry, scaling: PointScaling) -> None:
    count = 5400
    cell = torch.arange(geometry.n_cells).repeat(max(1, count // geometry.n_cells))
    cell = cell[torch.randperm(len(cell), generator=generator())[:count]].sort().values
    energy = geometry.threshold * (2 * torch.rand(count, generator=generator())).exp()
    cells = CellSet(torch.tensor([count]), cell, energy)
    points = CellPoints(geometry, scaling=scaling)
    points.fit(cells, generator(1))
    normal = points(cells, generator(2))
    assert normal.dtype == torch.float32
    torch.testing.assert_close(normal.mean(0), torch.zeros(4), atol=0.15, rtol=0)
    torch.testing.assert_close(normal.std(0), torch.ones(4), atol=0.2, rtol=0)
    values = points.inverse(normal)
    found = points.find(values)
    assert (found == cell).double().mean() > 0.99  # rounding at the edges
    torch.testing.assert_close(values[:, 3], energy.double(), rtol=1e-3, atol=0)


def test_points_are_spread_over_a_ring_by_area() -> None:
    cell = torch.full((40_000,), 13)  # the outer ring of the first angle in the second layer
    points = CellPoints(RAGGED, scaling="linear")
    cells = CellSet(torch.tensor([len(cell)]), cell, torch.ones(len(cell)))
    points.fit(cells, generator())
    values = points.inverse(points(cells, generator(1)))
    inner = (values[:, :2].norm(dim=1) < math.sqrt((2**2 + 5**2) / 2)).double().mean()
    assert float(inner) == pytest.approx(0.5, abs=0.01)


@given(st.lists(st.floats(-8, 8), min_size=4, max_size=4))
def test_scaled_by_quantiles_no_point_leaves_the_box(place: list[float]) -> None:
    points = CellPoints(RAGGED, scaling="quantile")
    cell = torch.arange(RAGGED.n_cells)
    points.fit(CellSet(torch.tensor([len(cell)]), cell, 0.5 + cell / 7), generator())
    values = points.inverse(torch.tensor([place]))[0]
    low, high = torch.tensor([-5.0, -6.5, 0.0, 0.5]), torch.tensor([5.0, 5.0, 3.0, 10.0])
    assert bool(((values >= low) & (values <= high)).all())


@pytest.mark.parametrize("scaling", ["linear", "quantile"])
def test_the_slope_is_that_of_the_scaling(scaling: PointScaling) -> None:
    cell = torch.arange(RAGGED.n_cells)
    points = CellPoints(RAGGED, scaling=scaling)
    points.fit(CellSet(torch.tensor([len(cell)]), cell, 0.5 + cell / 7), generator())
    normal = torch.randn(50, 4, generator=generator())
    step = 1e-3
    ends = [points.inverse(normal + s) for s in (-step, step)]
    for values in ends:
        values[:, 3] = values[:, 3].log()
    slope = (2 * step / (ends[1] - ends[0])).log().sum(1)
    near = (points.log_slope(normal) - slope).abs() < 0.02
    assert near.double().mean() > 0.9  # the rest are at the edges of bins


# totals


@pytest.mark.parametrize("degree", [0, 3])
def test_totals_come_back(degree: int) -> None:
    energy = torch.logspace(3, 6, 500, dtype=torch.float64)
    condition = (2 * (energy.log() - energy.log()[0]) / math.log(1000) - 1)[:, None].float()
    uniform = torch.rand(500, generator=generator(), dtype=torch.float64)
    counts = (3 * energy**0.6 * (1 + 0.1 * torch.randn(500, generator=generator()))).floor().long()
    visible = 0.03 * energy * (1 + 0.2 * torch.randn(500, generator=generator(1)))
    raw = Totals.raw(counts, visible, energy, uniform)
    totals = Totals(degree=degree)
    totals.fit(raw, condition)
    target = totals(raw, condition)
    torch.testing.assert_close(target.std(0), torch.ones(2), atol=0.2, rtol=0)
    torch.testing.assert_close(totals.inverse(target, condition), raw, rtol=1e-4, atol=1e-6)
    again, sums = Totals.split(raw, energy)
    assert torch.equal(again, counts)
    torch.testing.assert_close(sums, visible)
    torch.testing.assert_close(totals.plain(raw).std(0), torch.ones(2), atol=0.01, rtol=0)
    if degree:  # the response is taken out in every quarter of the energies
        torch.testing.assert_close(target.reshape(4, -1, 2).mean(1), torch.zeros(4, 2), atol=0.3, rtol=0)


# the choice of cells


TRUTH = torch.tensor([0.4, 0.25, 0.2, 0.1, 0.04, 0.01], dtype=torch.float64)


def frequencies(
    showers: int, wanted: int, placement: Placement, *, density: bool = False, draws: int = 200
) -> torch.Tensor:
    """How often each of six cells is hit, when points are drawn from TRUTH."""
    cell = torch.multinomial(TRUTH, showers * draws, replacement=True, generator=generator())
    shower = torch.arange(showers).repeat_interleave(draws)
    log_density = TRUTH[cell].log() if density else None
    found = find_candidates(shower, cell, showers, log_density=log_density)
    uniform = torch.rand(len(found.cell), generator=generator(1), dtype=torch.float64)
    chosen = choose(found, torch.full((showers,), wanted), uniform, placement=placement)
    return torch.bincount(found.cell[chosen], minlength=6) / showers


def test_single_cells_are_hit_as_often_as_points_are_drawn_in_them() -> None:
    torch.testing.assert_close(frequencies(4000, 1, "gumbel"), TRUTH.float(), atol=0.03, rtol=0)


def test_pareto_sampling_keeps_the_probabilities_and_sampling_one_by_one_does_not() -> None:
    wanted = 2 * TRUTH.float()
    pareto, gumbel = (frequencies(4000, 2, p) for p in ("pareto", "gumbel"))
    torch.testing.assert_close(pareto, wanted, atol=0.03, rtol=0)
    assert gumbel[0] < wanted[0] - 0.08
    assert gumbel[3] > wanted[3] + 0.02


def test_mean_densities_weigh_cells_by_themselves_once_more() -> None:
    """Points of equal density in every cell: the published weights are right, and lose the spread."""
    by_density = frequencies(4000, 1, "gumbel", density=True)
    torch.testing.assert_close(by_density, TRUTH.float(), atol=0.03, rtol=0)
    # a fifth of a cell's points lie ten times as densely as the others
    draws, showers = 200, 2000
    cell = torch.arange(2).repeat(showers * draws // 2)
    dense = torch.rand(len(cell), generator=generator()) < torch.where(cell == 0, 0.8, 0.2)
    shower = torch.arange(showers).repeat_interleave(draws)
    log_density = torch.where(dense, math.log(10.0), 0.0)
    uniform = torch.rand(2 * showers, 2, generator=generator(1), dtype=torch.float64)
    hit, soft = [], []
    for weights in (None, log_density):
        found = find_candidates(shower, cell, showers, log_density=weights)
        chosen = choose(found, torch.ones(showers, dtype=torch.int64), uniform[:, 0], placement="gumbel")
        hit.append(float((found.cell[chosen] == 0).double().mean()))
        every = torch.arange(len(found.cell))
        soft.append(float((~dense[pick(found, every, uniform[:, 1])]).double().mean()))
    assert hit[0] == pytest.approx(0.5, abs=0.03)  # both cells hold as many points
    assert hit[1] == pytest.approx(8.2 / (8.2 + 2.8), abs=0.03)  # but not as dense ones
    assert soft[0] == pytest.approx(0.5, abs=0.03)
    assert soft[1] == pytest.approx(0.5 * (0.2 / 8.2 + 0.8 / 2.8), abs=0.03)  # soft points are lost


@given(
    st.lists(st.tuples(st.integers(0, 4), st.integers(0, 30)), min_size=1, max_size=200),
    st.integers(1, 40),
    st.sampled_from(["gumbel", "pareto"]),
    st.booleans(),
)
def test_chosen_cells_are_different_and_as_many_as_wanted(
    points: list[tuple[int, int]], wanted: int, placement: Placement, density: bool
) -> None:
    shower, cell = torch.tensor(sorted(points)).T
    shuffle = torch.randperm(len(cell), generator=generator())
    shower, cell = shower[shuffle], cell[shuffle]
    log_density = 60 * torch.randn(len(cell), generator=generator()) if density else None
    found = find_candidates(shower, cell, 6, log_density=log_density)
    sums = torch.zeros(6, dtype=torch.float64).index_add(0, found.shower, found.share)
    torch.testing.assert_close(sums, (torch.bincount(shower, minlength=6) > 0).double())
    number = torch.bincount(found.shower, minlength=6)
    limits = torch.full((6,), wanted)
    uniform = torch.rand(len(found.cell), generator=generator(), dtype=torch.float64)
    chosen = choose(found, limits, uniform, placement=placement)
    assert torch.equal(torch.bincount(found.shower[chosen], minlength=6), torch.minimum(number, limits))
    assert len(torch.unique(chosen)) == len(chosen)
    picked = pick(found, chosen, uniform[: len(chosen)])
    assert torch.equal(cell[picked], found.cell[chosen])
    assert torch.equal(shower[picked], found.shower[chosen])


def test_probabilities_of_being_hit_sum_to_the_hits() -> None:
    cell = torch.tensor([0] * 60 + [1] * 25 + [2] * 10 + [3] * 4 + [4])
    found = find_candidates(torch.zeros_like(cell), cell, 1)
    probability = inclusion(found, torch.tensor([3]))
    assert float(probability.sum()) == pytest.approx(3.0)
    rest = torch.tensor([10.0, 4.0, 1.0], dtype=torch.float64) / 15  # the first two are sure
    torch.testing.assert_close(probability, torch.cat([torch.ones(2, dtype=torch.float64), rest]))


# energies


@given(
    st.lists(st.lists(st.floats(0.5, 100), min_size=1, max_size=9), min_size=1, max_size=5),
    st.floats(0.05, 50),
)
def test_energies_sum_to_what_was_drawn_and_stay_above_the_threshold(
    hits: list[list[float]], factor: float
) -> None:
    counts = torch.tensor([len(h) for h in hits])
    energy = torch.tensor([e for h in hits for e in h], dtype=torch.float64)
    shower = torch.arange(len(hits)).repeat_interleave(counts)
    have = torch.zeros(len(hits), dtype=torch.float64).index_add(0, shower, energy)
    new = share_energy(energy, shower, factor * have, floor=0.25)
    sums = torch.zeros_like(have).index_add(0, shower, new.double())
    torch.testing.assert_close(sums, (factor * have).maximum(counts * 0.25), rtol=1e-6, atol=0)
    assert bool((new >= 0.25).all())


# lattice


def test_lattices_are_normal_and_more_even_than_chance() -> None:
    shift = torch.rand(200, 4, generator=generator(), dtype=torch.float64)
    counts = torch.full((200,), 500)
    points = lattice_normal(shift, counts)
    assert points.shape == (100_000, 4)
    torch.testing.assert_close(points.mean(0), torch.zeros(4), atol=0.01, rtol=0)
    torch.testing.assert_close(points.T.cov(), torch.eye(4), atol=0.02, rtol=0)
    inside = ((points > 0).sum(1) == 4).double().reshape(200, 500).mean(1)
    assert float(inside.mean()) == pytest.approx(1 / 16, abs=0.002)
    assert float(inside.std()) < 0.85 * math.sqrt(1 / 16 * 15 / 16 / 500)
    few = lattice_normal(shift[:2], torch.tensor([3, 500]))
    assert torch.equal(few[3:], points[500:1000])


# the model


def test_showers_are_different_cells_with_the_drawn_energy(data: TrainingData, siw: Geometry) -> None:
    model = model_of(data)
    particles = particles_of(torch.linspace(1e4, 1e5, 30, dtype=torch.float64))
    noise = StreamNoise(1, np.arange(30))
    with torch.no_grad():
        cells = model.sample(particles, noise)
        _, wanted, visible = model._showers(particles, noise)
    assert torch.equal(cells.counts, wanted)
    sums = torch.zeros(30, dtype=torch.float64).index_add(0, cells.index, cells.energy.double())
    torch.testing.assert_close(sums, visible, rtol=1e-5, atol=0)
    assert float(cells.energy.min()) >= siw.threshold * (1 - 1e-6)
    assert 0 <= int(cells.cell.min()) <= int(cells.cell.max()) < siw.n_cells
    assert bool(((cells.index * siw.n_cells + cells.cell).diff() > 0).all())


def test_a_shower_of_few_points_has_all_their_cells(data: TrainingData) -> None:
    model = model_of(data, "model.sampler.draws=20")
    with torch.no_grad():
        cells = model.sample(particles_of(torch.tensor([9e4]).double()), StreamNoise(1, np.arange(1)))
    assert 10 < int(cells.counts) == len(cells.cell) <= 20


@pytest.mark.parametrize(
    "options", [{"weights": "density"}, {"placement": "gumbel"}, {"noise": "lattice", "draws_per_hit": 30}]
)
def test_samplers_can_be_changed_in_a_trained_model(data: TrainingData, options: dict[str, object]) -> None:
    simulator = Simulator(model_of(data), TrainedRange(energy=(1e4, 1e5), theta=0.001, particles=(22,)))
    changed = simulator.with_sampler(**options)
    first, other = (s.sample(Incident.of([5e4] * 4), seed=1) for s in (simulator, changed))
    np.testing.assert_array_equal(first.n_hits, other.n_hits)
    assert not np.array_equal(first.cells, other.cells)


def test_the_direct_density_is_not_projected(data: TrainingData, siw: Geometry) -> None:
    model = model_of(data)
    particles = particles_of(torch.full((8,), 5e4, dtype=torch.float64))
    with torch.no_grad():
        cloud = model.direct(particles, StreamNoise(1, np.arange(8)))
        _, wanted, _ = model._showers(particles, StreamNoise(1, np.arange(8)))
    assert torch.equal(cloud.counts, wanted)
    x, y, layer, _ = cloud.points.double().numpy().T
    cell = siw.find_cells(x, y, layer.astype(np.int64))
    shower = np.repeat(np.arange(8), cloud.counts)
    assert len(np.unique(shower * siw.n_cells + cell)) < len(cell)  # several in one cell
    assert not np.allclose(siw.cell_positions[cell, 0], x, atol=0.1)


def test_the_loss_is_the_bound_per_hit(data: TrainingData) -> None:
    model = model_of(data)
    batch = batch_of(data, size=20)
    with torch.no_grad():
        terms = model.loss(batch, turn="elbo", rng=generator())
        many = model_of(data, "model.recon_points=0").loss(batch, turn="elbo", rng=generator())
    total = terms["recon"] + terms["prior"] + terms["entropy"]
    torch.testing.assert_close(terms["loss"], total)
    torch.testing.assert_close(terms["prior"], many["prior"])
    assert float(terms["recon"]) == pytest.approx(float(many["recon"]), abs=0.1)
    assert float(terms["recon"]) != float(many["recon"])


def test_a_batch_without_cells_is_refused(data: TrainingData) -> None:
    batch = data.batch(data.rows("train")[:3], points=0, rng=np.random.default_rng(0))
    with pytest.raises(ValueError, match="cells=True"):
        model_of(data).loss(batch, turn="elbo", rng=generator())
