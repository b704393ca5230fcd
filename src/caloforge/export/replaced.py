"""Functions of torch that ONNX, or ONNX Runtime in double precision, has not, made of those that it has."""

from __future__ import annotations

import math
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.polynomial import chebyshev
from scipy.special import erfcx
from torch.overrides import TorchFunctionMode

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

__all__ = ["Replaced", "erfc", "normal_cdf", "normal_quantile", "search_sorted"]

_MOST = 1 << 24  # elements of a table whose size only the data tell
_DEGREE = 31  # of the polynomials: errors are those of rounding


def search_sorted(
    table: Tensor, values: Tensor, *, out_int32: bool = False, right: bool = False, **others: Any
) -> Tensor:
    """``torch.searchsorted`` in a table ``(N,)``, by bisection: int64, of the shape of ``values``.

    Args:
        table: Rising numbers.
        values: What to find the place of.
        out_int32: Must be false.
        right: Whether the place behind equal numbers is asked for.
        others: ``side`` and ``sorter``, which must not be given.
    """
    if out_int32 or table.dim() != 1 or any(value is not None for value in others.values()):
        msg = "searchsorted is exported for tables of one dimension, without side and sorter"
        raise NotImplementedError(msg)
    size = table.shape[0]
    padded = torch.cat([table, table.new_zeros(1)])  # an empty table has a place to look at
    place = torch.zeros_like(values, dtype=torch.int64)
    known: Any = size  # a number, or what stands for one that only data tell
    step = 1 << (known if isinstance(known, int) else _MOST).bit_length()
    while step > 1:
        step //= 2
        probe = place + step
        inside = probe <= size
        found = padded[torch.where(inside, probe - 1, size)]
        below = found <= values if right else found < values
        place = torch.where(inside & below, probe, place)
    return place


def erfc(x: Tensor) -> Tensor:
    """The complementary error function, float64, with a relative error of a few roundings."""
    size = x.abs()
    t = 2 / (2 + size)
    tail = t * (_polynomial(_erfc_coefficients(), 2 * t - 1) - size * size).exp()
    return torch.where(x < 0, 2 - tail, tail)


def normal_cdf(x: Tensor) -> Tensor:
    """``torch.special.ndtr``: the probability of less than x under a standard normal distribution."""
    return (0.5 * erfc(x.double() / -math.sqrt(2))).to(x.dtype)


def normal_quantile(share: Tensor) -> Tensor:
    """``torch.special.ndtri``, for shares inside of (0, 1)."""
    double = share.double()
    small = torch.minimum(double, 1 - double)
    # three digits, then steps of Newton's rule on the logarithm, each of which doubles them
    guess = _tail_guess(small)
    for _ in range(3):
        below = 0.5 * erfc(-guess / math.sqrt(2))
        density = (-0.5 * guess * guess).exp() / math.sqrt(2 * math.pi)
        guess = guess - below * (below / small).log() / density
    return torch.where(double < 0.5, guess, -guess).to(share.dtype)


class Replaced(TorchFunctionMode):
    """Calls the functions above in place of torch's, while a sampler is traced."""

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        """As of ``TorchFunctionMode``."""
        return _replacements().get(func, func)(*args, **(kwargs or {}))


@cache
def _replacements() -> dict[Any, Callable[..., Any]]:
    """What stands for which function of torch."""
    return {
        torch.searchsorted: search_sorted,
        torch.bucketize: _bucketize,
        torch.special.ndtr: normal_cdf,
        torch.special.ndtri: normal_quantile,
        torch.special.erfc: erfc,
        torch.erfc: erfc,
        torch.Tensor.erfc: erfc,
        torch.hypot: _hypotenuse,
        torch.Tensor.hypot: _hypotenuse,
    }


def _bucketize(values: Tensor, table: Tensor, **options: Any) -> Tensor:
    return search_sorted(table, values, **options)


def _hypotenuse(x: Tensor, y: Tensor) -> Tensor:
    return (x * x + y * y).sqrt()


def _tail_guess(small: Tensor) -> Tensor:
    """The quantile of a share up to one half, to three digits (Abramowitz and Stegun 26.2.23)."""
    t = (-2 * small.log()).sqrt()
    above = 2.515517 + t * (0.802853 + t * 0.010328)
    below = 1 + t * (1.432788 + t * (0.189269 + t * 0.001308))
    return above / below - t


def _polynomial(coefficients: tuple[float, ...], x: Tensor) -> Tensor:
    """A sum of Chebyshev's polynomials (Clenshaw's rule)."""
    first, second = torch.zeros_like(x), torch.zeros_like(x)
    for coefficient in reversed(coefficients[1:]):
        first, second = 2 * x * first - second + coefficient, first
    return x * first - second + coefficients[0]


@cache
def _erfc_coefficients() -> tuple[float, ...]:
    """Of ln(erfcx(z) / t) in t = 2 / (2 + z), which is smooth: fitted at Chebyshev's nodes."""

    def smooth(x: Any) -> Any:
        t = np.clip((x + 1) / 2, 1e-300, None)
        return np.log(erfcx(2 / t - 2) / t)

    return tuple(chebyshev.chebinterpolate(smooth, _DEGREE).tolist())
