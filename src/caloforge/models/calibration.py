"""How many points a model must draw so that as many cells light up as in Geant4."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from caloforge.preprocessing.base import Fitted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

__all__ = ["HitCalibration"]

_DEGREE = 3


class HitCalibration(Fitted):
    """Scale the number of points: N' = P_fake(P_real(N)), both cubic (arXiv:2309.05704).

    ``P_real`` maps Geant4 points to cells above threshold, ``P_fake`` cells to the points that the
    model needs. Independent points rarely share a cell, so the model needs fewer than Geant4.
    Outside of the fitted range the scale of its edge is kept, where a cubic would run away.
    """

    real: Tensor
    fake: Tensor
    count_range: Tensor

    def __init__(self) -> None:
        super().__init__()
        for name in ("real", "fake"):
            self.register_buffer(name, torch.zeros(_DEGREE + 1, dtype=torch.float64))
        self.register_buffer("count_range", torch.tensor([0.0, 1.0], dtype=torch.float64))

    def fit(self, points: Tensor, hits: Tensor, drawn: Tensor, lit: Tensor) -> None:
        """Fit both polynomials.

        Args:
            points: Points of the Geant4 showers, ``(B,)``.
            hits: Their cells above threshold, ``(B,)``.
            drawn: Points of the generated showers, ``(B,)``.
            lit: Their cells above threshold, ``(B,)``.
        """
        self.real.copy_(_cubic(points, hits))
        self.fake.copy_(_cubic(lit, drawn))
        edges = torch.quantile(points.double(), torch.tensor([0.005, 0.995], dtype=torch.float64))
        self.count_range.copy_(edges)
        self._done()

    def forward(self, counts: Tensor) -> Tensor:
        """Factor by which to scale the numbers of points ``(B,)``; 1 before it is fitted."""
        if not bool(self.fitted):
            return torch.ones_like(counts)
        n = counts.double().clamp(self.count_range[0], self.count_range[1])
        scale = _value(self.fake, _value(self.real, n)) / n
        return scale.clamp(0.05, 5.0).to(counts.dtype)

    def coefficients(self) -> dict[str, Sequence[float]]:
        """Both polynomials, lowest power first, for the card."""
        return {"points_to_hits": self.real.tolist(), "hits_to_points": self.fake.tolist()}


def _cubic(x: Tensor, y: Tensor) -> Tensor:
    x, y = x.double(), y.double()
    unit = x.mean().clamp_min(1.0)
    powers = torch.stack([(x / unit) ** k for k in range(_DEGREE + 1)], dim=1)
    ridge = 1e-9 * len(x) * torch.eye(_DEGREE + 1, dtype=torch.float64, device=x.device)
    solution: Tensor = torch.linalg.solve(powers.T @ powers + ridge, powers.T @ y)
    scaled: Tensor = solution / unit ** torch.arange(_DEGREE + 1, device=x.device)
    return scaled


def _value(coefficients: Tensor, x: Tensor) -> Tensor:
    return torch.stack([c * x**k for k, c in enumerate(coefficients)]).sum(0)
