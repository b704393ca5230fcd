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
_NODES = 65  # of the table of scales
_STEP = 1.3  # cells grow more slowly than points
_SMALLEST = 0.05


class HitCalibration(Fitted):
    """Scale the numbers of points so that the model's cells are as many as those of Geant4.

    Independent points rarely share a cell, so a model needs fewer of them than Geant4 has. As in
    arXiv:2309.05704 cubics tell the number of cells above threshold from the number of points, one
    for Geant4 and one for the model. Published is one composition of both; here the scale is
    multiplied by their ratio, round after round, until they agree: fewer points carry more energy
    each, and the scatter of the cells would bias a fit of points on cells.

    Args:
        kind: ``total`` scales all layers of a shower alike by its total number of points, as
            published; ``layers`` has a scale (from parabolas through the origin) for every layer.
        n_layers: Layers.
    """

    largest: Tensor
    scale: Tensor

    def __init__(self, kind: CalibrationKind, n_layers: int) -> None:
        super().__init__()
        self.kind = kind
        groups = 1 if kind == "total" else n_layers
        self.register_buffer("largest", torch.ones(groups, dtype=torch.float64))
        self.register_buffer("scale", torch.ones(groups, _NODES, dtype=torch.float64))

    def reset(self) -> None:
        """Forget what was fitted."""
        self.fitted.fill_(value=False)
        self.scale.fill_(1.0)

    def fit(self, points: Tensor, hits: Tensor, drawn: Tensor, lit: Tensor) -> None:
        """Improve the scale by one round.

        Args:
            points: Points of the Geant4 showers, ``(B, L)``.
            hits: Their cells above threshold, ``(B, L)``.
            drawn: Points of the generated showers before they are scaled, ``(B, L)``.
            lit: Their cells above threshold after they are scaled as this says now, ``(B, L)``.
        """
        points, hits, drawn, lit = (self._grouped(n).double() for n in (points, hits, drawn, lit))
        if not self.is_fitted:
            self.largest.copy_(torch.quantile(points, 0.995, dim=0).clamp_min(1.0))
        nodes = (self.largest[:, None] * torch.linspace(0, 1, _NODES, dtype=torch.float64)[1:]).T
        origin = self.kind == "layers"
        wanted, found = (
            _values(_cubics(x, y, through_origin=origin), nodes).clamp_min(1e-6)
            for x, y in ((points, hits), (drawn, lit))
        )
        step = (wanted / found).clamp(0.2, 5.0).pow(_STEP)
        self.scale[:, 1:] = (self.scale[:, 1:] * step.T).clamp(_SMALLEST, 1.0)
        self.scale[:, 0] = self.scale[:, 1]
        self._done()

    def forward(self, counts: Tensor) -> Tensor:
        """Scale counts ``(B, L)``; they are returned as they are before it is fitted."""
        if not self.is_fitted:
            return counts
        place = (self._grouped(counts) / self.largest * (_NODES - 1)).clamp(0, _NODES - 1)
        below = place.floor().clamp(max=_NODES - 2).long()
        low, high = (self.scale.T.gather(0, below + k) for k in (0, 1))
        return counts * torch.lerp(low, high, place - below).to(counts.dtype)

    def _grouped(self, counts: Tensor) -> Tensor:
        return counts.sum(1, keepdim=True) if self.kind == "total" else counts


def _cubics(x: Tensor, y: Tensor, *, through_origin: bool) -> Tensor:
    """Least squares of every column of ``y`` on powers of that of ``x``, ``(B, G)`` to ``(G, 4)``."""
    unit = x.mean(0).clamp_min(1.0)
    powers = torch.stack([(x / unit) ** k for k in range(_DEGREE + 1)], dim=-1)
    if through_origin:  # and no cube: a layer's few points do not pin it down
        powers[..., [0, _DEGREE]] = 0.0
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
