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
    x: Tensor, parameters: Tensor, *, bound: float, inverse: bool = False, dim: int = -1
) -> tuple[Tensor, Tensor]:
    """Transform element by element; the identity outside of ``(-bound, bound)``.

    Args:
        x: Values, ``(*)``.
        parameters: Unconstrained widths, heights and inner derivatives, ``(*, 3 K - 1)``; all zero
            is the identity.
        bound: Half width of the domain.
        inverse: Undo the transformation.
        dim: The dimension of ``parameters`` that counts them, if not the last: contiguous
            parameters with 0 are the fastest.

    Returns:
        The values and the logarithm of the derivative of what was applied, ``(*)`` each.
    """
    inside = x.abs() < bound
    value = x.clamp(-bound, bound)
    leading = parameters.movedim(dim, 0).to(x.dtype).contiguous()
    piece = _piece(value, leading, bound, inverse=inverse)
    result, log_slope = _backward(value, piece) if inverse else _forward(value, piece)
    return torch.where(inside, result, x), log_slope * inside


class _Piece(NamedTuple):
    """One bin: lower corner, sizes, and the derivatives at its ends."""

    x: Tensor
    y: Tensor
    width: Tensor
    height: Tensor
    start: Tensor
    end: Tensor


def _piece(value: Tensor, parameters: Tensor, bound: float, *, inverse: bool) -> _Piece:
    bins = (parameters.shape[0] + 1) // 3
    sizes, slopes = torch.split(parameters, [2 * bins, bins - 1])
    bounded = _bounded(sizes, _SHARPNESS)
    shares = bounded.reshape(2, bins, *value.shape).softmax(dim=1)  # widths and heights
    below = _below((value + bound) / (2 * bound), shares[int(inverse)])
    index = below.sum(dim=0, keepdim=True).long()
    # a masked sum: the gradient of a cumulative sum would cost more
    low = 2 * bound * (below * shares).sum(dim=1) - bound
    size = 2 * bound * shares.gather(1, index.expand(2, 1, *value.shape)).squeeze(1)
    padded = functional.pad(slopes, (0, 0) * value.ndim + (1, 1))  # derivative one at both ends
    start, end = _bounded(padded.gather(0, torch.cat([index, index + 1])), _LOG_SLOPE).exp()
    return _Piece(low[0], low[1], size[0], size[1], start, end)


@torch.no_grad()
def _below(value: Tensor, shares: Tensor) -> Tensor:
    """Which bins ``(K, *)`` end below values ``(*)`` in [0, 1]: ones and zeros."""
    # comparing exports to ONNX, searchsorted does not
    below = (shares.cumsum(dim=0) < value).to(value.dtype)
    below[-1] = 0.0  # the last bin ends at 1, but for rounding
    return below


def _bounded(x: Tensor, limit: float) -> Tensor:
    """Soft clipping to (-limit, limit), the identity near zero."""
    return x / (1 + x.abs() / limit)


def _forward(value: Tensor, piece: _Piece) -> tuple[Tensor, Tensor]:
    rise, log_slope = _curve((value - piece.x) / piece.width, piece)
    return piece.y + piece.height * rise, log_slope


def _backward(value: Tensor, piece: _Piece) -> tuple[Tensor, Tensor]:
    slope = piece.height / piece.width
    rise = (value - piece.y) / piece.height
    bent = rise * (piece.start + piece.end - 2 * slope)
    a, b, c = slope - piece.start + bent, piece.start - bent, -slope * rise
    # rounding could make the square negative, and a root of zero has no gradient
    root = (b.square() - 4 * a * c).clamp_min(1e-12).sqrt()
    # one solution in two forms, each of which cancels where the other does not
    first, second = -2 * c / (b + root).clamp_min(1e-12), (root - b) / (2 * a).clamp_min(1e-12)
    theta = torch.where(b > 0, first, second).clamp(0.0, 1.0)
    return piece.x + theta * piece.width, -_curve(theta, piece)[1]


def _curve(theta: Tensor, piece: _Piece) -> tuple[Tensor, Tensor]:
    """Equations 4 and 5 of arXiv:1906.04032: the rise in a bin, 0 to 1, and ln(dy/dx)."""
    slope = piece.height / piece.width
    rest = 1 - theta
    square, mixed = theta * theta, theta * rest
    below = slope + (piece.start + piece.end - 2 * slope) * mixed
    rise = (slope * square + piece.start * mixed) / below
    above = piece.end * square + 2 * slope * mixed + piece.start * rest * rest
    ratio = slope / below
    return rise, (above * ratio * ratio).log()
