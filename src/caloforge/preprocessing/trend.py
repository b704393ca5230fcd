"""Numbers as polynomials in the scaled logarithm of the incident energy."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["MEAN_LOG_NORMAL", "REACH", "least_squares", "powers"]

MEAN_LOG_NORMAL = -0.635
"""E[ln |z|] of a standard normal z: what the logarithm of a residual lies below that of its width."""

REACH = 1.5
"""Energies beyond it (the trained ones lie in [-1, 1]) count as it: a cubic runs away."""


def powers(condition: Tensor, degree: int) -> Tensor:
    """Powers 0 to ``degree`` of the energy, the first column of conditions ``(B, C)``: float64."""
    energy = condition[:, :1].double().clamp(-REACH, REACH)
    return torch.cat([energy**k for k in range(degree + 1)], dim=1)


def least_squares(terms: Tensor, values: Tensor, *, ridge: float = 1.0, prior: int = 0) -> Tensor:
    """Regress on terms, the first of which is one; few rows cannot make the other terms large.

    Args:
        terms: ``(N, T)``.
        values: ``(N,)``, or several columns ``(N, D)``.
        ridge: Weight of the squared coefficients, the constant's distance from the mean among them.
        prior: Rows with the value zero that are added, so that few rows cannot make the constant large.

    Returns:
        Coefficients ``(T,)`` or ``(T, D)``.
    """
    mean = values.sum(0) / max(1, len(values) + prior)
    damping = ridge * torch.eye(terms.shape[1], dtype=terms.dtype, device=terms.device)
    solution: Tensor = torch.linalg.solve(terms.T @ terms + damping, terms.T @ (values - mean))
    solution[0] += mean
    return solution
