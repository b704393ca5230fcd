"""Linear trends of many columns, each with rows of its own, and how the scatter about them grows."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from scipy.optimize import nnls
from torch import nn

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["CountScale", "LinearTrend"]

_RIDGE = 1.0
_NARROWEST = 1e-6
_LEAST_ROWS = 20  # columns with fewer have no trend
_LEAST_VARIANCE = 1e-4
_ROUNDS = 4
_CUT = 0.99  # of the squared residuals: larger ones count as this quantile


class LinearTrend(nn.Module):
    """Ridge regression of the columns of a target on standardised terms; float64.

    Args:
        terms: Numbers that a target is regressed on, ``T``.
        columns: Columns of the target, ``D``.
    """

    mean: Tensor
    width: Tensor
    weights: Tensor
    low: Tensor
    high: Tensor

    def __init__(self, terms: int, columns: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(terms, dtype=torch.float64))
        self.register_buffer("width", torch.ones(terms, dtype=torch.float64))
        self.register_buffer("weights", torch.zeros(terms + 1, columns, dtype=torch.float64))
        self.register_buffer("low", torch.zeros(columns, dtype=torch.float64))
        self.register_buffer("high", torch.zeros(columns, dtype=torch.float64))

    def fit(self, terms: Tensor, target: Tensor, known: Tensor) -> None:
        """Regress ``target`` ``(N, D)`` on ``terms`` ``(N, T)``; each column where it is ``known``."""
        self.mean.copy_(terms.mean(0))
        self.width.copy_(terms.std(0, correction=0) + _NARROWEST)
        matrix = self._standardised(terms)
        for column in range(target.shape[1]):
            rows = known[:, column]
            if int(rows.sum()) >= _LEAST_ROWS:
                self._fit_column(column, matrix[rows], target[rows, column])

    def forward(self, terms: Tensor) -> Tensor:
        """The trend ``(N, D)`` at ``terms`` ``(N, T)``; never beyond the targets of the fit."""
        trend: Tensor = torch.addmm(self.weights[0], self._standardised(terms)[:, 1:], self.weights[1:])
        return torch.minimum(torch.maximum(trend, self.low), self.high)

    def _fit_column(self, column: int, matrix: Tensor, target: Tensor) -> None:
        damping = _RIDGE * torch.eye(matrix.shape[1], dtype=matrix.dtype, device=matrix.device)
        damping[0, 0] = 0.0
        self.weights[:, column] = torch.linalg.solve(matrix.T @ matrix + damping, matrix.T @ target)
        self.low[column], self.high[column] = target.min(), target.max()

    def _standardised(self, terms: Tensor) -> Tensor:
        return nn.functional.pad((terms - self.mean) / self.width, (1, 0), value=1.0)


class CountScale(nn.Module):
    """Standard deviation of residuals: sqrt(a + b x + ...), where x is about one over a number of hits.

    Args:
        columns: Columns of the residuals, ``D``.
        inverses: Numbers such as x, ``K``.
    """

    terms: Tensor

    def __init__(self, columns: int, inverses: int = 1) -> None:
        super().__init__()
        self.register_buffer("terms", torch.ones(1 + inverses, columns, dtype=torch.float64))

    def fit(self, residuals: Tensor, inverse: Tensor, known: Tensor) -> None:
        """Take a, b ... from residuals ``(N, D)`` and ``inverse`` ``(N, K, D)``, where they are ``known``.

        A square of a residual scatters as much as its mean: rows count by one over its square.
        """
        for column in range(residuals.shape[1]):
            rows = known[:, column]
            if int(rows.sum()) >= _LEAST_ROWS:
                square = residuals[rows, column].square()
                square = square.clamp(max=float(square.quantile(_CUT)))
                matrix = nn.functional.pad(inverse[rows, :, column], (1, 0), value=1.0)
                self.terms[:, column] = _variances(matrix, square)

    def forward(self, inverse: Tensor, columns: slice = slice(None)) -> Tensor:
        """Standard deviations ``(N, D)`` of some columns, of which ``inverse`` ``(N, K, D)`` is."""
        terms = self.terms[:, columns]
        return (terms[0] + (terms[1:] * inverse).sum(1)).sqrt()


def _variances(matrix: Tensor, square: Tensor) -> Tensor:
    """Coefficients ``(K + 1,)``, none of them negative, of squares ``(N,)`` on terms ``(N, K + 1)``."""
    terms, target = matrix.cpu().numpy(), square.cpu().numpy()
    found = np.append(max(target.mean(), _LEAST_VARIANCE), np.zeros(terms.shape[1] - 1))
    for _ in range(_ROUNDS):
        weight = 1.0 / (terms @ found)
        found = np.maximum(nnls(terms * weight[:, None], target * weight)[0], _LEAST_VARIANCE)
    return torch.from_numpy(found)
