from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING

import pytest
import torch

from caloforge.diffusion import (
    consistency_pair,
    consistency_scalings,
    edm_scalings,
    euler,
    heun,
    heun_step,
    karras_sigmas,
    log_normal_sigmas,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

DATA = 0.5


def denoise(x: Tensor, sigma: Tensor) -> Tensor:
    """The ideal denoiser of normal data with standard deviation ``DATA``."""
    return x * DATA**2 / (DATA**2 + sigma**2)


def exact(x: Tensor, start: Tensor, end: float) -> Tensor:
    """Where the ODE of these data takes ``x``: the standard deviation only shrinks."""
    return x * ((DATA**2 + end**2) / (DATA**2 + start**2)).sqrt()


@pytest.mark.parametrize(("sampler", "order"), [(heun, 2.0), (euler, 1.0)])
def test_order_of_convergence(sampler: Callable[..., Tensor], order: float) -> None:
    x = torch.tensor([1.0, -3.0, 10.0], dtype=torch.float64)
    errors = []
    for steps in (40, 80, 160):
        sigmas = karras_sigmas(steps, sigma_min=0.02, sigma_max=5.0)
        # the last step, from sigma_min to 0, is the same for all: compare with it taken exactly
        at_low = exact(x, sigmas[0], 0.02)
        end = sampler(denoise, x, sigmas)
        reached = end * (DATA**2 + 0.02**2) / DATA**2
        errors.append(float((reached / at_low - 1).abs().max()))
    for coarse, fine in itertools.pairwise(errors):
        assert math.log2(coarse / fine) == pytest.approx(order, abs=0.25)


@pytest.mark.parametrize("name", ["heun", "euler"])
def test_samplers_reach_the_data(name: str) -> None:
    generator = torch.Generator().manual_seed(1)
    x = 80 * torch.randn(4000, generator=generator)
    out = {"heun": heun, "euler": euler}[name](denoise, x, karras_sigmas(60, sigma_min=0.002, sigma_max=80.0))
    assert out.dtype == torch.float32
    assert float(out.std() / x.std() * 80) == pytest.approx(DATA, rel=0.01 if name == "heun" else 0.05)


@pytest.mark.parametrize("steps", [1, 2, 13])
def test_number_of_evaluations(steps: int) -> None:
    sigmas = karras_sigmas(steps, sigma_min=0.002, sigma_max=80.0)
    for name, sampler in (("heun", heun), ("euler", euler)):
        calls: list[float] = []

        def counting(x: Tensor, sigma: Tensor, calls: list[float] = calls) -> Tensor:
            calls.append(float(sigma))
            return denoise(x, sigma)

        sampler(counting, torch.ones(2), sigmas)
        assert len(calls) == (2 * steps - 1 if name == "heun" else steps)
        assert min(calls) > 0


def test_karras_levels_fall_from_the_highest_to_the_lowest() -> None:
    sigmas = karras_sigmas(18, sigma_min=0.002, sigma_max=80.0)
    assert sigmas.shape == (18,)
    assert sigmas[0] == pytest.approx(80.0, rel=1e-12)
    assert sigmas[-1] == pytest.approx(0.002, rel=1e-12)
    assert bool((sigmas.diff() < 0).all())
    roots = sigmas ** (1 / 7)
    torch.testing.assert_close(roots.diff(), roots.diff()[:1].expand(17))
    assert karras_sigmas(1, sigma_min=0.002, sigma_max=80.0).tolist() == pytest.approx([80.0])


def test_edm_scalings_keep_inputs_and_targets_at_unit_variance() -> None:
    sigma = torch.tensor([1e-3, 0.1, 1.0, 50.0], dtype=torch.float64)
    scale = edm_scalings(sigma, DATA)
    torch.testing.assert_close(scale.inp**2 * (DATA**2 + sigma**2), torch.ones_like(sigma))
    # the network's ideal output (clean - skip * noisy) / out has the variance 1
    variance = ((1 - scale.skip) ** 2 * DATA**2 + scale.skip**2 * sigma**2) / scale.out**2
    torch.testing.assert_close(variance, torch.ones_like(sigma))
    torch.testing.assert_close(scale.noise, sigma.log() / 4)


def test_consistency_scalings_are_the_identity_at_the_lowest_level() -> None:
    low = torch.tensor(0.002, dtype=torch.float64)
    scale = consistency_scalings(low, DATA, 0.002)
    assert float(scale.skip) == 1.0
    assert float(scale.out) == 0.0
    sigma = torch.tensor([0.5, 10.0])
    for ours, edm in zip(consistency_scalings(sigma, DATA, 1e-9), edm_scalings(sigma, DATA), strict=True):
        torch.testing.assert_close(ours, edm)


def test_pair_lies_on_one_trajectory_of_the_teacher() -> None:
    generator = torch.Generator().manual_seed(0)
    clean = DATA * torch.randn(6, 5, 4, generator=generator, dtype=torch.float64)
    noise = torch.randn(6, 5, 4, generator=generator, dtype=torch.float64)
    upper = torch.linspace(0.1, 3.0, 6, dtype=torch.float64)[:, None, None]
    lower = 0.98 * upper
    high, low = consistency_pair(denoise, clean.requires_grad_(), noise, upper, lower)
    torch.testing.assert_close(high, clean + upper * noise)
    assert not low.requires_grad
    ratio = ((DATA**2 + lower**2) / (DATA**2 + upper**2)).sqrt()
    torch.testing.assert_close(low, (high * ratio).detach(), rtol=1e-5, atol=0)
    torch.testing.assert_close(low, heun_step(denoise, high.detach(), upper, lower))


def test_training_levels_are_log_normal() -> None:
    rng = torch.Generator().manual_seed(3)
    logs = log_normal_sigmas(20_000, mean=-1.2, std=1.4, rng=rng).log()
    assert float(logs.mean()) == pytest.approx(-1.2, abs=0.04)
    assert float(logs.std()) == pytest.approx(1.4, abs=0.03)
