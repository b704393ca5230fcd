"""Drawn numbers, mapped to the distributions that they have in training showers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

from caloforge.models.totals.root import log_mean

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["MeanMaps", "QuantileMaps"]

_NUMBERS = (2, 3, 5, 10)  # hits that the second and later classes begin with
_KNOTS = 65
_LEAST_ROWS = 200  # of a class, in both samples: others stay as they are
_TINY = 1e-9


class QuantileMaps(nn.Module):
    """A monotone map for every class of numbers.

    Between the quantiles of what was drawn and of what is real it is linear, and a shift beyond them.
    Ranks stay, and so do correlations.

    Args:
        classes: How many.
    """

    drawn: Tensor
    real: Tensor

    def __init__(self, classes: int) -> None:
        super().__init__()
        same = torch.arange(_KNOTS, dtype=torch.float32).repeat(classes, 1)
        for name in ("drawn", "real"):
            self.register_buffer(name, same.clone())

    def fit(self, drawn: tuple[Tensor, Tensor], real: tuple[Tensor, Tensor]) -> None:
        """Take the quantiles of two samples: classes and values, ``(N,)`` each."""
        for number in range(len(self.drawn)):
            own, wanted = (value[key == number] for key, value in (drawn, real))
            if min(len(own), len(wanted)) >= _LEAST_ROWS:
                self.drawn[number], self.real[number] = _quantiles(own), _quantiles(wanted)

    def forward(self, key: Tensor, value: Tensor) -> Tensor:
        """Mapped values ``(N,)`` float64 of classes ``key``."""
        start, goal = self.drawn[key].double(), self.real[key].double()
        upper = (value[:, None] > start).sum(1).clamp(1, _KNOTS - 1)[:, None]
        low, high = start.gather(1, upper - 1), start.gather(1, upper)
        share = ((value[:, None] - low) / (high - low).clamp_min(_TINY)).clamp(0.0, 1.0)
        mapped = torch.lerp(goal.gather(1, upper - 1), goal.gather(1, upper), share)
        return (mapped + value[:, None] - torch.lerp(low, high, share))[:, 0]


class MeanMaps(nn.Module):
    """Maps of the logarithms of mean energies: for every region and class of numbers of hits.

    Args:
        regions: Regions ``R``.
    """

    def __init__(self, regions: int) -> None:
        super().__init__()
        self.classes = len(_NUMBERS) + 1
        self.maps = QuantileMaps(regions * self.classes)

    def fit(self, drawn: tuple[Tensor, Tensor], real: tuple[Tensor, Tensor]) -> None:
        """Take the quantiles of two samples: hits and energies above threshold, ``(B, L, R)`` each."""
        self.maps.fit(self._classes(*drawn), self._classes(*real))

    def forward(self, hits: Tensor, energy: Tensor) -> Tensor:
        """Mapped energies above threshold, ``(B, L, R)``; of groups without hits as they are."""
        mean = log_mean(hits, energy)
        region = torch.arange(hits.shape[2], device=hits.device).expand(hits.shape)
        mapped = self.maps(self._class(region, hits).flatten(), mean.flatten()).view_as(mean)
        return torch.where(hits > 0, hits * mapped.exp(), energy)

    def _classes(self, hits: Tensor, energy: Tensor) -> tuple[Tensor, Tensor]:
        """Class and logarithm of the mean of all groups that have hits, ``(N,)`` each."""
        shower, layer, region = (hits > 0).nonzero(as_tuple=True)
        own = hits[shower, layer, region]
        return self._class(region, own), log_mean(own, energy[shower, layer, region])

    def _class(self, region: Tensor, hits: Tensor) -> Tensor:
        starts = torch.tensor(_NUMBERS, dtype=hits.dtype, device=hits.device)
        return region * self.classes + torch.searchsorted(starts, hits, right=True)


def _quantiles(values: Tensor) -> Tensor:
    """Quantiles of ``(N,)`` numbers, from the middle of the first of equal parts to that of the last."""
    level = (torch.arange(_KNOTS, dtype=values.dtype, device=values.device) + 0.5) / _KNOTS
    ordered = values.sort().values
    place = level * (len(ordered) - 1)
    low = place.floor().long()
    found = torch.lerp(ordered[low], ordered[(low + 1).clamp(max=len(ordered) - 1)], place - low)
    return found.float()
