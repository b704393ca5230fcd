"""How many points a model must draw so that as many cells light up as in Geant4."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import torch

from caloforge.preprocessing.base import Fitted

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["CalibrationKind", "HitCalibration"]

CalibrationKind = Literal["total", "layers"]

_DEGREE = 3


class HitCalibration(Fitted):
    """Scale the numbers of points: N' = P_fake(P_real(N)), both cubic (arXiv:2309.05704).

    ``P_real`` maps Geant4 points to cells above threshold, ``P_fake`` cells to the points that the
    model needs. Independent points rarely share a cell, so the model needs fewer than Geant4.
    Outside of the fitted range the scale of its edge is kept, where a cubic would run away.

    Args:
        kind: ``total`` scales all layers of a shower alike by its total number of points, as
            published; ``layers`` has a pair of cubics (through the origin) for every layer.
        n_layers: Layers.
    """

    real: Tensor
    fake: Tensor
    count_range: Tensor

    def __init__(self, kind: CalibrationKind, n_layers: int) -> None:
        super().__init__()
        self.kind = kind
        groups = 1 if kind == "total" else n_layers
        for name in ("real", "fake"):
            self.register_buffer(name, torch.zeros(groups, _DEGREE + 1, dtype=torch.float64))
        self.register_buffer("count_range", torch.zeros(2, groups, dtype=torch.float64))

    def fit(self, points: Tensor, hits: Tensor, drawn: Tensor, lit: Tensor) -> None:
        """Fit both polynomials.

        Args:
            points: Points of the Geant4 showers, ``(B, L)``.
            hits: Their cells above threshold, ``(B, L)``.
            drawn: Points of the generated showers, ``(B, L)``.
            lit: Their cells above threshold, ``(B, L)``.
        """
        points, hits, drawn, lit = (self._grouped(n).double() for n in (points, hits, drawn, lit))
        self.real.copy_(_cubics(points, hits, through_origin=self.kind == "layers"))
        self.fake.copy_(_cubics(lit, drawn, through_origin=self.kind == "layers"))
        edges = torch.tensor([0.005, 0.995], dtype=torch.float64)
        self.count_range.copy_(torch.quantile(points, edges, dim=0).clamp_min(1.0))
        self._done()

    def forward(self, counts: Tensor) -> Tensor:
        """Scale counts ``(B, L)``; they are returned as they are before it is fitted."""
        if not self.is_fitted:
            return counts
        n = self._grouped(counts).double().clamp(self.count_range[0], self.count_range[1])
        scale = _values(self.fake, _values(self.real, n).clamp_min(0.0)) / n
        return counts * scale.clamp(0.05, 5.0).to(counts.dtype)

    def _grouped(self, counts: Tensor) -> Tensor:
        return counts.sum(1, keepdim=True) if self.kind == "total" else counts


def _cubics(x: Tensor, y: Tensor, *, through_origin: bool) -> Tensor:
    """Least squares of every column of ``y`` on powers of that of ``x``, ``(B, G)`` to ``(G, 4)``."""
    unit = x.mean(0).clamp_min(1.0)
    powers = torch.stack([(x / unit) ** k for k in range(_DEGREE + 1)], dim=-1)
    if through_origin:
        powers[..., 0] = 0.0
    weight = (x / unit).clamp_min(0.05).reciprocal()  # counts scatter like their square root
    weighted = (powers * weight[..., None]).permute(1, 2, 0)
    ridge = 1e-6 * len(x) * torch.eye(_DEGREE + 1, dtype=x.dtype, device=x.device)
    normal = weighted @ powers.transpose(0, 1) + ridge
    solution = torch.linalg.solve(normal, weighted @ y.T[..., None])[..., 0]
    scaled: Tensor = solution / unit[:, None] ** torch.arange(_DEGREE + 1, device=x.device)
    return scaled


def _values(coefficients: Tensor, x: Tensor) -> Tensor:
    """Evaluate the polynomials ``(G, 4)`` at ``(B, G)``."""
    return torch.stack([c * x**k for k, c in enumerate(coefficients.T)]).sum(0)
