from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from caloforge.errors import ConfigError, DataError
from caloforge.preprocessing import (
    Conditions,
    ConditionsConfig,
    Particles,
    PointTransform,
    PointTransformConfig,
    Summary,
    SummaryTransform,
    make_summary_transform,
)
from caloforge.showers import Incident
from toy_training import particles_of

if TYPE_CHECKING:
    from torch import Tensor

LAYER_Z = torch.linspace(2.0, 140.0, 30)
SEEDS = st.integers(0, 10**6)


def rng_of(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def random_points(seed: int, *, showers: int = 6, points: int = 40) -> tuple[Tensor, Tensor]:
    """Points ``(B, K, 4)`` around axes with slopes ``(B, 2)``."""
    rng = rng_of(seed)
    depth = 30 * torch.rand(showers, points, 1, generator=rng)
    energy = 10 * torch.rand(showers, points, 1, generator=rng) ** 4 + 1e-4
    slope = torch.rand(showers, 2, generator=rng) * 2 - 1
    axis = slope[:, None] * LAYER_Z[depth[..., 0].long()][..., None]
    lateral = axis + 30 * torch.randn(showers, points, 2, generator=rng) ** 3
    return torch.cat([lateral, depth, energy], dim=-1), slope


def fitted_points(kind: str) -> PointTransform:
    transform = PointTransform(PointTransformConfig.model_validate({"kind": kind}), LAYER_Z)
    transform.fit(*random_points(0, showers=200))
    return transform


@pytest.mark.parametrize("kind", ["linear", "standard"])
@settings(max_examples=20)
@given(seed=SEEDS)
def test_points_come_back(kind: str, seed: int) -> None:
    transform = fitted_points(kind)
    points, slope = random_points(seed)
    upright = transform.inverse(transform(points, slope[:, None]))
    layer = upright[..., 2]
    back = upright[..., :2] + transform.axis(layer, slope[:, None])
    torch.testing.assert_close(layer, points[..., 2], rtol=0, atol=1e-4)
    same_layer = layer.long() == points[..., 2].long()
    assert float(same_layer.float().mean()) > 0.99
    torch.testing.assert_close(back[same_layer], points[..., :2][same_layer], rtol=1e-4, atol=1e-3)
    torch.testing.assert_close(upright[..., 3], points[..., 3], rtol=1e-4, atol=1e-6)


def test_a_shower_at_an_angle_is_sheared_upright() -> None:
    transform = fitted_points("linear")
    slope = torch.tensor([[0.7, -0.3]])
    layer = torch.arange(30.0)
    on_axis = torch.cat([slope * LAYER_Z[:, None], layer[:, None] + 0.5, torch.ones(30, 1)], dim=1)[None]
    torch.testing.assert_close(transform(on_axis, slope[:, None])[..., :2], torch.zeros(1, 30, 2))


def test_standard_features_have_the_deviation_that_the_diffusion_expects() -> None:
    points, slope = random_points(0, showers=200)
    features = fitted_points("standard")(points, slope[:, None]).flatten(0, 1)
    torch.testing.assert_close(features.mean(0)[2:], torch.zeros(2), rtol=0, atol=1e-4)
    torch.testing.assert_close(features.std(0)[2:], torch.full((2,), 0.5))
    torch.testing.assert_close(features[:, :2].square().mean(), torch.tensor(0.25), rtol=0.01, atol=0)


def test_the_paper_s_features() -> None:
    transform = fitted_points("linear")
    point = torch.tensor([[[100.0, -50.0, 7.5, 3.0]]])
    features = transform(point, torch.zeros(1, 1, 2))
    torch.testing.assert_close(features, torch.tensor([[[0.5, -0.25, -0.5, 3.0]]]))
    negative = transform.inverse(torch.tensor([0.0, 0.0, 0.0, -1.0]))
    assert negative.tolist() == [0.0, 0.0, 15.0, 0.0]


@pytest.mark.parametrize(
    "turn", [[[0.0, -1.0], [1.0, 0.0]], [[-1.0, 0.0], [0.0, 1.0]], [[0.0, 1.0], [1.0, 0.0]]]
)
def test_symmetries_of_the_square_turn_the_features(turn: list[list[float]]) -> None:
    transform = fitted_points("standard")
    points, slope = random_points(4)
    matrix = torch.tensor(turn)
    turned = torch.cat([points[..., :2] @ matrix.T, points[..., 2:]], dim=-1)
    features = transform(points, slope[:, None])
    expected = torch.cat([features[..., :2] @ matrix.T, features[..., 2:]], dim=-1)
    torch.testing.assert_close(transform(turned, (slope @ matrix.T)[:, None]), expected)


@pytest.mark.parametrize("kind", ["linear", "standard"])
def test_wild_features_stay_finite(kind: str) -> None:
    points = fitted_points(kind).inverse(torch.tensor([[300.0, -300.0, 50.0, 500.0], [0, 0, -50, -500.0]]))
    assert bool(points.isfinite().all())
    assert bool((points[:, 3] >= 0).all())


def random_summary(seed: int, *, showers: int = 400) -> tuple[Summary, Tensor]:
    """Showers with a few empty layers each, and their condition ``(B, 1)``."""
    rng = rng_of(seed)
    condition = torch.rand(showers, 1, generator=rng) * 2 - 1
    profile = torch.exp(-0.5 * ((torch.arange(30) - 10 - 2 * condition) / 5) ** 2)
    counts = torch.poisson((30 * (2 + condition) * profile), generator=rng)
    counts[:, 12] += 1  # no shower is empty
    energies = counts * (0.05 + 0.1 * torch.rand(showers, 30, generator=rng))
    return Summary(
        counts, energies, torch.randn(showers, 3, generator=rng) + torch.tensor([0, 0, 10.0])
    ), condition


def fitted_summary(scaling: str, *, showers: int = 400) -> SummaryTransform:
    transform = make_summary_transform(scaling, 30, 1)  # type: ignore[arg-type]
    transform.fit(*random_summary(0, showers=showers), rng_of(1))
    return transform


@pytest.mark.parametrize("scaling", ["paper", "whitened"])
@settings(max_examples=15)
@given(seed=SEEDS)
def test_summaries_come_back(scaling: str, seed: int) -> None:
    transform = fitted_summary(scaling)
    summary, condition = random_summary(seed)
    target = transform(summary, condition, rng_of(seed))
    assert target.shape == (400, transform.features) == (400, 65)
    back = transform.inverse(target, condition)
    empty = summary.counts == 0
    assert 0.1 < float(empty.float().mean()) < 0.9
    assert float((empty == (back.counts == 0)).float().mean()) > 0.999
    same = (back.counts - summary.counts).abs() < 0.01
    assert float(same.float().mean()) > 0.999
    kept = same.all(1)
    torch.testing.assert_close(back.counts.sum(1)[kept], summary.counts.sum(1)[kept], rtol=1e-5, atol=0)
    torch.testing.assert_close(back.energies.sum(1), summary.energies.sum(1), rtol=1e-4, atol=0)
    torch.testing.assert_close(back.energies[kept], summary.energies[kept], rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(back.centre, summary.centre, rtol=1e-4, atol=1e-4)


def test_whitened_targets_are_near_standard_normal() -> None:
    transform = fitted_summary("whitened")
    summary, condition = random_summary(7, showers=2000)
    target = transform(summary, condition, rng_of(3))
    assert float(target.mean(0).abs().max()) < 0.5
    assert float(target.std(0).median()) == pytest.approx(1.0, abs=0.15)
    assert float(target.std(0).max()) < 2.0


@pytest.mark.parametrize("scaling", ["paper", "whitened"])
def test_any_sample_of_the_flow_is_a_summary(scaling: str) -> None:
    transform = fitted_summary(scaling)
    wild = 4 * torch.randn(300, 65, generator=rng_of(2))
    far = torch.full((300, 1), 20.0)  # ten times the trained energy
    for condition in (torch.zeros(300, 1), far):
        summary = transform.inverse(wild, condition)
        for values in (summary.counts, summary.energies, summary.centre):
            assert bool(values.isfinite().all())
        assert bool((summary.counts >= 0).all())
        assert bool((summary.energies >= 0).all())
        assert float(summary.counts.sum(1).max()) < 1e6


def with_rare_layers(seed: int, *, showers: int, rare: int) -> tuple[Summary, Tensor]:
    """Summaries whose last layers are hit in the first ``rare`` showers only."""
    summary, condition = random_summary(seed, showers=showers)
    summary.counts[:rare, 25:] += 1
    summary.energies[:rare, 25:] += 0.05
    for values in (summary.counts, summary.energies):
        values[rare:, 25:] = 0
    return summary, condition


@pytest.mark.parametrize("rare", [0, 1, 3])
def test_layers_that_are_hardly_ever_hit_do_not_upset_the_fit(rare: int) -> None:
    summary, condition = with_rare_layers(0, showers=100, rare=rare)
    transform = make_summary_transform("whitened", 30, 1)
    transform.fit(summary, condition, rng_of(0))
    back = transform.inverse(transform(summary, condition, rng_of(1)), condition)
    assert torch.equal(back.counts[:, 25:] > 0, summary.counts[:, 25:] > 0)
    unseen, condition = with_rare_layers(1, showers=300, rare=3)
    assert float(transform(unseen, condition, rng_of(2)).abs().max()) < 50


@pytest.mark.parametrize("use", ["forward", "inverse"])
def test_what_is_not_fitted_says_so(use: str) -> None:
    summary, condition = random_summary(0)
    whitened, points = (
        make_summary_transform("whitened", 30, 1),
        PointTransform(PointTransformConfig(), LAYER_Z),
    )
    calls = {
        "forward": [
            lambda: whitened(summary, condition, rng_of(0)),
            lambda: points(*random_points(0)),
            lambda: Conditions()(particles_of(torch.ones(2))),
        ],
        "inverse": [
            lambda: whitened.inverse(torch.zeros(400, 65), condition),
            lambda: points.inverse(torch.zeros(3, 4)),
        ],
    }
    for call in calls[use]:
        with pytest.raises(ConfigError, match="is not fitted: train the model"):
            call()


def test_fitted_numbers_are_saved() -> None:
    transform, other = fitted_points("standard"), PointTransform(PointTransformConfig(), LAYER_Z)
    other.load_state_dict(transform.state_dict())
    features = torch.randn(10, 4, generator=rng_of(0))
    assert torch.equal(other.inverse(features), transform.inverse(features))


def test_conditions_span_the_trained_range() -> None:
    conditions = Conditions(ConditionsConfig(angles=True))
    energy = torch.tensor([1e4, 5.5e4, 1e5], dtype=torch.float64)
    direction = torch.tensor([[0.0, 0.0], [0.5, 0.0], [0.3, -0.4]])
    conditions.fit(particles_of(energy, direction))
    out = conditions(particles_of(energy, direction))
    assert out.dtype == torch.float32
    torch.testing.assert_close(out[:, 0], torch.tensor([-1.0, 0.0, 1.0]))
    torch.testing.assert_close(out[:, 1:], direction)
    assert conditions.features == 3
    assert Conditions().features == 1


def test_kinds_are_ones_among_zeros() -> None:
    conditions = Conditions(ConditionsConfig(angles=True, particles=("gamma", "11", "pi+")))
    assert conditions.config.particles == ("gamma", "e-", "pi+")
    particles = Particles.of(Incident.of([1e4, 2e4, 3e4], theta=0.3, pdg=[211, 22, 11]))
    conditions.fit(particles)
    expected = torch.tensor([[0.0, 0.0, 1.0], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
    assert torch.equal(conditions(particles)[:, 3:], expected)
    assert conditions.features == 6
    assert set(conditions.state_dict()) == {"fitted", "energy_range", "largest_theta"}
    with pytest.raises(DataError, match=r"particles: got e\+, expected one of gamma, e-, pi\+"):
        conditions(Particles.of(Incident.of([1e4, 2e4], pdg=[22, -11])))


@pytest.mark.parametrize(
    ("particles", "message"),
    [(("gamma", 22), "every kind once"), (("quark",), "Unknown particle"), ((1.5,), "a particle's name or")],
)
def test_kinds_are_particles(particles: tuple[object, ...], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        ConditionsConfig.model_validate({"particles": particles})


def test_one_energy_alone_is_a_usable_condition() -> None:
    conditions = Conditions()
    energy = torch.full((5,), 50_000.123, dtype=torch.float64)
    conditions.fit(particles_of(energy))
    out = conditions(particles_of(energy * torch.tensor([1.0, 1.0, 1.0, 1.001, 0.999])))
    torch.testing.assert_close(out[:3, 0], torch.full((3,), -1.0))
    assert float(out.abs().max()) < 1.5


def test_slope_is_the_tangent() -> None:
    theta, phi = 0.9, 2.0
    direction = torch.tensor([[math.sin(theta) * math.cos(phi), math.sin(theta) * math.sin(phi)]])
    expected = np.tan(theta) * np.array([[math.cos(phi), math.sin(phi)]])
    np.testing.assert_allclose(particles_of(torch.ones(1), direction).slope, expected, rtol=1e-6)
