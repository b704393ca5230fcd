"""A monotone map of single cells' energies, so that their spectrum is that of Geant4 (2405.20407)."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import torch
from scipy.interpolate import PchipInterpolator

from caloforge.preprocessing.base import Fitted

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["HitMap"]

_NODES = 128
_FEWEST = 2  # energies that can be compared


class HitMap(Fitted):
    """Energies above threshold to others, by a cubic of u = ln(e / threshold) / ln(largest / threshold).

    Both samples are sorted and averaged in bins of u; the cubic goes through these nodes and the origin. It
    is that of Fritsch and Carlson, which rises where the nodes do: a plain cubic spline need not, and would
    exchange cells. Above the last node the shift is that of the last node.

    Args:
        threshold: Of the cells [MeV].
    """

    largest: Tensor
    nodes: Tensor

    def __init__(self, threshold: float) -> None:
        super().__init__()
        self.threshold = threshold
        self.register_buffer("largest", torch.ones((), dtype=torch.float64))
        straight = torch.linspace(0, 1, _NODES + 1, dtype=torch.float64)
        self.register_buffer("nodes", torch.stack([straight, straight, torch.ones_like(straight)]))

    def fit(self, wanted: Tensor, drawn: Tensor) -> None:
        """Take the map from energies [MeV] of Geant4's cells and of generated ones, ``(N,)``, ``(M,)``."""
        if min(len(wanted), len(drawn)) < _FEWEST or self.threshold <= 0:
            return
        self.largest.copy_(torch.maximum(wanted.max(), drawn.max()).clamp_min(self.threshold * math.e))
        target, source = (self._unit(v).sort().values.cpu().numpy() for v in (wanted, drawn))
        place = np.linspace(0, len(target) - 1, len(source))
        target = np.interp(place, np.arange(len(target)), target)
        bins = np.minimum((source * _NODES).astype(np.int64), _NODES - 1)
        number = np.bincount(bins, minlength=_NODES)
        x, y = (np.bincount(bins, v, _NODES)[number > 0] / number[number > 0] for v in (source, target))
        self.nodes.copy_(torch.from_numpy(_curve(x, y)))
        self._done()

    def forward(self, energy: Tensor) -> Tensor:
        """Energies [MeV] of any shape; those below threshold, and all before it is fitted, stay."""
        if not self.is_fitted:
            return energy
        u = self._unit(energy.double().clamp_min(self.threshold))
        x, y, slope = self.nodes
        right = torch.searchsorted(x, u.contiguous()).clamp(1, len(x) - 1)
        left = right - 1
        width = (x[right] - x[left]).clamp_min(1e-12)
        t = ((u - x[left]) / width).clamp(0, 1)
        rise = y[right] - y[left]
        bent = (slope[left] * width - rise) * (1 - t) + (rise - slope[right] * width) * t
        mapped = y[left] + t * rise + t * (1 - t) * bent + (u - x[-1]).clamp_min(0)
        made = self.threshold * (mapped * self._log_largest).exp()
        return torch.where(energy >= self.threshold, made.to(energy.dtype), energy)

    @property
    def _log_largest(self) -> Tensor:
        return (self.largest / self.threshold).log()

    def _unit(self, energy: Tensor) -> Tensor:
        return (energy.double() / self.threshold).log() / self._log_largest


def _curve(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Nodes, values and slopes ``(3, nodes + 1)``, with the origin in front and the last one repeated."""
    x, y = np.maximum.accumulate(x), np.maximum.accumulate(y)
    rising = np.concatenate([[x[0] > 0], np.diff(x) > 1e-9])
    x, y = np.concatenate([[0.0], x[rising]]), np.concatenate([[0.0], y[rising]])
    if len(x) < _FEWEST:
        x, y = np.array([0.0, 1.0]), np.array([0.0, 1.0])
    slope = PchipInterpolator(x, y).derivative()(x)
    rest = _NODES + 1 - len(x)
    return np.pad(np.stack([x, y, slope]), ((0, 0), (0, rest)), mode="edge")
