from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from caloforge.models.clouds.point_diffusion import PointDiffusion, PointDiffusionConfig
from caloforge.models.clouds.shower_flow import ShowerFlow, ShowerFlowConfig
from caloforge.nn import ConcatSquash, ConditionalFlow, FourierFeatures, MonotonicLRSTransform, PointWiseNet

if TYPE_CHECKING:
    from caloforge.nn.flows import SplineKind

SPLINES: list[SplineKind] = ["linear-rational", "rational-quadratic"]


def parameters(module: torch.nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def test_published_number_of_parameters_of_the_point_network() -> None:
    assert parameters(PointDiffusion(PointDiffusionConfig(), 2)) == 504_920


@pytest.mark.parametrize(
    ("spline", "expected"), [("linear-rational", 35_235_910), ("rational-quadratic", 33_878_710)]
)
def test_published_number_of_parameters_of_the_shower_flow(
    spline: SplineKind, expected: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    # zuko cannot build on the meta device: save the time that random weights take at least
    monkeypatch.setattr(torch.nn.init, "kaiming_uniform_", lambda tensor, **_: tensor)
    assert parameters(ShowerFlow(ShowerFlowConfig(spline=spline), 30, 1)) == expected


def random_spline(
    seed: int, *, size: int = 7, spread: float = 2.0, bound: float = 5.0
) -> MonotonicLRSTransform:
    rng = torch.Generator().manual_seed(seed)
    shapes = (8, 8, 7, 8)
    parts = [spread * torch.randn(size, k, generator=rng, dtype=torch.float64) for k in shapes]
    return MonotonicLRSTransform(*parts, bound=bound)


@settings(max_examples=15)
@given(st.integers(0, 10**6), st.floats(0.0, 6.0))
def test_spline_is_monotonic_and_inverts(seed: int, spread: float) -> None:
    spline = random_spline(seed, spread=spread)
    x = torch.linspace(-5, 5, 301, dtype=torch.float64)[:, None].expand(301, 7)
    y = spline(x)
    assert bool((y.diff(dim=0) > 0).all())
    torch.testing.assert_close(y[[0, -1]], x[[0, -1]])
    torch.testing.assert_close(spline.inv(y), x, rtol=0, atol=1e-9)
    assert bool(spline.log_abs_det_jacobian(x, y).isfinite().all())


def test_spline_derivative() -> None:
    spline = random_spline(3)
    x = torch.linspace(-6, 6, 1001, dtype=torch.float64)[:, None].repeat(1, 7).requires_grad_()
    y, log_slope = spline.call_and_ladj(x)
    [slope] = torch.autograd.grad(y.sum(), x)
    torch.testing.assert_close(slope.log(), log_slope)
    assert float(log_slope.detach().std()) > 0.3


def test_spline_is_the_identity_outside_and_joins_it_smoothly() -> None:
    spline = random_spline(4, bound=2.0)
    x = torch.tensor([-30.0, -2.01, 2.01, 1e4], dtype=torch.float64)[:, None].expand(4, 7)
    y, log_slope = spline.call_and_ladj(x)
    torch.testing.assert_close(y, x)
    torch.testing.assert_close(log_slope, torch.zeros_like(x))
    torch.testing.assert_close(spline.inv(x), x)
    edge = torch.tensor([-2.0 + 1e-9, 2.0 - 1e-9], dtype=torch.float64)[:, None].expand(2, 7)
    torch.testing.assert_close(spline.call_and_ladj(edge)[1], torch.zeros_like(edge), rtol=0, atol=1e-5)


def make_flow(*, spline: SplineKind = "linear-rational", seed: int = 0, weights: int = 0) -> ConditionalFlow:
    """A small flow whose weights are large enough to bend."""
    flow = ConditionalFlow(
        5, 2, blocks=2, couplings=1, hidden=(16,), spline_hidden=(16,), spline=spline, seed=seed
    )
    rng = torch.Generator().manual_seed(weights)
    for parameter in flow.parameters():
        parameter.data = 0.2 * torch.randn(parameter.shape, generator=rng)
    return flow


@pytest.mark.parametrize("spline", SPLINES)
def test_flow_inverts_in_single_precision(spline: SplineKind) -> None:
    flow = make_flow(spline=spline)
    rng = torch.Generator().manual_seed(1)
    noise, context = torch.randn(500, 5, generator=rng), torch.randn(500, 2, generator=rng)
    with torch.no_grad():
        target = flow.sample(noise, context)
        back = flow.flow(context).transform(target)
    assert float((target - noise).abs().mean()) > 0.1
    assert float((back - noise).abs().max()) < 1e-5


@pytest.mark.parametrize("spline", SPLINES)
def test_log_prob_is_the_base_density_over_the_jacobian(spline: SplineKind) -> None:
    flow = make_flow(spline=spline).double()
    rng = torch.Generator().manual_seed(2)
    noise = torch.randn(6, 5, generator=rng, dtype=torch.float64)
    context = torch.randn(6, 2, generator=rng, dtype=torch.float64)
    target = flow.sample(noise, context).detach()
    base = torch.distributions.Normal(0, 1).log_prob(noise).sum(1)
    for i in range(6):
        jacobian = torch.autograd.functional.jacobian(lambda z, c=context[i]: flow.sample(z, c), noise[i])
        expected = base[i] - torch.linalg.slogdet(jacobian).logabsdet  # type: ignore[arg-type]
        torch.testing.assert_close(flow.log_prob(target, context)[i], expected)


def test_flow_depends_on_its_context() -> None:
    flow = make_flow()
    noise = torch.zeros(1, 5)
    a, b = (flow.sample(noise, torch.tensor([[c, 0.0]])) for c in (0.0, 1.0))
    assert float((a - b).detach().abs().max()) > 1e-2


def test_permutations_are_saved_with_the_weights() -> None:
    first, second = make_flow(seed=1, weights=1), make_flow(seed=2, weights=2)
    noise, context = torch.randn(4, 5, generator=torch.Generator().manual_seed(0)), torch.zeros(4, 2)
    floats = {name: value for name, value in first.state_dict().items() if value.is_floating_point()}
    second.load_state_dict(floats, strict=False)
    assert not torch.equal(first.sample(noise, context), second.sample(noise, context))
    second.load_state_dict(first.state_dict())
    assert torch.equal(first.sample(noise, context), second.sample(noise, context))


def test_concat_squash_is_its_formula() -> None:
    layer = ConcatSquash(3, 4, 2)
    x, context = torch.randn(5, 3), torch.randn(5, 2)
    gate = torch.sigmoid(context @ layer.gate.weight.T + layer.gate.bias)
    expected = (x @ layer.linear.weight.T + layer.linear.bias) * gate + context @ layer.shift.weight.T
    torch.testing.assert_close(layer(x, context), expected)


@pytest.mark.parametrize("residual", [False, True])
def test_flat_and_broadcast_points_agree(residual: bool) -> None:
    net = PointWiseNet((4, 16, 8, 4), 3, residual=residual)
    x, context = torch.randn(6, 10, 4), torch.randn(6, 3)
    flat = net(x.flatten(0, 1), context, torch.arange(6).repeat_interleave(10))
    torch.testing.assert_close(flat.reshape(6, 10, 4), net(x, context[:, None]))
    without = PointWiseNet((4, 16, 8, 4), 3)
    without.load_state_dict(net.state_dict())
    torch.testing.assert_close(net(x, context[:, None]) - residual * x, without(x, context[:, None]))


def test_fourier_features_are_saved_with_the_weights() -> None:
    embed = FourierFeatures(8, std=2.0)
    out = embed(torch.tensor([[0.0, 0.3]]))
    assert out.shape == (1, 2, 8)
    torch.testing.assert_close(out[0, 0], torch.tensor([1.0] * 4 + [0.0] * 4))
    torch.testing.assert_close(out[..., :4] ** 2 + out[..., 4:] ** 2, torch.ones(1, 2, 4))
    other = FourierFeatures(8, std=5.0)
    other.load_state_dict(embed.state_dict())
    assert torch.equal(other(torch.ones(3)), embed(torch.ones(3)))
