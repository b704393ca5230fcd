"""Models of independent points against hand computations."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pytest
import torch

from caloforge.diffusion import karras_sigmas
from caloforge.errors import DataError
from caloforge.models import Batch, ModelConfig
from caloforge.models.assembly import (
    count_by_layer,
    depth_order,
    recentre,
    rescale,
    rows_of,
    thinned,
    whole_counts,
)
from caloforge.models.bounds import Bounds
from caloforge.models.clouds import caloclouds2_cm
from caloforge.models.clouds.calibration import HitCalibration
from caloforge.models.clouds.caloclouds import CaloClouds, CaloCloudsConfig
from caloforge.models.clouds.caloclouds2 import CaloClouds2, CaloClouds2Config
from caloforge.models.clouds.caloclouds2_cm import CaloClouds2CM, CaloClouds2CMConfig
from caloforge.models.clouds.point_cloud import PointCloudConfig, PointCloudModel, PointRows
from caloforge.models.noise import StreamNoise
from caloforge.preprocessing import Conditions, Summary
from toy_training import particles_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from torch import Tensor

    from caloforge.geometry import Geometry
    from caloforge.models import Stage
    from caloforge.models.base import Noise
    from caloforge.showers import Showers

FLOW = {"blocks": 1, "couplings": 1, "hidden": (8,), "spline_hidden": (8,)}
SMALL: dict[str, Any] = {"shower_flow": FLOW, "points": {"hidden": (8,)}}


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


# assembly


def test_points_are_thinned_evenly() -> None:
    """Of ten points of a layer every second is kept, of nine every third, of four all that there are."""
    kept, group = thinned(torch.tensor([[10, 9], [4, 0]]), torch.tensor([[5, 3], [7, 2]]))
    mask = kept.tolist()
    assert group.tolist() == [0] * 5 + [1] * 3 + [2] * 4
    assert mask[:10] == [False, True] * 5
    assert mask[10:19] == [False, False, True] * 3
    assert mask[19:] == [True] * 4


@pytest.mark.parametrize(("drawn", "kept"), [(100, 37), (1000, 3), (51, 50)])
def test_thinning_leaves_the_mean_place(drawn: int, kept: int) -> None:
    mask, _ = thinned(torch.tensor([[drawn]]), torch.tensor([[kept]]))
    places = mask.nonzero()[:, 0].double()
    gaps = places.diff()
    assert float(gaps.max() - gaps.min()) <= 1
    assert float(places.mean()) == pytest.approx(drawn / 2, abs=drawn / (2 * kept) + 0.5)


def test_points_rise_in_depth_in_every_shower() -> None:
    index, depth = torch.tensor([0, 1, 0, 1, 0]), torch.tensor([2.0, 0.5, 1.0, 7.0, 3.0])
    assert depth_order(index, depth).tolist() == [2, 0, 4, 1, 3]


def test_rounded_counts_by_hand() -> None:
    assert whole_counts(torch.tensor([[0.4, 0.4, 0.4, 1.4]])).tolist() == [[0, 1, 0, 2]]


def test_energy_of_layers_without_points_goes_to_the_others_by_their_share() -> None:
    """Layers want 6, 2 and 4 MeV; there are no points in the last: 9 and 3 MeV for the first two."""
    energy, group = torch.tensor([1.0, 2.0, 5.0]), torch.tensor([0, 0, 1])
    found = rescale(energy, group, torch.tensor([[2, 1, 0]]), torch.tensor([[6.0, 2.0, 4.0]]))
    assert found.tolist() == pytest.approx([3.0, 6.0, 3.0])


def test_energy_without_any_wanted_layer_goes_by_numbers_of_points() -> None:
    energy, group = torch.tensor([1.0, 1.0, 5.0]), torch.tensor([0, 0, 1])
    found = rescale(energy, group, torch.tensor([[2, 1, 0]]), torch.tensor([[0.0, 0.0, 9.0]]))
    assert found.tolist() == pytest.approx([3.0, 3.0, 3.0])


def test_points_without_energy_share_that_of_their_layer() -> None:
    energy, group = torch.tensor([0.0, 0.0, 5.0]), torch.tensor([0, 0, 1])
    found = rescale(energy, group, torch.tensor([[2, 1]]), torch.tensor([[6.0, 2.0]]))
    assert found.tolist() == pytest.approx([3.0, 3.0, 2.0])


def test_shifts_by_hand() -> None:
    """3 MeV at x = 1 mm and 1 MeV at x = 5 mm lie at 2 mm; they are wanted at 2.5 mm, and at y = -1 mm."""
    lateral, energy = torch.tensor([[1.0, 0.0], [5.0, 0.0]]), torch.tensor([3.0, 1.0])
    index, centre = torch.tensor([0, 0]), torch.tensor([[2.5, -1.0, 7.0]])
    found = recentre(lateral, energy, index, centre, core=0.0)
    np.testing.assert_allclose(found, [[0.5, -1.0], [0.5, -1.0]], atol=1e-6)
    # with a core of 2 mm the inner point has half of the weight: 3 / 2 + 1 MeV can be moved
    found = recentre(lateral, energy, index, centre, core=2.0)
    np.testing.assert_allclose(found[1], np.array([0.5, -1.0]) * 4 / 2.5, rtol=1e-5)
    np.testing.assert_allclose(found[0], 0.5 * found[1], rtol=1e-5)


def test_slopes_are_tangents() -> None:
    theta, phi = math.radians(40), math.radians(110)
    direction = math.sin(theta) * torch.tensor([[math.cos(phi), math.sin(phi)]])
    expected = [math.tan(theta) * math.cos(phi), math.tan(theta) * math.sin(phi)]
    slope = particles_of(torch.ones(len(direction)), direction).slope
    assert slope[0].tolist() == pytest.approx(expected, rel=1e-5)


# bounds


def bounds(*energies: float) -> Bounds:
    conditions = Conditions()
    conditions.fit(particles_of(torch.tensor([1e4, 1e5]).double()))
    return Bounds.of("toy", torch.tensor(energies, dtype=torch.float64), conditions)


def test_bounds_grow_with_the_energy_above_the_trained_ones() -> None:
    """Three times the largest number inside of the range, in proportion above it."""
    counts = torch.full((3,), 1e6, dtype=torch.float64)
    found = bounds(5e4, 1e5, 1.5e5).points(counts, 1000.0)
    assert found.tolist() == pytest.approx([3000.0, 3000.0, 4500.0])
    kept = torch.tensor([2999.0, 2999.0, 4499.0])
    assert torch.equal(bounds(5e4, 1e5, 1.5e5).points(kept, 1000.0), kept)


def test_energies_within_a_factor_of_two_are_not_far() -> None:
    counts = torch.full((2,), 1e6, dtype=torch.float64)
    assert float(bounds(5.1e3, 1.9e5).points(counts, 1000.0).min()) == pytest.approx(3000.0)
    for energy in (4.9e3, 2.1e5):
        with pytest.raises(DataError, match="want more"):
            bounds(5e4, energy).points(counts, 1000.0)


def test_visible_energies_end_at_ten_times_the_particle_s() -> None:
    layers = torch.tensor([[6e5, 2e5], [1e3, 1e3]])
    found = bounds(5e4, 5e4).visible(layers, sampling_fraction=1.0)
    np.testing.assert_allclose(found, [[3.75e5, 1.25e5], [1e3, 1e3]], rtol=1e-6)
    assert torch.equal(bounds(5e4, 5e4).visible(layers, sampling_fraction=0.1), layers)


# whole models


class Ladder(PointCloudModel):
    """Points at depths that x tells; nothing is corrected."""

    name: ClassVar[str] = "ladder"
    config_class: ClassVar[type[ModelConfig]] = PointCloudConfig

    def stages(self) -> Sequence[Stage]:
        return ()

    def loss(self, batch: Batch, *, turn: str, rng: torch.Generator) -> dict[str, Tensor]:
        raise NotImplementedError

    def _features(self, condition: Tensor, summary: Summary, counts: Tensor, noise: Noise) -> Tensor:
        del condition, summary
        depth = noise.uniform("depth", counts, 1)[:, 0].float()
        ones = torch.ones_like(depth)
        return torch.stack([depth, 0 * ones, 2 * depth - 1, ones], dim=1)

    def _corrected(self, rows: PointRows, summary: Summary) -> tuple[Tensor, Tensor]:
        del summary
        return rows.points[:, :2], rows.points[:, 3]


def test_deep_points_get_deep_layers_and_the_axis_of_their_particle(
    siw: Geometry, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = PointCloudConfig.model_validate({"shower_flow": FLOW, "conditions": {"angles": True}})
    torch.manual_seed(0)
    model = Ladder(config, siw, content="layers")
    counts = torch.poisson(torch.full((50, 30), 20.0), generator=rng())
    summary = Summary(counts, counts.clone(), torch.zeros(50, 3))
    energy, direction = torch.linspace(1e4, 1e5, 50).double(), torch.zeros(50, 2)
    direction[0, 0] = 0.3
    model.prepare(Batch(particles_of(energy, direction), summary, points=torch.ones(50, 3, 4)), rng())
    noise = StreamNoise(0, np.arange(2))
    monkeypatch.setattr(
        model.shower_flow, "sample", lambda *_: Summary(counts[:2], counts[:2], summary.centre)
    )
    way = torch.tensor([[0.0, 0.0], [0.1, -0.2]])
    particles = particles_of(torch.full((2,), 5e4).double(), way)
    with torch.no_grad():
        cloud = model.sample(particles, noise)
    index = rows_of(cloud.counts)
    layer = cloud.points[:, 2]
    axis = particles.slope[index] * torch.tensor(siw.layer_z)[layer.long()][:, None]
    upright = cloud.points[:, :2] - axis
    for shower in (0, 1):
        rows = index == shower
        depth, place = upright[rows, 0], layer[rows]
        order = depth.argsort()
        assert bool((place[order].diff() >= 0).all())
        assert len(place.unique()) == 30
    assert float(upright[:, 1].abs().max()) < 1e-3


def test_the_mean_scale_is_that_of_all_points(
    siw: Geometry, make_toy_showers: Callable[..., Showers], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the log of a calibration tells: points that are drawn over those of Geant4."""
    config = PointCloudConfig.model_validate({"shower_flow": FLOW, "calibration_rounds": 1})
    model = Ladder(config, siw, content="layers")
    block = replace(make_toy_showers(20), extras={"index": np.arange(20)})
    counts = count_by_layer(block, siw)
    summary = Summary(counts.float(), counts.float(), torch.zeros(20, 3))
    energy = torch.tensor(block.incident.energy)
    model.prepare(Batch(particles_of(energy), summary, points=torch.ones(20, 3, 4)), rng())
    monkeypatch.setattr(model.shower_flow, "sample", lambda *_: summary)
    found = model.fit_stage("calibration", lambda: [block], seed=1)
    expected = float(model.calibration(counts).sum() / counts.sum())
    assert found["mean_scale"] == pytest.approx(expected)
    assert found["showers"] == 20
    assert 0.05 <= expected <= 1.0


def batch_of_points(siw: Geometry, total: float) -> Batch:
    counts = torch.full((8, 30), total / 30)
    summary = Summary(counts, counts.clone(), torch.zeros(8, 3))
    points = torch.rand(8, 6, 4, generator=rng())
    return Batch(particles_of(torch.linspace(1e4, 1e5, 8).double()), summary, points=points)


def test_the_point_network_is_told_the_number_of_points(
    siw: Geometry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From 0 to 6000 points, the published largest number, to -1 to 1."""
    model, seen = CaloClouds2(CaloClouds2Config.model_validate(SMALL), siw), []
    batch = batch_of_points(siw, 4500.0)
    model.prepare(batch, rng())

    def record(_: Tensor, condition: Tensor, __: torch.Generator) -> dict[str, Tensor]:
        seen.append(condition)
        return {"loss": condition.sum()}

    monkeypatch.setattr(model.points, "loss", record)
    model.loss(batch, turn="points", rng=rng())
    assert seen[0][:, 1].tolist() == pytest.approx([0.5] * 8)
    assert seen[0][[0, -1], 0].tolist() == pytest.approx([-1.0, 1.0])


def test_the_shower_flow_is_trained_by_its_density_per_feature(siw: Geometry) -> None:
    torch.manual_seed(0)
    model = CaloClouds2(CaloClouds2Config.model_validate(SMALL), siw)
    batch = batch_of_points(siw, 900.0)
    model.prepare(batch, rng())
    found = model.loss(batch, turn="shower_flow", rng=rng())["loss"]
    condition = model.conditions(batch.particles)
    target = model.shower_flow.transform(batch.summary, condition, rng())
    expected = -model.shower_flow.flow.log_prob(target, condition).mean() / 65
    torch.testing.assert_close(found, expected)


def test_distillation_steps_down_from_one_level_to_the_next(
    siw: Geometry, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, seen = CaloClouds2CM(CaloClouds2CMConfig.model_validate({**SMALL, "levels": 7}), siw), []
    batch = batch_of_points(siw, 900.0)
    model.prepare(batch, rng())
    model.begin_stage("distillation")

    def record(teacher: object, x: Tensor, noise: Tensor, upper: Tensor, lower: Tensor) -> Any:
        del teacher, noise
        seen.append((upper.flatten(), lower.flatten()))
        return x, x

    monkeypatch.setattr(caloclouds2_cm, "consistency_pair", record)
    for seed in range(20):
        model.loss(batch, turn="student", rng=rng(seed))
    upper, lower = (torch.cat(column).double() for column in zip(*seen, strict=True))
    levels = karras_sigmas(7, sigma_min=0.002, sigma_max=80.0)
    place = (upper[:, None] / levels - 1).abs().argmin(1)
    assert set(place.tolist()) == set(range(6))
    torch.testing.assert_close(upper, levels[place], rtol=1e-4, atol=0)
    torch.testing.assert_close(lower, levels[place + 1], rtol=1e-4, atol=0)


def test_distillation_is_the_square_of_the_distance_to_the_target(
    siw: Geometry, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = CaloClouds2CM(CaloClouds2CMConfig.model_validate(SMALL), siw)
    batch = batch_of_points(siw, 900.0)
    model.prepare(batch, rng())
    model.begin_stage("distillation")
    monkeypatch.setattr(caloclouds2_cm, "consistency_pair", lambda _, x, *__: (x, x))
    said = {"student": 3.0, "target": 1.0}
    for role, value in said.items():
        network, ones = model.trainees[role], torch.ones(8, 6, 4)
        monkeypatch.setattr(network, "denoise", lambda *_, v=value, x=ones, **__: v * x)
    assert float(model.loss(batch, turn="student", rng=rng())["loss"]) == pytest.approx(4.0)


def test_the_latent_flow_is_trained_by_its_density_a_number(siw: Geometry) -> None:
    """Standard normal vectors under a flow that does nothing: (1 + ln 2 pi) / 2."""
    encoder = {"width": 8, "latent": 4, "layers": 1}
    config = {**SMALL, "encoder": encoder, "latent_flow": {"transforms": 2}}
    model = CaloClouds(CaloCloudsConfig.model_validate(config), siw)
    with torch.no_grad():
        for module in (model.encoder.mean, model.encoder.log_variance):
            for name, parameter in module.named_parameters():
                parameter.fill_(1.0 if "original1" in name else 0.0)
        for parameter in model.latent_flow.parameters():
            parameter.zero_()
    batch = batch_of_points(siw, 900.0)
    summary = Summary(batch.summary.counts, batch.summary.energies.sum(1, keepdim=True), torch.zeros(8, 0))
    batch = Batch(batch.particles, summary, points=batch.points)
    model.prepare(batch, rng())
    losses = [float(model.loss(batch, turn="latent_flow", rng=rng(k))["loss"].detach()) for k in range(30)]
    assert float(np.mean(losses)) == pytest.approx(0.5 * (1 + math.log(2 * math.pi)), rel=0.05)


@pytest.mark.parametrize(("free", "expected"), [(0.0, 2.0), (1.0, 2.0), (50.0, 50.0)])
def test_the_divergence_counts_as_what_is_free_at_least(siw: Geometry, free: float, expected: float) -> None:
    """A posterior with mean 1 in four directions and unit width: 2 nats."""
    encoder = {"width": 8, "latent": 4, "layers": 1, "weight": 0.5, "free": free}
    config = {**SMALL, "encoder": encoder, "latent_flow": {"transforms": 2}}
    model = CaloClouds(CaloCloudsConfig.model_validate(config), siw)
    for layer, value in ((model.encoder.mean, 1.0), (model.encoder.log_variance, 0.0)):
        with torch.no_grad():
            for name, parameter in layer.named_parameters():
                parameter.fill_(value if "bias" in name else 0.0 if "original0" in name else 1.0)
    batch = batch_of_points(siw, 900.0)
    summary = Summary(batch.summary.counts, batch.summary.energies.sum(1, keepdim=True), torch.zeros(8, 0))
    batch = Batch(batch.particles, summary, points=batch.points)
    model.prepare(batch, rng())
    terms = model.loss(batch, turn="points", rng=rng())
    assert float(terms["divergence"].detach()) == pytest.approx(2.0, rel=1e-5)
    added = float((terms["loss"] - terms["noise_error"]).detach())
    assert added == pytest.approx(0.5 * expected, rel=1e-4)


def test_a_calibration_asks_for_more_points_where_too_few_cells_are_lit() -> None:
    """Geant4 lights half of its points, the model nine tenths: after one round fewer are drawn."""
    points = torch.linspace(100, 2000, 60)[:, None].double()
    calibration = HitCalibration("total", 1)
    calibration.fit(points, 0.5 * points, points, 0.9 * points)
    scale = calibration(points)[:, 0] / points[:, 0]
    assert float(scale.mean()) == pytest.approx((0.5 / 0.9) ** 1.3, rel=1e-3)
    calibration.fit(points, 0.5 * points, points, 0.5 * points)
    torch.testing.assert_close(calibration(points)[:, 0] / points[:, 0], scale)
