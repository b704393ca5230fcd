"""Monotonic splines that zuko does not have."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch.distributions import Transform, constraints
from torch.nn import functional

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["MonotonicLRSTransform"]


class MonotonicLRSTransform(Transform):
    """Monotonic linear-rational spline; the identity outside of ``[-bound, bound]``.

    Every bin holds two linear-rational pieces that meet at the fraction ``lambda`` of the bin, so
    that the inverse needs no square root (no negative discriminants, unlike rational-quadratic
    splines). Source: arXiv:2001.05168, algorithm 1.

    Args:
        widths: Unconstrained bin widths, ``(*, K)``.
        heights: Unconstrained bin heights, ``(*, K)``.
        derivatives: Unconstrained derivatives at the inner knots, ``(*, K - 1)``.
        lambdas: Unconstrained meeting points, ``(*, K)``.
        bound: Half width of the domain.
        slope: Smallest relative bin size and derivative.
    """

    domain = constraints.real
    codomain = constraints.real
    bijective = True
    sign = +1

    def __init__(
        self,
        widths: Tensor,
        heights: Tensor,
        derivatives: Tensor,
        lambdas: Tensor,
        *,
        bound: float = 5.0,
        slope: float = 1e-3,
    ) -> None:
        super().__init__()
        self.bound = bound
        self.x = _knots(widths, bound, slope)
        self.y = _knots(heights, bound, slope)
        log_slope = math.log(slope)
        inner = (derivatives / (1 + abs(derivatives / log_slope))).exp()
        self.d = functional.pad(inner, (1, 1), value=1.0)
        self.lam = 0.025 + 0.95 * torch.sigmoid(lambdas)

    def _call(self, x: Tensor) -> Tensor:
        return self.call_and_ladj(x)[0]

    def _inverse(self, y: Tensor) -> Tensor:
        inside, piece = self._piece(y, self.y)
        x0, x1, y0, y1, ym, lam, w0, w1, wm = piece
        v = y.clamp(-self.bound, self.bound)
        low = lam * w0 * (y0 - v) / (w0 * (y0 - v) + wm * (v - ym))
        high = (lam * w1 * (y1 - v) + wm * (v - ym)) / (w1 * (y1 - v) + wm * (v - ym))
        theta = torch.where(v <= ym, low, high)
        return torch.where(inside, x0 + theta * (x1 - x0), y)

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor) -> Tensor:  # noqa: ARG002 (torch's signature)
        """Logarithm of the derivative at ``x``."""
        return self.call_and_ladj(x)[1]

    def call_and_ladj(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """The spline and the logarithm of its derivative."""
        inside, piece = self._piece(x, self.x)
        x0, x1, y0, y1, ym, lam, w0, w1, wm = piece
        theta = ((x - x0) / (x1 - x0)).clamp(0, 1)
        left = theta <= lam
        wa, ya, wb, yb = _pick(left, (w0, y0, wm, ym), (wm, ym, w1, y1))
        a = torch.where(left, lam - theta, 1 - theta) * wa
        b = torch.where(left, theta, theta - lam) * wb
        span = torch.where(left, lam, 1 - lam)
        value = (a * ya + b * yb) / (a + b)
        slope = span * wa * wb * (yb - ya) / ((a + b).square() * (x1 - x0))
        log_slope = slope.clamp_min(1e-12).log()
        return torch.where(inside, value, x), torch.where(inside, log_slope, torch.zeros_like(x))

    def _piece(self, value: Tensor, knots: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
        # counting knots below exports to ONNX, searchsorted does not
        index = (knots[..., 1:-1] < value[..., None]).sum(dim=-1, keepdim=True)
        inside = value.abs() <= self.bound

        def at(values: Tensor, shift: int = 0) -> Tensor:
            return values.expand(*index.shape[:-1], -1).gather(-1, index + shift).squeeze(-1)

        x0, x1, y0, y1 = at(self.x), at(self.x, 1), at(self.y), at(self.y, 1)
        d0, d1, lam = at(self.d), at(self.d, 1), at(self.lam)
        w0, w1 = torch.ones_like(d0), (d0 / d1).sqrt()
        ym = ((1 - lam) * w0 * y0 + lam * w1 * y1) / ((1 - lam) * w0 + lam * w1)
        wm = (lam * w0 * d0 + (1 - lam) * w1 * d1) * (x1 - x0) / (y1 - y0)
        return inside, (x0, x1, y0, y1, ym, lam, w0, w1, wm)


def _knots(sizes: Tensor, bound: float, slope: float) -> Tensor:
    sizes = sizes / (1 + abs(2 * sizes / math.log(slope)))
    shares = functional.pad(functional.softmax(sizes, dim=-1), (1, 0), value=0.0)
    return bound * (2 * shares.cumsum(dim=-1) - 1)


def _pick(condition: Tensor, first: tuple[Tensor, ...], second: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    return tuple(torch.where(condition, a, b) for a, b in zip(first, second, strict=True))
