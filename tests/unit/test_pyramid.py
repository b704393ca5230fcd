"""The Calorimeter Pyramid: clusters, contexts, distinct cells, energies that add up."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch

from caloforge.errors import ConfigError, DataError, GeometryError
from caloforge.geometry import load_geometry
from caloforge.geometry.clusters import find_clusters
from caloforge.models import Particles
from caloforge.models.noise import StreamNoise
from caloforge.models.pyramid.choice import ChoiceFlow
from caloforge.models.pyramid.flow_totals import FlowTotals
from caloforge.models.pyramid.left_over import LeftOver
from caloforge.models.pyramid.sets import SetHits
from caloforge.models.pyramid.side import common_share
from caloforge.models.pyramid.tree import Parents, PyramidTree
from caloforge.nn import ConditionerConfig, SetContext, SplineFlowConfig, top_k_mask
from caloforge.nn.lookup import find_rows
from caloforge.preprocessing.quantiles import QuantileTransform
from caloforge.showers import Incident
from caloforge.simulator import Simulator, TrainedRange
from toy_training import batch_of, prepared

if TYPE_CHECKING:
    from caloforge.geometry import Geometry
    from caloforge.models.pyramid.model import Pyramid
    from caloforge.training import TrainingData

INCIDENT = Incident.of(np.linspace(1e4, 1e5, 24))


@pytest.fixture(scope="module")
def model(data: TrainingData) -> Pyramid:
    built = prepared("pyramid", data)
    assert built.name == "pyramid"
    return built  # type: ignore[return-value]


@pytest.fixture(scope="module")
def poster(data: TrainingData) -> Pyramid:
    """Hits as sets: the stages of the poster."""
    return prepared("pyramid", data, preset="sets")  # type: ignore[return-value]


@pytest.mark.parametrize(
    ("name", "block", "size"), [("siw-ecal", 5, 25), ("siw-ecal", 3, 9), ("cylinder-ds2", 1, 16)]
)
def test_clusters_partition_the_cells(name: str, block: int, size: int) -> None:
    geometry = load_geometry(name)
    clusters = find_clusters(geometry, block)
    assert clusters.size == size
    np.testing.assert_array_equal(np.sort(clusters.cells.ravel()), np.arange(geometry.n_cells))
    np.testing.assert_array_equal(
        clusters.cells[clusters.cluster, clusters.place], np.arange(geometry.n_cells)
    )
    layers = geometry.cell_layer[clusters.cells]
    assert (layers == layers[:, :1]).all()


@pytest.mark.parametrize("name", ["siw-ecal", "cylinder-ds2"])
def test_clusters_of_a_kind_look_alike_from_the_axis(name: str) -> None:
    geometry = load_geometry(name)
    clusters = find_clusters(geometry, 5)
    radius = np.linalg.norm(geometry.cell_positions[:, :2], axis=1)[clusters.cells]
    kinds = np.tile(clusters.kind, geometry.n_layers)
    for kind in range(clusters.n_kinds):
        np.testing.assert_allclose(np.ptp(radius[kinds == kind], axis=0), 0, atol=1e-4)


def test_neighbours_of_clusters_lie_in_front_behind_and_beside() -> None:
    geometry = load_geometry("siw-ecal")
    clusters = find_clusters(geometry, 5)
    middle = geometry.cell_positions[clusters.cells].mean(axis=1)
    expected = ((0, -1), (0, 1), (1, 0), (-1, 0), (1, 0), (-1, 0))
    for column, (outwards, deeper) in zip(clusters.around.T, expected, strict=True):
        there = column >= 0
        step = middle[column[there]] - middle[there]
        if deeper:
            assert (np.sign(step[:, 2]) == deeper).all()
            np.testing.assert_allclose(step[:, :2], 0, atol=1e-4)
        else:
            radial = np.linalg.norm(middle[column[there], :2], axis=1) - np.linalg.norm(
                middle[there, :2], axis=1
            )
            # a block at the axis has its mirror image on the inner side
            assert (radial * outwards > -1e-4).all()
            np.testing.assert_allclose(np.linalg.norm(step[:, :2], axis=1), 5 * 5.09, rtol=1e-2)


def test_clusters_need_a_block_that_fits_and_one_grid() -> None:
    with pytest.raises(ConfigError, match="block"):
        find_clusters(load_geometry("siw-ecal"), 7)
    with pytest.raises(GeometryError, match="the same grid in every layer"):
        find_clusters(load_geometry("calochallenge-1-photons"), 5)


def test_find_rows_tells_what_is_absent() -> None:
    keys = torch.tensor([2, 5, 9])
    rows = find_rows(keys, torch.tensor([[5, -1], [9, 10], [2, 3]]))
    assert rows.tolist() == [[1, 3], [2, 3], [0, 3]]
    assert find_rows(keys[:0], torch.tensor([1, 2])).tolist() == [0, 0]


def test_quantiles_make_normal_numbers_and_come_back() -> None:
    rng = torch.Generator().manual_seed(0)
    values = torch.rand(20_000, generator=rng).pow(3) + 0.1
    transform = QuantileTransform()
    transform.fit(values)
    target = transform(values)
    assert abs(float(target.mean())) < 0.02
    assert float(target.std()) == pytest.approx(1.0, abs=0.02)
    torch.testing.assert_close(transform.inverse(target), values, rtol=1e-3, atol=1e-3)
    ends = transform.inverse(torch.tensor([-50.0, 50.0]))
    torch.testing.assert_close(ends, torch.stack([values.min(), values.max()]), rtol=1e-2, atol=1e-2)


def test_the_tree_finds_parents_and_patterns(siw: Geometry) -> None:
    tree = PyramidTree(siw, 5)
    cells = [torch.tensor([0, 1, 31, 899, 900]), torch.tensor([26_999])]
    hits = Parents(torch.tensor([0] * 5 + [1]), torch.cat(cells), torch.tensor([5, 1]))
    clusters, places = tree.hit_clusters(hits)
    assert clusters.per_shower.tolist() == [3, 1]
    assert places.sum(1).tolist() == [3, 1, 1, 1]
    back = tree.cells[clusters.number[:, None], torch.arange(tree.size)][places]
    assert sorted(back.tolist()) == sorted(hits.number.tolist())
    layers, pattern = tree.hit_layers(clusters)
    assert layers.number.tolist() == [0, 1, 29]
    assert layers.shower.tolist() == [0, 0, 1]
    assert pattern.sum(1).tolist() == [2, 1, 1]
    assert tree.layer_pattern(layers).sum(1).tolist() == [2, 1]


def test_contexts_see_the_stage_above(siw: Geometry) -> None:
    tree = PyramidTree(siw, 5)
    number = torch.tensor([14, 14 + 36, 20 + 36])  # one above the other, and one beside the second
    clusters = Parents(torch.zeros(3, dtype=torch.int64), number, torch.tensor([3]))
    totals = (torch.full((1, 30), 4.0), torch.full((1, 30), 20.0))
    context = tree.cluster_context(clusters, totals, torch.zeros(1, 1))
    assert context.own is not None
    assert context.own.shape == (3, tree.cluster_features)
    assert context.neighbours is not None
    front, behind = context.neighbours[:, 0].tolist(), context.neighbours[:, 1].tolist()
    assert front == [3, 0, 3]
    assert behind == [1, 3, 3]
    lateral = {i for i in context.neighbours[1, 2:].tolist() if i < 3}
    assert lateral == {2}


@pytest.mark.parametrize("kind", ["model", "poster"])
def test_no_cell_is_hit_twice_and_groups_have_their_hits(
    kind: str, siw: Geometry, request: pytest.FixtureRequest
) -> None:
    model: Pyramid = request.getfixturevalue(kind)
    particles = Particles.of(INCIDENT)
    with torch.no_grad():
        cells = model.sample(particles, StreamNoise(1, np.arange(24)))
        condition = model.conditions(particles)
        counts, _ = model.hits.draw_totals(particles.energy, condition, StreamNoise(1, np.arange(24)))
    shower, cell = cells.index.numpy(), cells.cell.numpy()
    assert ((cell >= 0) & (cell < siw.n_cells)).all()
    assert (np.diff(shower * siw.n_cells + cell) > 0).all()
    assert (cells.energy.numpy() >= np.float32(siw.threshold)).all()
    found = np.zeros(tuple(counts.shape))
    np.add.at(found, (shower, model.energies.group.numpy()[cell]), 1)
    if kind == "model":
        np.testing.assert_array_equal(found, counts.numpy())
    else:  # the flows of rings and blocks follow the numbers of hits roughly
        np.testing.assert_array_equal(found > 0, counts.numpy() > 0)


def test_totals_follow_the_pattern_and_the_showers(poster: Pyramid, data: TrainingData) -> None:
    model, batch = poster, batch_of(data)
    assert isinstance(model.hits, SetHits)
    hits, energy = model._hits_of(batch)
    counts, energies = model.energies.sums(hits, energy)
    totals = FlowTotals(model.hits.config.totals, data.geometry.n_layers, data.geometry.threshold, 1)
    condition = model.conditions(batch.particles)
    totals.fit(counts, energies, condition, torch.Generator().manual_seed(0))
    with torch.no_grad():
        drawn, sums = totals.sample(counts > 0, condition, StreamNoise(0, np.arange(len(counts))))
    assert torch.equal(drawn > 0, counts > 0)
    assert torch.equal(drawn, drawn.round())
    assert bool((sums >= drawn * data.geometry.threshold).all())
    # an untrained flow is nearly the identity: the whitening alone gives the right scale
    assert float(drawn.sum()) == pytest.approx(float(counts.sum()), rel=0.3)
    assert float(sums.sum()) == pytest.approx(float(energies.sum()), rel=0.3)


def test_energies_of_regions_are_those_asked_for(model: Pyramid, data: TrainingData) -> None:
    hits, _ = model._hits_of(batch_of(data, size=8))
    counts, _ = model.energies.sums(hits, torch.ones(len(hits.number)))
    wanted = counts * (data.geometry.threshold + 2.0)
    with torch.no_grad():
        condition = torch.zeros(8, 1)
        side, noise = torch.full((8, 2), 0.3), StreamNoise(0, np.arange(8))
        energy = model.energies.sample(hits, wanted, condition, side, noise)
    torch.testing.assert_close(model.energies.sums(hits, energy)[1], wanted, rtol=1e-4, atol=1e-4)


def test_cells_see_the_energies_that_came_before(model: Pyramid, data: TrainingData) -> None:
    """The cells around one have other colours; those before are its conditions, those behind are not."""
    energies = model.energies
    around, colour = energies.around, energies.colour
    inside = around >= 0
    assert around.shape[1] == 12  # beside, diagonal, one and two layers on
    assert bool((colour[around.clamp_min(0)] != colour[:, None])[inside].all())
    hits, energy = model._hits_of(batch_of(data, size=8))
    step = colour[hits.number]
    known = energies._known(hits, step, energies.sums(hits, energy))
    left = LeftOver(torch.ones(len(step)), torch.ones(len(step)))
    all_seen = known.own(left, torch.ones(len(step)))
    for last in range(4):
        seen = known.own(left, (step < last).float())
        assert torch.equal(seen[step <= last], all_seen[step <= last])
        assert torch.equal(seen, all_seen) == (last == 3)


def test_tilts_move_the_centre_of_gravity_and_keep_the_layers(poster: Pyramid, data: TrainingData) -> None:
    model = poster
    side, batch = copy.deepcopy(model.energies.side), batch_of(data, size=30)
    hits, energy = model._hits_of(batch)
    condition = model.conditions(batch.particles)
    side.common.fill_(0.3)
    latent = torch.tensor([[0.5, 0.0]]).expand(30, 2)
    moved = side.tilted(hits, energy, latent, condition)
    for before, after in zip(*(model.energies.sums(hits, e) for e in (energy, moved)), strict=True):
        torch.testing.assert_close(before, after, rtol=1e-4, atol=1e-3)
    shift = side._moments(hits, moved).sum(1) - side._moments(hits, energy).sum(1)
    wanted = 0.5 * 0.3**0.5 * side._scale(condition)[:, 0]
    inside = side._tilt(hits, energy, latent, condition)[:, 0] < 0.4
    assert int(inside.sum()) > 20
    torch.testing.assert_close(shift[inside, 0], wanted[inside], rtol=0.15, atol=0.0)
    assert float(shift[:, 1].abs().mean()) < 0.2 * float(wanted.mean())


def test_parts_that_were_always_hit_are_hit() -> None:
    """Place 0: part 0 is hit from two parts on; place 1 has too few patterns to tell."""
    generator = torch.Generator().manual_seed(0)
    scores = torch.rand(1000, 4, generator=generator)
    scores[:, 0] += 1.0
    number = torch.randint(1, 4, (1000,), generator=generator)
    scores[number == 1, 0] -= 1.0
    hit = top_k_mask(scores, number)
    place = (torch.arange(1000) < 50).long()
    config = SplineFlowConfig(transforms=2, conditioner=ConditionerConfig(hidden=(8,)))
    choice = ChoiceFlow(config, 4, 1, shared=1, places=2)
    choice.fit(hit, None, place)
    # of four parts all four would be hit, but that was never seen
    assert choice.sure_from.tolist() == [[2, 5, 5, 5], [5, 5, 5, 5]]
    noise = torch.randn(1000, 5, generator=generator)
    with torch.no_grad():
        drawn = choice.sample(noise, None, place, SetContext(torch.zeros(1000, 1)))
    many = drawn.sum(1) >= 2
    assert bool(drawn[many & (place == 0), 0].all())
    assert not bool(drawn[many & (place == 1), 0].all())


@pytest.mark.parametrize("share", [0.0, 0.3, 0.8])
def test_what_far_layers_have_in_common(share: float) -> None:
    """One factor and noise of each layer: the factor's share of the variance of the sum is found."""
    generator = torch.Generator().manual_seed(1)
    size = torch.linspace(0.5, 2.0, 20, dtype=torch.float64)[:, None]
    factor = torch.randn(20_000, 1, 2, generator=generator, dtype=torch.float64)
    own = torch.randn(20_000, 20, 2, generator=generator, dtype=torch.float64)
    common = (share * size.square().sum() / (1 - share)).sqrt() / size.sum() * size
    assert float(common_share(common * factor + size * own)) == pytest.approx(share, abs=0.03)


def test_the_side_of_a_shower_is_normally_distributed(model: Pyramid, data: TrainingData) -> None:
    batch = batch_of(data)
    hits, energy = model._hits_of(batch)
    condition = model.conditions(batch.particles)
    draws = [
        model.energies.side.latent(hits, energy, condition, torch.Generator().manual_seed(seed))
        for seed in range(50)
    ]
    latent = torch.stack(draws)
    assert abs(float(latent.mean())) < 0.2
    assert float(latent.std()) == pytest.approx(1.0, abs=0.15)
    # toy showers are independent in all layers: nothing to have in common
    assert float(model.energies.side.common) < 0.3


def test_cells_cannot_be_moved(model: Pyramid) -> None:
    simulator = Simulator(model, TrainedRange((1e4, 1e5), 0.001, (22,)))
    with pytest.raises(DataError, match="leave out the offset"):
        simulator(INCIDENT[:2], seed=1, offset=(1.0, 0.0))
