"""Diffusion against the published equations."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from caloforge.diffusion import (
    ancestral,
    ancestral_step,
    consistency_scalings,
    edm_scalings,
    euler,
    heun,
    heun_step,
    karras_sigmas,
    log_normal_sigmas,
    noised,
    quadratic_betas,
    signal_shares,
)
from caloforge.models.clouds.point_ddpm import PointDDPM, PointDDPMConfig
from caloforge.models.clouds.point_diffusion import PointDiffusion, PointDiffusionConfig, SamplerConfig


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("sigma", [0.002, 0.3, 0.5, 7.0, 80.0])
def test_preconditioning_is_that_of_the_table(sigma: float) -> None:
    """Table 1 of arXiv:2206.00364 with sigma_data = 0.5."""
    data, total = 0.5, math.hypot(sigma, 0.5)
    found = edm_scalings(torch.tensor(sigma, dtype=torch.float64), data)
    assert float(found.skip) == pytest.approx(data**2 / (sigma**2 + data**2))
    assert float(found.out) == pytest.approx(sigma * data / total)
    assert float(found.inp) == pytest.approx(1 / total)
    assert float(found.noise) == pytest.approx(0.25 * math.log(sigma))


def test_numbers_of_the_training_are_those_of_the_table() -> None:
    config, sampler = PointDiffusionConfig(), SamplerConfig()
    assert (config.noise_mean, config.noise_std, config.sigma_data) == (-1.2, 1.2, 0.5)
    assert (sampler.sigma_min, sampler.sigma_max, sampler.rho) == (0.002, 80.0, 7.0)


@pytest.mark.parametrize("rho", [1.0, 3.0, 7.0])
def test_levels_are_those_of_equation_5(rho: float) -> None:
    low, high, n = 0.002, 80.0, 18
    found = karras_sigmas(n, sigma_min=low, sigma_max=high, rho=rho)
    step = np.arange(n) / (n - 1)
    expected = (high ** (1 / rho) + step * (low ** (1 / rho) - high ** (1 / rho))) ** rho
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-10)


def test_logarithms_of_training_levels_have_the_mean_and_the_deviation() -> None:
    levels = log_normal_sigmas(50_000, mean=-1.2, std=0.4, rng=rng()).log()
    assert float(levels.mean()) == pytest.approx(-1.2, abs=0.01)
    assert float(levels.std()) == pytest.approx(0.4, rel=0.02)


def zero_network(data: float = 0.5, **config: float) -> PointDiffusion:
    torch.manual_seed(0)
    sizes = {"hidden": (8,), "time_features": 4, "sigma_data": data}
    model = PointDiffusion(PointDiffusionConfig.model_validate({**sizes, **config}), 1)
    for parameter in model.net.layers[-1].parameters():
        torch.nn.init.zeros_(parameter)
    return model


@pytest.mark.parametrize("level", [-4.0, -1.2, 0.0, 3.0])
def test_the_loss_of_a_network_that_says_nothing_is_one_at_every_level(level: float) -> None:
    """The weight 1 / c_out^2 makes the network's own target a number of unit variance (equation 8)."""
    model = zero_network(noise_mean=level, noise_std=0.1)
    points = 0.5 * torch.randn(400, 50, 4, generator=rng())
    loss = model.loss(points, torch.zeros(400, 1), rng(1))["loss"]
    assert float(loss.detach()) == pytest.approx(1.0, rel=0.03)


def test_the_loss_weighs_with_equation_7() -> None:
    """Weight (sigma^2 + sigma_data^2) / (sigma sigma_data)^2 of the error of the clean points, by hand."""
    data, sigma = 0.5, 0.2
    model = zero_network(noise_mean=math.log(sigma), noise_std=1e-9)
    points = torch.full((300, 40, 4), 1.5)
    skip = data**2 / (sigma**2 + data**2)
    # D = skip (y + sigma n): its error is (skip - 1) y + skip sigma n
    error = (skip - 1) ** 2 * 1.5**2 + skip**2 * sigma**2
    expected = (sigma**2 + data**2) / (sigma * data) ** 2 * error
    loss = float(model.loss(points, torch.zeros(300, 1), rng())["loss"].detach())
    assert loss == pytest.approx(expected, rel=0.02)


def test_sampling_starts_at_the_highest_level() -> None:
    """With F = 0 the denoiser is that of normal data: the ODE shrinks noise to the data's deviation."""
    model, noise = zero_network(), torch.randn(500, 4, generator=rng())
    sampler = SamplerConfig(steps=40)
    drawn = model.sample(noise, torch.zeros(1, 1), torch.zeros(500, dtype=torch.int64), sampler)
    torch.testing.assert_close(drawn.detach(), 0.5 * noise, rtol=0.02, atol=1e-3)


@pytest.mark.parametrize("consistency", [False, True])
def test_points_of_many_showers_are_sampled_with_their_own_condition(consistency: bool) -> None:
    """More points than go through the network at once: each shower comes out as it does alone."""
    torch.manual_seed(0)
    model = PointDiffusion(PointDiffusionConfig(hidden=(4,), time_features=4), 1)
    counts, condition = torch.tensor([8190, 30, 8200]), torch.tensor([[-1.0], [0.0], [1.0]])
    index = torch.arange(3).repeat_interleave(counts)
    noise, sampler = torch.randn(len(index), 4, generator=rng()), SamplerConfig(steps=2)
    with torch.no_grad():
        together = model.sample(noise, condition, index, sampler, consistency=consistency)
        for shower in range(3):
            rows = index == shower
            zeros = torch.zeros(int(rows.sum()), dtype=torch.int64)
            alone = model.sample(
                noise[rows], condition[shower : shower + 1], zeros, sampler, consistency=consistency
            )
            torch.testing.assert_close(together[rows], alone, rtol=2e-3, atol=2e-3)


@pytest.mark.parametrize("rule", [heun, euler])
def test_the_ode_of_normal_data_has_its_known_solution(rule: object) -> None:
    """x(sigma) is proportional to (sigma^2 + sigma_data^2)^(1/2)."""
    levels = karras_sigmas(1000, sigma_min=1e-4, sigma_max=10.0)

    def denoise(x: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
        return x * 0.25 / (0.25 + sigma**2)

    x = torch.tensor([1.0, -3.0], dtype=torch.float64)
    found = rule(denoise, x, levels)  # type: ignore[operator]
    torch.testing.assert_close(found, x * 0.5 / math.hypot(10.0, 0.5), rtol=1e-2, atol=0)


def test_a_step_of_heun_by_hand() -> None:
    """From 2 to 1 with D = x / 4 + sigma: slopes 3/4 (x = 6, sigma = 2) and then at the guess."""
    step = heun_step(lambda x, s: x / 4 + s, torch.tensor(6.0), torch.tensor(2.0), torch.tensor(1.0))
    slope = (6 - (6 / 4 + 2)) / 2
    guess = 6 - slope
    expected = 6 - 0.5 * (slope + guess - (guess / 4 + 1))
    assert float(step) == pytest.approx(expected)


@pytest.mark.parametrize("rule", [heun, euler])
def test_sampling_ends_at_what_the_denoiser_says(rule: object) -> None:
    levels, clean = karras_sigmas(5, sigma_min=0.5, sigma_max=10.0), torch.tensor([3.0, -1.0])
    found = rule(lambda *_: clean, torch.randn(2, generator=rng()), levels)  # type: ignore[operator]
    torch.testing.assert_close(found, clean)


@pytest.mark.parametrize("sigma", [0.002, 0.1, 80.0])
def test_consistency_scalings_are_the_published_ones(sigma: float) -> None:
    """Appendix C of arXiv:2303.01469."""
    data, low = 0.5, 0.002
    found = consistency_scalings(torch.tensor(sigma, dtype=torch.float64), data, low)
    assert float(found.skip) == pytest.approx(data**2 / ((sigma - low) ** 2 + data**2))
    assert float(found.out) == pytest.approx(data * (sigma - low) / math.hypot(sigma, data))
    assert float(found.inp) == pytest.approx(1 / math.hypot(sigma, data))
    assert float(found.noise) == pytest.approx(0.25 * math.log(sigma))


BETAS = quadratic_betas(100, first=1e-4, last=0.02)


def test_betas_are_squares_of_even_steps() -> None:
    expected = np.linspace(1e-2, 0.02**0.5, 100) ** 2
    np.testing.assert_allclose(BETAS.numpy(), expected, rtol=1e-12)
    np.testing.assert_allclose(signal_shares(BETAS).numpy(), np.cumprod(1 - expected), rtol=1e-12)


def test_noise_is_added_as_in_equation_4() -> None:
    clean, noise, share = torch.tensor([2.0]), torch.tensor([-3.0]), torch.tensor([0.64])
    assert float(noised(clean, noise, share)) == pytest.approx(0.8 * 2.0 - 0.6 * 3.0)


@pytest.mark.parametrize("step", [1, 7, 99])
def test_steps_are_draws_of_the_posterior(step: int) -> None:
    """Equations 6 and 7 of arXiv:2006.11239: mean and variance of x_(t-1) given x_t and x_0."""
    beta, share = float(BETAS[step]), float(signal_shares(BETAS)[step])
    before = float(signal_shares(BETAS)[step - 1])
    clean, x = 0.7, -1.3
    mean = before**0.5 * beta / (1 - share) * clean + (1 - beta) ** 0.5 * (1 - before) / (1 - share) * x
    variance = (1 - before) / (1 - share) * beta
    estimate = torch.tensor([(x - share**0.5 * clean) / (1 - share) ** 0.5], dtype=torch.float64)
    start = torch.tensor([x], dtype=torch.float64)
    for z in (0.0, 1.0, -2.0):
        found = ancestral_step(start, estimate, torch.tensor([z], dtype=torch.float64), BETAS, step)
        assert float(found) == pytest.approx(mean + variance**0.5 * z)
    forward = ancestral_step(start, estimate, torch.ones(1).double(), BETAS, step, flexibility=1.0)
    assert float(forward) == pytest.approx(mean + beta**0.5)


def test_all_steps_are_undone_from_the_last_to_the_first() -> None:
    seen: list[int] = []

    def predict(x: torch.Tensor, step: int) -> torch.Tensor:
        seen.append(step)
        return torch.zeros_like(x)

    ancestral(predict, torch.zeros(1), BETAS, lambda _: torch.zeros(1))
    assert seen == list(range(99, -1, -1))


def test_the_embedded_time_is_a_fourth_of_the_logarithm_of_the_noise_over_the_signal() -> None:
    model = PointDDPM(PointDDPMConfig(hidden=(4,), time="fourier", time_features=4), 1)
    seen: list[torch.Tensor] = []
    assert model.embed is not None
    model.embed.register_forward_hook(lambda _, args, __: seen.append(args[0]))
    model.predict(torch.zeros(1, 2, 4), torch.tensor([30]), torch.zeros(1, 1))
    share = float(signal_shares(BETAS)[30])
    assert float(seen[0]) == pytest.approx(0.25 * math.log(((1 - share) / share) ** 0.5), rel=1e-5)


def test_the_noise_is_the_target_at_every_step() -> None:
    """A residual network whose layers say nothing returns its input: E (x_t - n)^2 is known."""
    torch.manual_seed(0)
    model = PointDDPM(PointDDPMConfig(hidden=(4,)), 1)
    for parameter in model.net.layers[-1].parameters():
        torch.nn.init.zeros_(parameter)
    points = torch.randn(2000, 20, 4, generator=rng())
    share = signal_shares(BETAS)
    expected = float((share + ((1 - share).sqrt() - 1) ** 2).mean())
    loss = float(model.loss(points, torch.zeros(2000, 1), rng(1)).detach())
    assert loss == pytest.approx(expected, rel=0.02)
