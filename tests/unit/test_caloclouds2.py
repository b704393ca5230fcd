from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from caloforge.models import Particles
from caloforge.models.assembly import (
    count_by_layer,
    depth_order,
    recentre,
    rescale,
    thinned,
    to_showers,
    whole_counts,
)
from caloforge.models.clouds.calibration import HitCalibration
from caloforge.models.clouds.caloclouds2 import CaloClouds2
from caloforge.models.clouds.caloclouds2_cm import CaloClouds2CM
from caloforge.models.noise import StreamNoise
from caloforge.showers import Incident
from toy_training import prepared

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from caloforge.models import Cloud
    from caloforge.models.clouds.calibration import CalibrationKind
    from caloforge.preprocessing import Summary
    from caloforge.training import TrainingData

COUNTS = st.lists(st.lists(st.floats(0, 300), min_size=4, max_size=4), min_size=1, max_size=6)


@given(COUNTS)
def test_whole_counts_keep_totals(counts: list[list[float]]) -> None:
    wanted = torch.tensor(counts, dtype=torch.float64)
    whole = whole_counts(wanted)
    assert whole.dtype == torch.int64
    assert bool((whole >= 0).all())
    torch.testing.assert_close(whole.sum(1), wanted.sum(1).round().clamp_min(1).long())
    last = torch.zeros_like(whole)
    last[:, -1] = 1  # where a shower would be empty
    assert float((whole - wanted).abs().max()) < 1.0 or torch.equal(whole[wanted.sum(1) < 0.5], last[:1])


@given(COUNTS, st.integers(0, 10**6))
def test_rescaled_energies_sum_to_the_target(wanted: list[list[float]], seed: int) -> None:
    counts = whole_counts(torch.tensor(wanted) / 30)
    rng = torch.Generator().manual_seed(seed)
    target = torch.rand(counts.shape, generator=rng) * (torch.rand(counts.shape, generator=rng) > 0.3)
    group = torch.arange(counts.numel()).repeat_interleave(counts.flatten())
    energy = torch.rand(len(group), generator=rng) * (torch.rand(len(group), generator=rng) > 0.5)
    scaled = rescale(energy, group, counts, target)
    assert bool(scaled.isfinite().all())
    assert bool((scaled >= 0).all())
    sums = torch.zeros(counts.numel()).index_add(0, group, scaled).reshape(counts.shape)
    torch.testing.assert_close(sums.sum(1), target.sum(1))
    # layers share the energy of those without a point in proportion
    complete = ((counts > 0) | (target == 0)).all(1)
    torch.testing.assert_close(sums[complete], target[complete])
    kept = target * (counts > 0)
    torch.testing.assert_close(sums * kept.sum(1, keepdim=True), kept * sums.sum(1, keepdim=True))


def test_a_layer_whose_points_have_no_energy_shares_it_equally() -> None:
    counts = torch.tensor([[2, 0, 3]])
    group = torch.tensor([0, 0, 2, 2, 2])
    energy = torch.tensor([1.0, 3.0, 0.0, 0.0, 0.0])
    scaled = rescale(energy, group, counts, torch.tensor([[8.0, 4.0, 4.0]]))
    torch.testing.assert_close(scaled, torch.tensor([8 / 3, 8.0, 16 / 9, 16 / 9, 16 / 9]))


def test_energy_is_kept_when_only_layers_without_points_have_any() -> None:
    group = torch.tensor([0, 2, 2])
    scaled = rescale(torch.ones(3), group, torch.tensor([[1, 0, 2]]), torch.tensor([[0.0, 9.0, 0.0]]))
    torch.testing.assert_close(scaled, torch.full((3,), 3.0))


def test_centres_of_gravity_are_put_right() -> None:
    rng = torch.Generator().manual_seed(0)
    index = torch.tensor([0] * 5 + [1] * 9 + [3] * 4)
    lateral, energy = torch.randn(18, 2, generator=rng), torch.rand(18, generator=rng)
    centre = torch.randn(4, 3, generator=rng)
    moved = lateral + recentre(lateral, energy, index, centre, core=0.0)
    for shower in (0, 1, 3):
        rows = index == shower
        mean = (moved[rows] * energy[rows, None]).sum(0) / energy[rows].sum()
        torch.testing.assert_close(mean, centre[shower, :2])
        torch.testing.assert_close(moved[rows].diff(dim=0), lateral[rows].diff(dim=0))


def test_tail_makes_the_centre_of_gravity_while_the_core_stays() -> None:
    rng = torch.Generator().manual_seed(0)
    index = torch.tensor([0] * 40 + [1] * 40)
    lateral, energy = 20 * torch.randn(80, 2, generator=rng), torch.rand(80, generator=rng)
    lateral[::4] *= 1e-3  # a core
    centre = torch.tensor([[0.4, -0.2, 0.0], [0.0, 0.3, 0.0]])
    shift = recentre(lateral, energy, index, centre, core=10.0)
    for shower in (0, 1):
        rows = index == shower
        mean = ((lateral + shift)[rows] * energy[rows, None]).sum(0) / energy[rows].sum()
        torch.testing.assert_close(mean, centre[shower, :2])
    far = lateral.norm(dim=1) > 10
    assert float(shift[::4].norm(dim=1).max()) < 0.02 * float(shift[far].norm(dim=1).min())


@given(st.lists(st.tuples(st.integers(0, 40), st.integers(0, 40)), min_size=1, max_size=8))
def test_thinning_keeps_the_wanted_number_of_every_layer(layers: list[tuple[int, int]]) -> None:
    drawn, kept = (torch.tensor([column]) for column in zip(*layers, strict=True))
    mask, _ = thinned(drawn, kept)
    group = torch.arange(len(layers)).repeat_interleave(drawn[0])
    counts = torch.zeros(len(layers), dtype=torch.int64).index_add(0, group, mask.long())
    assert counts.tolist() == torch.minimum(drawn, kept)[0].tolist()


def test_points_are_sorted_by_shower_and_depth() -> None:
    index = torch.tensor([0, 0, 0, 1, 1])
    assert depth_order(index, torch.tensor([3.0, 1.0, 2.0, -5.0, -6.0])).tolist() == [1, 2, 0, 4, 3]


def polynomial(x: Tensor, coefficients: list[float]) -> Tensor:
    return torch.stack([c * x**k for k, c in enumerate(coefficients)]).sum(0)


def calibrated(
    kind: CalibrationKind, points: Tensor, real: Callable[[Tensor], Tensor], fake: Callable[[Tensor], Tensor]
) -> HitCalibration:
    calibration = HitCalibration(kind, points.shape[1])
    torch.testing.assert_close(calibration(points), points)
    for _ in range(12):
        calibration.fit(points, real(points), points, fake(calibration(points)))
    return calibration


def test_calibration_of_totals_finds_as_many_cells() -> None:
    points = torch.linspace(200, 3000, 400, dtype=torch.float64)[:, None]
    real = partial(polynomial, coefficients=[40.0, 0.3, -2e-5, 2e-9])
    fake = partial(polynomial, coefficients=[30.0, 0.5, -4e-5, 2e-9])
    calibration = calibrated("total", points, real, fake)
    torch.testing.assert_close(fake(calibration(points)), real(points), rtol=1e-2, atol=0)
    # outside of the fitted range the scale of its edge is kept
    far, edge = calibration(points[-1:] * 3), calibration(points[-1:])
    torch.testing.assert_close(far, 3 * edge, rtol=1e-3, atol=0)


def test_calibration_of_totals_scales_all_layers_alike() -> None:
    points = torch.linspace(200, 3000, 400, dtype=torch.float64)[:, None] * torch.tensor([[0.2, 0.5, 0.3]])
    calibration = calibrated("total", points, lambda n: 0.5 * n, lambda n: 0.8 * n)
    torch.testing.assert_close(calibration(points), points * 0.625, rtol=1e-3, atol=0)


def test_calibration_of_layers_has_a_scale_for_each() -> None:
    rng = torch.Generator().manual_seed(0)
    points = torch.poisson(torch.rand(500, 3, generator=rng, dtype=torch.float64) * 90 + 10, generator=rng)
    points[:, 2] = 0  # a layer that is never hit
    share = torch.tensor([0.5, 0.9, 0.9])
    calibration = calibrated("layers", points, lambda n: n * share, lambda n: n * 0.9)
    expected = points * torch.tensor([0.5 / 0.9, 1.0, 1.0])
    torch.testing.assert_close(calibration(points), expected, rtol=5e-3, atol=1e-6)


def untrained(data: TrainingData, *overrides: str, name: str = "caloclouds-2") -> CaloClouds2:
    model = prepared(name, data, *overrides)
    assert isinstance(model, CaloClouds2)
    return model


def summary_of(model: CaloClouds2, incident: Incident, seed: int, index: np.ndarray) -> Summary:
    with torch.no_grad():
        return model.shower_flow.sample(model.conditions(Particles.of(incident)), StreamNoise(seed, index))


def sample(model: CaloClouds2, incident: Incident, *, seed: int = 1, first: int = 0) -> Cloud:
    with torch.no_grad():
        return model.sample(Particles.of(incident), StreamNoise(seed, first + np.arange(len(incident))))


def test_showers_have_the_counts_and_energies_that_the_flow_assigned(data: TrainingData) -> None:
    model = untrained(data)
    incident = Incident.of(np.linspace(1e4, 1e5, 40))
    wanted = summary_of(model, incident, 1, np.arange(40))
    showers = to_showers(sample(model, incident), incident, data.geometry)
    counts = count_by_layer(showers, data.geometry)
    torch.testing.assert_close(counts.sum(1), wanted.counts.sum(1).double().round().clamp_min(1))
    assert float((counts - wanted.counts).abs().max()) <= 1.0
    np.testing.assert_allclose(showers.visible_energy, wanted.energies.sum(1), rtol=1e-4)
    layer = data.geometry.layer_of(showers.points[:, 2])  # type: ignore[index]
    energies = np.zeros((40, 30))
    np.add.at(energies, (showers.shower, layer), showers.energy)
    whole = ((counts > 0) | (wanted.energies == 0)).all(1).numpy()
    assert whole.sum() > 5
    np.testing.assert_allclose(energies[whole], wanted.energies[whole], rtol=1e-3, atol=1e-4)
    centres = np.stack(
        [np.bincount(showers.shower, showers.energy * showers.points[:, i]) for i in range(2)],
        axis=1,  # type: ignore[index]
    )
    np.testing.assert_allclose(centres / showers.visible_energy[:, None], wanted.centre[:, :2], atol=0.02)


@pytest.mark.parametrize("name", ["caloclouds-2", "caloclouds-2-cm"])
def test_no_shower_depends_on_its_neighbours(data: TrainingData, name: str) -> None:
    model = untrained(data, name=name)
    incident = Incident.of(np.linspace(1e4, 1e5, 12))
    together = sample(model, incident)
    assert bool((together.counts > 0).all())
    parts = [sample(model, incident[i : i + 1], first=i) for i in range(12)]
    same = 0
    for cloud, alone in zip(together.points.split(together.counts.tolist()), parts, strict=True):
        if len(cloud) == len(alone.points):  # a count may flip with rounding
            same += 1
            torch.testing.assert_close(cloud, alone.points, rtol=1e-3, atol=1e-3)
    assert same >= 11
    assert len(sample(model, incident[:0]).counts) == 0


class GivenNoise:
    """Numbers from given tensors, a stage each."""

    def __init__(self, tensors: dict[str, Tensor]) -> None:
        self.tensors = tensors

    def normal(self, stage: str, counts: Tensor | int, width: int) -> Tensor:
        tensor = self.tensors[stage]
        return tensor[: len(tensor) if isinstance(counts, int) else int(counts.sum()), :width]


def test_sampling_is_a_function_of_the_noise(data: TrainingData) -> None:
    model = untrained(data)
    particles = Particles.of(Incident.of([2e4, 5e4]))
    rng = torch.Generator().manual_seed(0)
    noise = {"shower-flow": torch.randn(2, 65, generator=rng), "points": torch.randn(5000, 4, generator=rng)}
    with torch.no_grad():
        first, again = (model.sample(particles, GivenNoise(noise)) for _ in range(2))
        noise["points"] = -noise["points"]
        other = model.sample(particles, GivenNoise(noise))
    assert torch.equal(first.points, again.points)
    assert torch.equal(first.counts, other.counts)
    assert not torch.equal(first.points, other.points)


def test_with_angles_the_cloud_follows_the_axis(data: TrainingData) -> None:
    model = untrained(data, "model.conditions.angles=true")
    incident = Incident.of(np.full(20, 5e4), theta=0.6, phi=np.linspace(0, 6, 20))
    wanted = summary_of(model, incident, 1, np.arange(20))
    cloud = sample(model, incident)
    shower = torch.arange(20).repeat_interleave(cloud.counts)
    slope = torch.from_numpy(incident.direction[:, :2] / incident.direction[:, 2:]).float()
    depth = torch.from_numpy(data.geometry.layer_z).float()[cloud.points[:, 2].long()]
    upright = cloud.points[:, :2] - slope[shower] * depth[:, None]
    energy = cloud.points[:, 3:]
    moments = torch.zeros(20, 2).index_add(0, shower, upright * energy)
    totals = torch.zeros(20, 1).index_add(0, shower, energy)
    torch.testing.assert_close(moments / totals, wanted.centre[:, :2], rtol=0, atol=0.05)


@pytest.mark.parametrize("kind", ["total", "layers"])
def test_calibrated_showers_light_as_many_cells_as_those_of_the_data(data: TrainingData, kind: str) -> None:
    model = untrained(data, f"model.calibration={kind}", "model.calibration_rounds=8")
    blocks = list(data.showers("train", block=30))
    numbers = model.fit_stage("calibration", lambda: blocks, seed=1)
    assert numbers["showers"] == 84
    _, hits = model._count(blocks)
    drafts = [model._draft(block, 1) for block in blocks]
    _, lit = model._count(model._imitations(drafts, blocks))
    # an untrained model may light too few cells for any number of points, never more than wanted
    assert float(lit.sum()) < 1.05 * float(hits.sum())


def test_calibration_stage_leaves_showers_that_can_be_drawn(data: TrainingData) -> None:
    model = untrained(data)
    model.fit_stage("calibration", lambda: data.showers("tune"), seed=1)
    counts = sample(model, Incident.of(np.linspace(1e4, 1e5, 20))).counts
    assert 0 < int(counts.min()) <= int(counts.max()) < 10_000


def test_consistency_model_samples_with_one_evaluation(data: TrainingData) -> None:
    model = untrained(data, name="caloclouds-2-cm")
    assert isinstance(model, CaloClouds2CM)
    calls: list[int] = []
    model.points.net.register_forward_hook(lambda *_: calls.append(1))
    incident = Incident.of([1e4])
    sample(model, incident)
    assert len(calls) == 2 * 4 - 1  # the teacher's Heun
    calls.clear()
    model.begin_stage("distillation")
    model.end_stage("distillation")
    sample(model, incident)
    assert len(calls) == 1


def test_target_follows_the_student(data: TrainingData) -> None:
    model = untrained(data, name="caloclouds-2-cm")
    model.begin_stage("distillation")
    before = [p.clone() for p in model.trainees["target"].parameters()]
    with torch.no_grad():
        for parameter in model.parameters_of(["trainees.student"]):
            parameter.add_(1.0)
    model.after_step("student")
    for old, new in zip(before, model.trainees["target"].parameters(), strict=True):
        torch.testing.assert_close(new, old + 0.05)
    model.end_stage("distillation")
    for old, new in zip(before, model.points.parameters(), strict=True):
        torch.testing.assert_close(new, old + 0.05)
    assert not model.trainees
