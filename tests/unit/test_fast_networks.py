"""The fast way of networks on a CPU: what a straightforward evaluation says, but for rounding."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch

from caloforge.models.clouds.point_ddpm import PointDDPM, PointDDPMConfig
from caloforge.models.clouds.point_diffusion import PointDiffusion, PointDiffusionConfig, SamplerConfig
from caloforge.nn import ConditionalFlow, PointWiseNet
from caloforge.nn.flows import ZukoFlow
from caloforge.nn.fused import fused_layers, fused_linear, fuses, plainly

if TYPE_CHECKING:
    from torch import Tensor, nn

    from caloforge.nn.flows import SplineKind

COUNTS = torch.tensor([700, 0, 1, 1500])
PUBLISHED = (128, 256, 512, 256, 128)


def normal(*shape: int, seed: int = 1) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def seeded(module: nn.Module, *, scale: float = 1.0) -> nn.Module:
    """Weights that a seed decides, and large enough to matter."""
    rng = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for parameter in module.parameters():
            spread = scale / max(parameter.shape[-1], 1) ** 0.5
            parameter.copy_(spread * torch.randn(parameter.shape, generator=rng))
    return module.eval()


def test_who_goes_the_fast_way() -> None:
    x = torch.zeros(2, 3)
    assert not fuses(x)  # gradients may be asked for
    with torch.no_grad():
        assert fuses(x)
        assert not fuses(x.double())
        with plainly():
            assert not fuses(x)
        assert fuses(x)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            assert not fuses(x)


@pytest.mark.parametrize("rows", [1, 400], ids=["plain multiplication", "oneDNN"])
def test_one_layer_by_hand(rows: int) -> None:
    """Sums of whole numbers are exact: y = x W^T + b, times the slope below zero."""
    x = torch.arange(rows * 20).reshape(rows, 20).remainder(7).float() - 3
    weight = torch.arange(20 * 30).reshape(30, 20).remainder(5).float() - 2
    bias = torch.arange(30).float() - 15
    exact = (x.long() @ weight.long().T + bias.long()).float()
    assert torch.equal(fused_linear(x, weight, bias), exact)
    assert torch.equal(fused_linear(x, weight, bias, slope=0.0), exact.clamp_min(0))
    assert torch.equal(fused_linear(x, weight, bias, slope=0.5), torch.where(exact < 0, exact / 2, exact))


def test_a_chain_of_layers() -> None:
    net = torch.nn.Sequential(torch.nn.Linear(9, 70), torch.nn.ReLU(), torch.nn.Linear(70, 40))
    x = normal(300, 9)
    torch.testing.assert_close(fused_layers(net, x), net(x), rtol=1e-5, atol=1e-6)


@torch.no_grad()
@pytest.mark.parametrize("residual", [False, True])
def test_showers_of_unlike_sizes_are_those_of_the_padded_evaluation(*, residual: bool) -> None:
    """Every shower for itself, with all of its context beside each point: the definition."""
    net = seeded(PointWiseNet((4, *PUBLISHED, 4), 7, residual=residual))
    context, x = normal(4, 7, seed=2), normal(int(COUNTS.sum()), 4)
    index = torch.arange(4).repeat_interleave(COUNTS)
    with plainly():
        padded = x.new_zeros(4, int(COUNTS.max()), 4)
        inside = torch.arange(padded.shape[1]) < COUNTS[:, None]
        padded[inside] = x
        wanted = net(padded, context[:, None])[inside]
        packed = net(x, context, index)
    torch.testing.assert_close(packed, wanted, rtol=1e-5, atol=1e-5)
    assert float(wanted.std()) > 0.3
    torch.testing.assert_close(net(x, context, index), wanted, rtol=1e-5, atol=1e-5)


@torch.no_grad()
def test_a_shower_is_the_same_alone_and_among_others() -> None:
    net = seeded(PointWiseNet((4, *PUBLISHED, 4), 7))
    context, x = normal(4, 7, seed=2), normal(int(COUNTS.sum()), 4)
    together = net(x, context, torch.arange(4).repeat_interleave(COUNTS))
    torch.testing.assert_close(net(x[:700], context[:1]), together[:700], rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(net(x[701:], context[3:]), together[701:], rtol=1e-6, atol=1e-6)


@torch.no_grad()
@pytest.mark.parametrize("consistency", [True, False], ids=["CaloClouds II (CM)", "CaloClouds II"])
def test_sampled_points_are_those_of_the_straightforward_evaluation(*, consistency: bool) -> None:
    points = seeded(PointDiffusion(PointDiffusionConfig(hidden=(64, 128, 64), time_features=16), 2))
    assert isinstance(points, PointDiffusion)
    x, context = normal(int(COUNTS.sum()), 4), normal(4, 2, seed=3)
    index, sampler = torch.arange(4).repeat_interleave(COUNTS), SamplerConfig(steps=3)

    def drawn() -> Tensor:
        return points.sample(x, context, index, sampler, consistency=consistency)

    with plainly():
        wanted = drawn()
    torch.testing.assert_close(drawn(), wanted, rtol=1e-4, atol=1e-4)


@torch.no_grad()
def test_noise_that_caloclouds_predicts() -> None:
    points = seeded(PointDDPM(PointDDPMConfig(hidden=(64, 128, 64)), 3))
    assert isinstance(points, PointDDPM)
    x, context = normal(int(COUNTS.sum()), 4), normal(4, 3, seed=3)
    index, step = torch.arange(4).repeat_interleave(COUNTS), torch.tensor(40)
    with plainly():
        wanted = points.predict(x, step, context, index)
    torch.testing.assert_close(points.predict(x, step, context, index), wanted, rtol=1e-5, atol=1e-5)


@torch.no_grad()
@pytest.mark.parametrize("size", [0, 1, 30])
@pytest.mark.parametrize("spline", ["linear-rational", "rational-quadratic"])
def test_samples_of_a_flow_are_those_of_zuko(spline: SplineKind, size: int) -> None:
    flow = ConditionalFlow(9, 2, blocks=2, couplings=2, hidden=(300, 280), spline_hidden=(50,), spline=spline)
    noise, context = normal(size, 9), normal(size, 2, seed=2)
    seeded(flow, scale=0.7)
    wanted = ZukoFlow.sample(flow, noise, context)
    assert size == 0 or float((wanted - noise).abs().max()) > 0.3
    torch.testing.assert_close(flow.sample(noise, context), wanted, rtol=1e-4, atol=1e-4)
    with plainly():
        assert torch.equal(flow.sample(noise, context), wanted)
