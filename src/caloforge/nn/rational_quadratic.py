"""The monotonic rational-quadratic spline of neural spline flows (arXiv:1906.04032)."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch
from torch.nn import functional

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["rational_quadratic", "spline_parameters"]

_LOG_SLOPE = 7.0  # |ln(derivative at a knot)| stays below: exp(7) is about 1000
_SHARPNESS = 3.5  # |ln(bin size)| before normalisation stays below: sizes differ by exp(7) at most


def spline_parameters(bins: int) -> int:
    """Parameters of one spline: widths, heights and the derivatives at the inner knots."""
    return 3 * bins - 1


def rational_quadratic(
    x: Tensor, parameters: Tensor, *, bound: float, inverse: bool = False
) -> tuple[Tensor, Tensor]:
    """Transform element by element; the identity outside of ``[-bound, bound]``.

    Args:
        x: Values, ``(*)``.
        parameters: Unconstrained widths, heights and inner derivatives, ``(*, 3 K - 1)``; all zero
            is the identity.
        bound: Half width of the domain.
        inverse: Undo the transformation.

    Returns:
        The values and the logarithm of the derivative of what was applied, ``(*)`` each.
    """
    inside = (x > -bound) & (x < bound)
    value = x.clamp(-bound, bound)
    piece = _piece(value, parameters, bound, inverse=inverse)
    result, log_slope = _backward(value, piece) if inverse else _forward(value, piece)
    return torch.where(inside, result, x), torch.where(inside, log_slope, torch.zeros_like(x))


class _Piece(NamedTuple):
    """One bin: lower corner, sizes, and the derivatives at its ends."""

    x: Tensor
    y: Tensor
    width: Tensor
    height: Tensor
    start: Tensor
    end: Tensor


def _piece(value: Tensor, parameters: Tensor, bound: float, *, inverse: bool) -> _Piece:
    bins = (parameters.shape[-1] + 1) // 3
    widths, heights = parameters[..., :bins], parameters[..., bins : 2 * bins]
    x, y = _knots(widths, bound), _knots(heights, bound)
    # counting knots below exports to ONNX, searchsorted does not
    knots = (y if inverse else x)[..., 1:-1]
    index = (knots < value[..., None]).sum(dim=-1, keepdim=True)
    ends = torch.cat([index, index + 1], dim=-1)
    x0, x1 = x.gather(-1, ends).unbind(-1)
    y0, y1 = y.gather(-1, ends).unbind(-1)
    padded = functional.pad(parameters[..., 2 * bins :], (1, 1)).gather(
        -1, ends
    )  # derivative one at both ends
    start, end = _bounded(padded, _LOG_SLOPE).exp().unbind(-1)
    return _Piece(x0, y0, x1 - x0, y1 - y0, start, end)


def _knots(sizes: Tensor, bound: float) -> Tensor:
    # a softmax and its sums; bounded sizes need no maximum taken out, and no floor
    ends = _bounded(sizes, _SHARPNESS).exp().cumsum(dim=-1)
    return functional.pad(ends / ends[..., -1:] * (2 * bound) - bound, (1, 0), value=-bound)


def _bounded(x: Tensor, limit: float) -> Tensor:
    """Soft clipping to (-limit, limit), the identity near zero."""
    return x / (1 + x.abs() / limit)


def _forward(value: Tensor, piece: _Piece) -> tuple[Tensor, Tensor]:
    theta = (value - piece.x) / piece.width
    return piece.y + piece.height * _share(theta, piece), _log_slope(theta, piece)


def _backward(value: Tensor, piece: _Piece) -> tuple[Tensor, Tensor]:
    slope = piece.height / piece.width
    rise = value - piece.y
    bend = piece.start + piece.end - 2 * slope
    a = piece.height * (slope - piece.start) + rise * bend
    b = piece.height * piece.start - rise * bend
    c = -slope * rise
    root = (b.square() - 4 * a * c).clamp_min(0.0).sqrt()  # rounding can make it negative
    theta = (2 * c / (-b - root).clamp_max(-1e-30)).clamp(0.0, 1.0)
    return piece.x + theta * piece.width, -_log_slope(theta, piece)


def _share(theta: Tensor, piece: _Piece) -> Tensor:
    """Equation 4 of arXiv:1906.04032: the rise inside of a bin, from 0 to 1."""
    slope = piece.height / piece.width
    mixed = theta * (1 - theta)
    below = slope + (piece.start + piece.end - 2 * slope) * mixed
    return (slope * theta.square() + piece.start * mixed) / below


def _log_slope(theta: Tensor, piece: _Piece) -> Tensor:
    """Equation 5 of arXiv:1906.04032."""
    slope = piece.height / piece.width
    rest = 1 - theta
    mixed = theta * rest
    above = piece.end * theta.square() + 2 * slope * mixed + piece.start * rest.square()
    below = slope + (piece.start + piece.end - 2 * slope) * mixed
    return 2 * slope.log() + above.log() - 2 * below.log()
