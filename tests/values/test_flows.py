"""Networks and densities against formulas and torch.distributions."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch.distributions import Gumbel, Independent, Normal, kl_divergence
from torch.nn.functional import leaky_relu, relu

from caloforge.nn import (
    ConditionerConfig,
    EPiCEncoder,
    FourierFeatures,
    Posterior,
    SetContext,
    SplineFlow,
    SplineFlowConfig,
    gumbel,
    segment_mean,
)
from caloforge.nn.conditioners import Conditioner
from caloforge.nn.epic import EPiCLayer
from caloforge.nn.pointwise import ConcatSquash
from caloforge.nn.rational_quadratic import rational_quadratic, spline_parameters
from caloforge.nn.splines import MonotonicLRSTransform


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.fixture
def posterior() -> Posterior:
    numbers = torch.randn(2, 5, 3, generator=generator(), dtype=torch.float64)
    return Posterior(numbers[0], 2 * numbers[1])


def as_normal(posterior: Posterior) -> Independent:
    return Independent(Normal(posterior.mean, (0.5 * posterior.log_variance).exp()), 1)


def test_divergence_is_that_of_torch(posterior: Posterior) -> None:
    unit = Independent(Normal(torch.zeros_like(posterior.mean), torch.ones_like(posterior.mean)), 1)
    torch.testing.assert_close(posterior.divergence, kl_divergence(as_normal(posterior), unit))


def test_entropy_is_that_of_torch(posterior: Posterior) -> None:
    torch.testing.assert_close(posterior.entropy, as_normal(posterior).entropy())


def test_draws_have_the_mean_and_the_width_of_the_posterior() -> None:
    many = Posterior(torch.full((40_000, 2), 3.0), torch.tensor([[0.0, math.log(0.04)]]).expand(40_000, 2))
    drawn = many.draw(generator())
    assert drawn.mean(0).tolist() == pytest.approx([3.0, 3.0], abs=0.02)
    assert drawn.std(0).tolist() == pytest.approx([1.0, 0.2], rel=0.02)


def test_linear_rational_splines_pass_their_meeting_points() -> None:
    """At the fraction lambda of a bin the two pieces of algorithm 1 (arXiv:2001.05168) meet at y_m."""
    bins, bound = 4, 2.0
    raw = torch.randn(4, bins, generator=generator(3), dtype=torch.float64)
    spline = MonotonicLRSTransform(raw[0], raw[1], raw[2, 1:], 3 * raw[3], bound=bound)
    lam = 0.025 + 0.95 * torch.sigmoid(3 * raw[3])
    assert float(lam.max() - lam.min()) > 0.5
    y, d = spline.y, spline.d
    w0, w1 = torch.ones(bins, dtype=torch.float64), (d[:-1] / d[1:]).sqrt()
    met = ((1 - lam) * w0 * y[:-1] + lam * w1 * y[1:]) / ((1 - lam) * w0 + lam * w1)
    x = spline.x[:-1] + lam * spline.x.diff()
    torch.testing.assert_close(torch.stack([spline(value) for value in x]), met)


def test_knots_of_linear_rational_splines_are_shares_of_the_domain() -> None:
    raw = torch.randn(4, 3, generator=generator(8), dtype=torch.float64)
    spline = MonotonicLRSTransform(raw[0], raw[1], raw[2, 1:], raw[3], bound=2.0)
    for knots, sizes in ((spline.x, raw[0]), (spline.y, raw[1])):
        shares = (sizes / (1 + (2 * sizes / math.log(1e-3)).abs())).softmax(0)
        torch.testing.assert_close(knots.diff(), 4.0 * shares)
        assert float(knots[0]) == -2.0


def test_linear_rational_splines_follow_algorithm_1() -> None:
    """Both pieces of a bin: weighted means of their ends, the weights linear in the place."""
    raw = torch.randn(4, 3, generator=generator(8), dtype=torch.float64)
    spline = MonotonicLRSTransform(raw[0], raw[1], raw[2, 1:], raw[3], bound=2.0)
    lam = 0.025 + 0.95 * torch.sigmoid(raw[3])
    for k in range(3):
        x, y, d = (values[k : k + 2] for values in (spline.x, spline.y, spline.d))
        w0, w1 = 1.0, (d[0] / d[1]).sqrt()
        middle = ((1 - lam[k]) * w0 * y[0] + lam[k] * w1 * y[1]) / ((1 - lam[k]) * w0 + lam[k] * w1)
        slope = (y[1] - y[0]) / (x[1] - x[0])
        wm = (lam[k] * w0 * d[0] + (1 - lam[k]) * w1 * d[1]) / slope
        for share in (0.2, 0.7):
            low = lam[k] * share
            value = (w0 * (1 - share) * y[0] + wm * share * middle) / (w0 * (1 - share) + wm * share)
            torch.testing.assert_close(spline(x[0] + low * (x[1] - x[0])), value)
            high = lam[k] + (1 - lam[k]) * share
            value = (wm * (1 - share) * middle + w1 * share * y[1]) / (wm * (1 - share) + w1 * share)
            torch.testing.assert_close(spline(x[0] + high * (x[1] - x[0])), value)


def test_linear_rational_splines_have_the_derivatives_of_their_knots() -> None:
    raw = torch.randn(4, 5, generator=generator(4), dtype=torch.float64)
    spline = MonotonicLRSTransform(raw[0], raw[1], raw[2, 1:], raw[3], bound=3.0)
    inner = raw[2, 1:]
    wanted = inner / (1 + (inner / math.log(1e-3)).abs())
    slopes = [spline.log_abs_det_jacobian(x, spline(x)) for x in spline.x[1:-1]]
    torch.testing.assert_close(torch.stack(slopes), wanted)


def test_rational_quadratic_splines_pass_their_knots_with_their_derivatives() -> None:
    bins, bound = 3, 4.0
    raw = torch.randn(spline_parameters(bins), generator=generator(5), dtype=torch.float64)
    soft = raw / (1 + raw.abs() / 3.5)
    widths, heights = soft[:bins].softmax(0), soft[bins : 2 * bins].softmax(0)
    x, y = (bound * (2 * parts.cumsum(0)[:-1] - 1) for parts in (widths, heights))
    value, log_slope = rational_quadratic(x, raw.expand(bins - 1, -1), bound=bound)
    torch.testing.assert_close(value, y)
    slopes = raw[2 * bins :]
    torch.testing.assert_close(log_slope, slopes / (1 + slopes.abs() / 7.0))


def identity_flow(features: int, *, base: str) -> SplineFlow:
    """Couplings whose parameters are all zero change nothing: the base is left."""
    small = ConditionerConfig(hidden=(8,))
    config = SplineFlowConfig.model_validate({"transforms": 2, "conditioner": small, "base": base})
    torch.manual_seed(0)
    flow = SplineFlow(features, config, shared=2)
    for coupling in flow.couplings:
        for parameter in coupling.parameters():
            torch.nn.init.zeros_(parameter)
    return flow


def test_a_flow_without_couplings_is_a_standard_normal() -> None:
    flow, x = identity_flow(3, base="standard"), torch.randn(7, 3, generator=generator())
    expected = Normal(0.0, 1.0).log_prob(x).sum(1)
    torch.testing.assert_close(flow.log_prob(x, torch.zeros(7, 2)), expected)


def test_a_conditional_base_is_a_normal_of_its_mean_and_width() -> None:
    flow = identity_flow(3, base="conditional")
    assert flow.base is not None
    last = [m for m in flow.base.modules() if isinstance(m, torch.nn.Linear)][-1]
    torch.nn.init.normal_(last.weight, generator=generator(2))
    context, x = torch.randn(7, 2, generator=generator(1)), torch.randn(7, 3, generator=generator())
    mean, log_std = flow.base(context)
    assert float(log_std.detach().abs().max()) > 0.3
    base = Independent(Normal(mean, log_std.exp()), 1)
    torch.testing.assert_close(flow.log_prob(x, context), base.log_prob(x))
    torch.testing.assert_close(flow.sample(x, context), mean + log_std.exp() * x)


def test_means_of_sets_by_hand() -> None:
    values, index = torch.tensor([[2.0], [4.0], [9.0]]), torch.tensor([0, 0, 2])
    assert segment_mean(values, index, 4)[:, 0].tolist() == [3.0, 0.0, 9.0, 0.0]


def test_gumbel_numbers_are_the_quantiles_of_torch() -> None:
    uniform = torch.linspace(0.01, 0.99, 9, dtype=torch.float64)
    torch.testing.assert_close(gumbel(uniform), Gumbel(torch.zeros(9).double(), 1.0).icdf(uniform))


def test_fourier_features_turn_once_a_period() -> None:
    features = FourierFeatures(6)
    x = torch.tensor([0.0, 0.3])
    angles = 2 * np.pi * x[:, None].numpy() * features.frequencies.numpy()
    expected = np.concatenate([np.cos(angles), np.sin(angles)], axis=1)
    np.testing.assert_allclose(features(x).numpy(), expected, atol=1e-5)
    period = 1 / float(features.frequencies[0])
    assert float(features(torch.tensor(period))[0]) == pytest.approx(1.0, abs=1e-5)


def test_concat_squash_by_hand() -> None:
    layer = ConcatSquash(1, 1, 1)
    numbers = {"linear.weight": 2.0, "linear.bias": 1.0, "gate.weight": 0.0, "gate.bias": math.log(3)}
    for name, value in {**numbers, "shift.weight": 10.0}.items():
        torch.nn.init.constant_(layer.get_parameter(name), value)
    found = layer(torch.tensor([[4.0]]), torch.tensor([[0.5]])).detach()
    assert float(found) == pytest.approx((2 * 4 + 1) * 0.75 + 10 * 0.5)  # sigmoid(ln 3) = 3/4


def test_epic_layers_follow_their_equations() -> None:
    """Figure 2 of arXiv:2301.08128, with the sum of the whole cloud over a thousand points."""
    torch.manual_seed(0)
    layer = EPiCLayer(3, 2, 1)
    points, cloud = torch.randn(2, 4, 3), torch.randn(2, 2)
    context, number = torch.randn(2, 1), torch.tensor([100.0, 4000.0])
    mean = points.mean(1)
    pooled = torch.cat([mean, mean * number[:, None] / 1000, cloud, context], 1)
    new = leaky_relu(layer.update(leaky_relu(layer.gather(pooled))) + cloud)
    beside = torch.cat([new, context], 1)[:, None].expand(-1, 4, -1)
    moved = leaky_relu(layer.scatter(torch.cat([points, beside], 2)))
    expected = leaky_relu(layer.refine(moved) + points)
    found_points, found_cloud = layer(points, cloud, context, number)
    torch.testing.assert_close(found_cloud, new)
    torch.testing.assert_close(found_points, expected)


def test_an_encoder_sums_the_whole_cloud_and_not_the_sample() -> None:
    torch.manual_seed(1)
    encoder = EPiCEncoder(4, 1, width=8, latent=3, layers=1)
    points, context = torch.randn(1, 5, 4), torch.zeros(1, 1)
    few, many = (encoder(points, context, torch.tensor([n]))[0] for n in (10.0, 5000.0))
    assert float((few - many).detach().abs().max()) > 1e-3


def test_residual_conditioners_are_gated_by_a_sigmoid_of_the_condition() -> None:
    torch.manual_seed(2)
    net = Conditioner(
        ConditionerConfig(kind="residual", hidden=(4,), blocks=1), element=2, shared=3, outputs=2
    )
    element, shared, index = torch.randn(5, 2), torch.randn(2, 3), torch.tensor([0, 0, 1, 1, 1])
    x = net.first(torch.cat([element, shared[index]], 1))
    block = net.hidden[0]
    x = x + block.outer(relu(block.inner(relu(x)))) * torch.sigmoid(block.gate(shared))[index]
    torch.testing.assert_close(net(element, shared, index), net.last(relu(x)))


def test_a_set_shares_the_width_of_its_condition() -> None:
    flow = identity_flow(2, base="conditional")
    assert flow.base is not None
    last = [m for m in flow.base.modules() if isinstance(m, torch.nn.Linear)][-1]
    torch.nn.init.normal_(last.bias, generator=generator(4))
    shared, x, index = torch.zeros(2, 2), torch.zeros(3, 2), torch.tensor([0, 1, 1])
    mean, log_std = flow.base(shared)
    expected = Normal(mean, log_std.exp()).log_prob(torch.zeros(2)).sum(1)[index]
    torch.testing.assert_close(flow.log_prob(x, SetContext(shared, index)), expected)
