from __future__ import annotations

import math
from typing import TYPE_CHECKING

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from caloforge.nn import rational_quadratic
from caloforge.nn.rational_quadratic import spline_parameters

if TYPE_CHECKING:
    from torch import Tensor

BINS, BOUND = 6, 3.0
BOTH = pytest.mark.parametrize("inverse", [False, True])


def random_parameters(
    seed: int, *shape: int, spread: float = 1.0, dtype: torch.dtype = torch.float64
) -> Tensor:
    rng = torch.Generator().manual_seed(seed)
    return spread * torch.randn(*shape, spline_parameters(BINS), generator=rng, dtype=dtype)


def soft_clip(value: float, limit: float) -> float:
    return value / (1 + abs(value) / limit)


def formula(x: float, parameters: list[float]) -> float:
    """Equation 4 of arXiv:1906.04032, number by number."""
    if abs(x) >= BOUND:
        return x
    sizes = [[math.exp(soft_clip(v, 3.5)) for v in parameters[i * BINS : (i + 1) * BINS]] for i in (0, 1)]
    widths, heights = ([2 * BOUND * v / sum(row) for v in row] for row in sizes)
    slopes = [1.0, *(math.exp(soft_clip(v, 7.0)) for v in parameters[2 * BINS :]), 1.0]
    k = max(k for k in range(BINS) if k == 0 or -BOUND + sum(widths[:k]) < x)
    theta = (x + BOUND - sum(widths[:k])) / widths[k]
    s = heights[k] / widths[k]
    above = heights[k] * (s * theta**2 + slopes[k] * theta * (1 - theta))
    below = s + (slopes[k + 1] + slopes[k] - 2 * s) * theta * (1 - theta)
    return -BOUND + sum(heights[:k]) + above / below


def test_splines_are_the_published_formula() -> None:
    parameters = random_parameters(0, 60, spread=1.5)
    x = torch.linspace(-1.1 * BOUND, 1.1 * BOUND, 60, dtype=torch.float64)
    expected = [formula(v, p) for v, p in zip(x.tolist(), parameters.tolist(), strict=True)]
    y, _ = rational_quadratic(x, parameters, bound=BOUND)
    torch.testing.assert_close(y, torch.tensor(expected, dtype=torch.float64))
    assert float((y - x).abs().max()) > 0.5


@BOTH
def test_zeros_are_the_identity(inverse: bool) -> None:
    x = torch.linspace(-4, 4, 97)
    zeros = torch.zeros(97, spline_parameters(BINS))
    y, log_slope = rational_quadratic(x, zeros, bound=BOUND, inverse=inverse)
    torch.testing.assert_close(y, x, rtol=0, atol=2e-6)
    torch.testing.assert_close(log_slope, torch.zeros(97), rtol=0, atol=2e-6)


@settings(max_examples=20)
@given(st.integers(0, 10**6), st.floats(0.0, 0.7))
def test_splines_invert_in_single_precision(seed: int, spread: float) -> None:
    parameters = random_parameters(seed, 400, spread=spread, dtype=torch.float32)
    x = torch.linspace(-1.1 * BOUND, 1.1 * BOUND, 400)
    y, there = rational_quadratic(x, parameters, bound=BOUND)
    back, again = rational_quadratic(y, parameters, bound=BOUND, inverse=True)
    torch.testing.assert_close(back, x, rtol=0, atol=1e-4)
    assert float((back - x).abs().mean()) < 1e-6
    torch.testing.assert_close(again, -there, rtol=0, atol=1e-3)


@settings(max_examples=20)
@given(st.integers(0, 10**6), st.floats(0.0, 30.0))
def test_splines_invert_however_wild(seed: int, spread: float) -> None:
    parameters = random_parameters(seed, 7, spread=spread)
    x = torch.linspace(-BOUND, BOUND, 301, dtype=torch.float64)[:, None].expand(301, 7)
    wild = parameters.expand(301, 7, -1)
    y, log_slope = rational_quadratic(x, wild, bound=BOUND, inverse=True)
    back, _ = rational_quadratic(y, wild, bound=BOUND)
    torch.testing.assert_close(back, x, rtol=0, atol=1e-8)
    assert bool((y.diff(dim=0) > 0).all())
    assert bool(log_slope.isfinite().all())


@BOTH
def test_the_derivative_is_that_of_autograd(inverse: bool) -> None:
    parameters = random_parameters(2, 500)
    x = torch.linspace(-1.1 * BOUND, 1.1 * BOUND, 500, dtype=torch.float64).requires_grad_()
    y, log_slope = rational_quadratic(x, parameters, bound=BOUND, inverse=inverse)
    [slope] = torch.autograd.grad(y.sum(), x)
    torch.testing.assert_close(slope.log(), log_slope)
    assert float(log_slope.detach().std()) > 0.3


@BOTH
def test_gradients_of_the_parameters(inverse: bool) -> None:
    x = torch.linspace(-0.9 * BOUND, 0.9 * BOUND, 7, dtype=torch.float64).requires_grad_()
    parameters = random_parameters(3, 7).requires_grad_()

    def both(x: Tensor, parameters: Tensor) -> tuple[Tensor, Tensor]:
        return rational_quadratic(x, parameters, bound=BOUND, inverse=inverse)

    assert torch.autograd.gradcheck(both, (x, parameters))


@BOTH
@pytest.mark.parametrize("spread", [1.0, 1e3, 1e30])
def test_everything_stays_finite_in_single_precision(inverse: bool, spread: float) -> None:
    parameters = random_parameters(4, 2000, spread=spread, dtype=torch.float32).requires_grad_()
    ends = torch.tensor([-BOUND, BOUND, 0.0, -1e30, 1e30])
    x = torch.cat([torch.linspace(-1.1 * BOUND, 1.1 * BOUND, 1995), ends])
    y, log_slope = rational_quadratic(x, parameters, bound=BOUND, inverse=inverse)
    (y.clamp(-BOUND, BOUND) + log_slope).sum().backward()
    assert parameters.grad is not None
    for values in (y, log_slope, parameters.grad):
        assert bool(values.isfinite().all())
    assert float(y.detach()[x.abs() < BOUND].abs().max()) <= BOUND * (1 + 1e-6)


@BOTH
def test_the_identity_outside_is_joined_smoothly(inverse: bool) -> None:
    x = torch.tensor([-1e9, -BOUND - 1e-3, -BOUND, BOUND, BOUND + 1e-3, math.inf])
    y, log_slope = rational_quadratic(
        x, random_parameters(5, 6, dtype=torch.float32), bound=BOUND, inverse=inverse
    )
    assert torch.equal(y, x)
    assert torch.equal(log_slope, torch.zeros(6))
    edge = torch.tensor([-BOUND + 1e-9, BOUND - 1e-9], dtype=torch.float64)
    y, log_slope = rational_quadratic(edge, random_parameters(5, 2), bound=BOUND, inverse=inverse)
    torch.testing.assert_close(y, edge, rtol=0, atol=1e-8)
    torch.testing.assert_close(log_slope, torch.zeros_like(edge), rtol=0, atol=1e-5)


@BOTH
def test_the_parameters_may_come_first(inverse: bool) -> None:
    x, parameters = torch.linspace(-2, 2, 20).reshape(4, 5).double(), random_parameters(6, 4, 5)
    last = rational_quadratic(x, parameters, bound=BOUND, inverse=inverse)
    first = rational_quadratic(x, parameters.movedim(-1, 0), bound=BOUND, inverse=inverse, dim=0)
    for a, b in zip(first, last, strict=True):
        assert torch.equal(a, b)


def test_no_values_at_all() -> None:
    parameters = torch.zeros(0, 3, spline_parameters(BINS), requires_grad=True)
    y, log_slope = rational_quadratic(torch.zeros(0, 3), parameters, bound=BOUND)
    assert y.shape == log_slope.shape == (0, 3)
    (y + log_slope).sum().backward()
