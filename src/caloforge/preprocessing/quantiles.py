"""Any continuous distribution to a standard normal one and back, by a table of its quantiles."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from caloforge.preprocessing.base import Fitted

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["QuantileTransform"]

_SMALLEST_STEP = 1e-12  # between two quantiles, in units of their range or of one


class QuantileTransform(Fitted):
    """Numbers to normally distributed ones; beyond the data's ends the transform stays at them.

    Args:
        knots: Entries of the table.
        reach: Largest normal number in the table.
    """

    normal: Tensor
    value: Tensor

    def __init__(self, knots: int = 513, *, reach: float = 4.0) -> None:
        super().__init__()
        for name in ("normal", "value"):
            self.register_buffer(name, torch.linspace(-reach, reach, knots, dtype=torch.float64))

    def fit(self, values: Tensor, *, lowest: float | None = None) -> None:
        """Take the quantiles of ``(N,)`` numbers.

        Args:
            values: The numbers.
            lowest: Where the table begins, when that is known better than from the data.
        """
        ordered = values.double().sort().values
        place = torch.special.ndtr(self.normal) * (len(ordered) - 1)
        place[0], place[-1] = 0, len(ordered) - 1
        low = place.floor().long()
        high = (low + 1).clamp(max=len(ordered) - 1)
        quantiles = torch.lerp(ordered[low], ordered[high], place - low)
        if lowest is not None:
            quantiles[0] = lowest
        step = _SMALLEST_STEP * (quantiles[-1] - quantiles[0]).clamp_min(1.0)
        rise = step * torch.arange(len(quantiles), dtype=torch.float64, device=values.device)
        self.value.copy_((quantiles - rise).cummax(0).values + rise)  # equal values still rise
        self._done()

    def forward(self, values: Tensor) -> Tensor:
        """Normally distributed numbers of ``values``, of any shape."""
        self._require_fitted()
        return _interpolate(values, self.value, self.normal)

    def inverse(self, target: Tensor) -> Tensor:
        """Values of normally distributed numbers."""
        self._require_fitted()
        return _interpolate(target, self.normal, self.value)


def _interpolate(x: Tensor, start: Tensor, goal: Tensor) -> Tensor:
    inside = x.double().clamp(start[0], start[-1])
    upper = torch.searchsorted(start, inside.contiguous()).clamp(1, len(start) - 1)
    share = (inside - start[upper - 1]) / (start[upper] - start[upper - 1])
    return torch.lerp(goal[upper - 1], goal[upper], share).to(torch.float32)
