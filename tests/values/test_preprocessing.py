"""Preprocessing against formulas and hand computations."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from caloforge.preprocessing import (
    CDFDequantiser,
    Conditions,
    ConditionsConfig,
    PointTransform,
    PointTransformConfig,
    Summary,
    make_summary_transform,
)
from caloforge.preprocessing.quantiles import QuantileTransform
from caloforge.preprocessing.trend import MEAN_LOG_NORMAL, REACH, least_squares, powers
from toy_training import particles_of

EULER_GAMMA = 0.5772156649015329


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def mev(*values: float) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


def scaled(conditions: Conditions, *energies: float) -> list[float]:
    found: list[float] = conditions(particles_of(mev(*energies)))[:, 0].tolist()
    return found


def test_energies_map_linearly_from_the_trained_range() -> None:
    conditions = Conditions()
    conditions.fit(particles_of(mev(10_000.0, 90_000.0, 30_000.0)))
    assert scaled(conditions, 10_000.0, 50_000.0, 90_000.0, 110_000.0) == pytest.approx([-1, 0, 1, 1.5])


def test_logarithms_map_linearly_from_the_trained_range() -> None:
    conditions = Conditions(log=True)
    conditions.fit(particles_of(mev(10.0, 100.0, 100_000.0)))
    expected = [-1.0, -0.5, 0.0, 1.0, 1.5]
    assert scaled(conditions, 10.0, 100.0, 1000.0, 100_000.0, 1_000_000.0) == pytest.approx(
        expected, abs=1e-6
    )


def test_angles_are_kept_beside_the_energy() -> None:
    conditions = Conditions(ConditionsConfig(angles=True))
    conditions.fit(particles_of(mev(1.0, 3.0), torch.tensor([[0.1, 0.0], [0.3, -0.4]])))
    found = conditions(particles_of(mev(2.0), torch.tensor([[0.3, -0.4]])))
    assert found[0].tolist() == pytest.approx([0.0, 0.3, -0.4])
    assert float(conditions.largest_theta) == pytest.approx(math.pi / 6)


def test_the_logarithm_of_a_normal_residual_has_the_known_mean() -> None:
    assert pytest.approx(-0.5 * (EULER_GAMMA + math.log(2)), abs=2e-4) == MEAN_LOG_NORMAL


def test_powers_stop_beyond_the_trained_range() -> None:
    condition = torch.tensor([[0.5, 9.0], [4.0, 9.0], [-4.0, 9.0]])
    expected = [[1, 0.5, 0.25], [1, REACH, REACH**2], [1, -REACH, REACH**2]]
    np.testing.assert_allclose(powers(condition, 2).numpy(), expected)
    assert REACH == 1.5


def test_least_squares_are_those_of_numpy() -> None:
    x = np.linspace(-1, 1, 50)
    y = 3 + 2 * x - x**2 + 0.1 * np.sin(20 * x)
    terms = powers(torch.tensor(x)[:, None], 2)
    found = least_squares(terms, torch.tensor(y), ridge=1e-9)
    np.testing.assert_allclose(found.numpy(), np.polynomial.polynomial.polyfit(x, y, 2), rtol=1e-6)


def test_few_rows_keep_their_mean() -> None:
    """The ridge pulls the constant to the mean, and the others to zero."""
    terms = powers(torch.tensor([[1.0]]), 1)
    found = least_squares(terms, mev(8.0))
    assert found.tolist() == pytest.approx([8.0, 0.0])
    # a prior of three rows of zero makes the mean 2: half of the difference to 8 is left to each term
    found = least_squares(terms, mev(8.0), prior=3)
    assert found.tolist() == pytest.approx([2.0 + 2.0, 2.0])


def test_published_scales_of_caloclouds_2() -> None:
    transform = make_summary_transform("paper", 2, 1)
    condition = torch.zeros(1, 1)
    summary = Summary(torch.tensor([[300.0, 700.0]]), torch.tensor([[500.0, 750.0]]), torch.zeros(1, 3))
    summary = Summary(summary.counts, summary.energies, torch.tensor([[5.0, -10.0, 1.5]]))
    transform.fit(summary, condition, rng())
    found = transform(summary, condition, rng())
    expected = [1000 / 5000, 1250 / 2500, 5 / 25, (1.5 - 1) / 1, -10 / 20, 3 / 7, 1.0, 2 / 3, 1.0]
    assert found[0].tolist() == pytest.approx(expected)
    back = transform.inverse(found, condition)
    assert back.counts[0].tolist() == pytest.approx([300.0, 700.0])
    assert back.energies[0].tolist() == pytest.approx([500.0, 750.0])
    assert back.centre[0].tolist() == pytest.approx([5.0, -10.0, 1.5])


def test_published_counts_are_scaled_to_the_drawn_total() -> None:
    """N and E_vis are drawn beside the layers, which only tell the shares."""
    transform = make_summary_transform("paper", 2, 1)
    target = torch.tensor([[0.4, 0.8, 0.0, 0.0, 0.0, 1.0, 0.25, 0.5, 1.0]])
    found = transform.inverse(target, torch.zeros(1, 1))
    assert found.counts[0].tolist() == pytest.approx([1600.0, 400.0])
    assert found.energies[0].tolist() == pytest.approx([2000 / 3, 4000 / 3])


def test_published_scales_of_caloclouds() -> None:
    transform = make_summary_transform("paper", 2, 1, content="counts")
    condition = torch.zeros(1, 1)
    summary = Summary(torch.tensor([[100.0, 300.0]]), torch.tensor([[1000.0]]), torch.zeros(1, 0))
    transform.fit(summary, condition, rng())
    found = transform(summary, condition, rng())
    assert found[0].tolist() == pytest.approx([0.4, 0.08, 0.25, 0.75])
    assert transform.inverse(found, condition).counts[0].tolist() == pytest.approx([100.0, 300.0])


def summaries(count: int = 400) -> tuple[Summary, Tensor]:
    generator = rng(5)
    condition = torch.rand(count, 1, generator=generator) * 2 - 1
    rate = torch.tensor([40.0, 90.0, 20.0]) * (1.5 + condition)
    counts = torch.poisson(rate, generator=generator)
    energies = counts * (1 + 0.1 * torch.randn(count, 3, generator=generator))
    return Summary(counts, energies, torch.randn(count, 3, generator=generator)), condition


@pytest.mark.parametrize("content", ["layers", "counts"])
def test_whitened_counts_sum_to_the_total_that_is_drawn(content: str) -> None:
    summary, condition = summaries()
    if content == "counts":
        summary = Summary(summary.counts, summary.energies.sum(1, keepdim=True), summary.centre[:, :0])
    transform = make_summary_transform("whitened", 3, 1, content=content)  # type: ignore[arg-type]
    transform.fit(summary, condition, rng())
    target = torch.randn(len(condition), transform.features, generator=rng(1))
    numbers = {name: buffer.double() for name, buffer in transform.named_buffers()}
    raw = (target.double() * numbers["stretch"]) @ numbers["basis"].T
    terms = powers(condition, 3)
    raw = raw * (terms @ numbers["spread"]).exp() + terms @ numbers["weights"]
    found = transform.inverse(target, condition)
    wanted = raw[:, 0].exp().floor()
    assert float((found.counts.double().sum(1) - wanted).abs().max()) < 1e-2
    np.testing.assert_allclose(found.energies.sum(1), raw[:, 1].exp(), rtol=1e-5)


@pytest.mark.parametrize("content", ["layers", "counts"])
def test_whitened_summaries_come_back_with_their_empty_layers(content: str) -> None:
    summary, condition = summaries()
    counts = summary.counts * (torch.rand(summary.counts.shape, generator=rng(9)) < 0.8)
    counts[:, 0] += 1
    energies = counts * 1.25
    summary = Summary(counts, energies, summary.centre)
    if content == "counts":
        summary = Summary(counts, energies.sum(1, keepdim=True), summary.centre[:, :0])
    transform = make_summary_transform("whitened", 3, 1, content=content)  # type: ignore[arg-type]
    transform.fit(summary, condition, rng())
    back = transform.inverse(transform(summary, condition, rng(3)), condition)
    torch.testing.assert_close(back.counts, counts, rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(back.energies, summary.energies, rtol=1e-3, atol=1e-3)


def test_whitened_summaries_follow_directions_and_their_product_with_the_energy() -> None:
    generator = rng(2)
    energy = torch.rand(3000, 1, generator=generator) * 2 - 1
    direction = torch.rand(3000, 2, generator=generator) - 0.5
    condition = torch.cat([energy, direction], 1)
    counts = torch.poisson(torch.full((3000, 2), 50.0), generator=generator)
    centre = torch.cat([3 * direction * energy + direction, energy**3], 1)
    centre = centre + 0.05 * torch.randn(3000, 3, generator=generator)
    transform = make_summary_transform("whitened", 2, 3)
    transform.fit(Summary(counts, counts.clone(), centre), condition, rng())
    asked = torch.tensor([[0.8, 0.4, -0.3]])
    middle = transform.inverse(torch.zeros(1, transform.features), asked)
    expected = [3 * 0.8 * 0.4 + 0.4, -3 * 0.8 * 0.3 - 0.3, 0.8**3]
    assert middle.centre[0].tolist() == pytest.approx(expected, abs=0.05)


def test_standard_features_are_half_a_deviation_wide() -> None:
    points = torch.randn(20, 50, 4, generator=rng()) * torch.tensor([3.0, 3.0, 2.0, 1.0])
    points[..., 3] = points[..., 3].exp()
    transform = PointTransform(PointTransformConfig(kind="standard", core=1.0), torch.arange(4.0))
    transform.fit(points, torch.zeros(20, 2))
    features = transform(points, torch.zeros(2)).flatten(0, 1)
    assert features[:, :2].square().mean().sqrt().item() == pytest.approx(0.5, rel=1e-2)
    assert features[:, 2:].std(0).tolist() == pytest.approx([0.5, 0.5], rel=1e-3)
    assert features[:, 2:].mean(0).tolist() == pytest.approx([0.0, 0.0], abs=1e-5)


def test_published_features_of_points() -> None:
    """Lateral positions over 200 mm, four layers to -1 to 1, energies as they are."""
    transform = PointTransform(PointTransformConfig(kind="linear"), torch.arange(4.0))
    transform.fit(torch.ones(1, 1, 4), torch.zeros(1, 2))
    points = torch.tensor([[50.0, -100.0, 3.0, 0.25]])
    features = transform(points, torch.zeros(2))
    assert features[0].tolist() == pytest.approx([0.25, -0.5, 0.5, 0.25])
    torch.testing.assert_close(transform.inverse(features), points)


@pytest.mark.parametrize("kind", ["linear", "standard"])
def test_points_on_the_axis_have_no_lateral_feature(kind: str) -> None:
    config = PointTransformConfig.model_validate({"kind": kind})
    transform = PointTransform(config, torch.tensor([5.0, 15.0, 25.0]))
    slope = torch.tensor([0.2, -0.1])
    points = torch.tensor([[0.2 * 15.0, -0.1 * 15.0, 1.3, 2.0]])
    transform.fit(torch.randn(4, 8, 4, generator=rng()).abs(), torch.zeros(4, 2))
    np.testing.assert_allclose(transform(points, slope)[0, :2], 0.0, atol=1e-5)


def test_whole_numbers_become_normal_ones_by_their_table() -> None:
    """Kind 0: 0, 1 with 1/4, 3/4; kind 1: with 1/2 each."""
    values = torch.tensor([0, 1, 1, 1, 0, 1])[:, None]
    kinds = torch.tensor([0, 0, 0, 0, 1, 1])
    dequantiser = CDFDequantiser([2], tables=2)
    dequantiser.fit(values, kinds)
    asked, half = torch.tensor([[0], [1], [0], [1]]), torch.full((4, 1), 0.5)
    found = dequantiser(asked, half, torch.tensor([0, 0, 1, 1]))[:, 0]
    middles = torch.tensor([0.125, 0.625, 0.25, 0.75], dtype=torch.float64)
    np.testing.assert_allclose(found, torch.special.ndtri(middles), atol=1e-5)
    shares = torch.special.ndtri(torch.tensor([0.2, 0.3, 0.3, 0.6], dtype=torch.float64))[:, None]
    drawn = dequantiser.inverse(shares, torch.tensor([0, 0, 1, 1]))
    assert drawn[:, 0].tolist() == [0, 1, 0, 1]


def test_the_edge_of_a_bin_belongs_to_the_next_value() -> None:
    dequantiser = CDFDequantiser([3])
    dequantiser.fit(torch.tensor([[0], [2]]))
    assert dequantiser.inverse(torch.tensor([[0.0]]))[0, 0] == 2  # Phi(0) = 1/2 where value 0 ends


def test_quantiles_of_even_numbers_are_known() -> None:
    """Of 0 to 1000 the share Phi(t) lies at 1000 Phi(t)."""
    transform = QuantileTransform(33, reach=3.0)
    transform.fit(torch.arange(1001.0))
    normal = transform.normal
    expected = 1000 * torch.special.ndtr(normal)
    expected[0], expected[-1] = 0.0, 1000.0
    np.testing.assert_allclose(transform.inverse(normal), expected, atol=1e-3)
    np.testing.assert_allclose(transform(expected[1:-1]), normal[1:-1], atol=1e-4)
