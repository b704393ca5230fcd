"""Whitening: numbers along the principal axes of data, each with a standard deviation of one."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from caloforge import shares

__all__ = ["Axes", "filled", "principal_axes"]

_FLOOR = 0.03  # smallest standard deviation that is stretched to one


class Axes(NamedTuple):
    """Principal axes.

    Attributes:
        basis: Their directions as columns, ``(F, F)``.
        stretch: Standard deviations along them, 0.03 at least, ``(F,)``.
    """

    basis: Tensor
    stretch: Tensor

    def whiten(self, scaled: Tensor) -> Tensor:
        """Numbers ``(B, F)`` along the axes."""
        return scaled @ self.basis / self.stretch

    def restore(self, white: Tensor) -> Tensor:
        """The inverse of ``whiten``, in double precision."""
        return (white.to(torch.float64) * self.stretch) @ self.basis.T


def principal_axes(scaled: Tensor) -> Axes:
    """The axes of data ``(B, F)``.

    Directions in which the data hardly spread are not stretched further: some numbers are almost
    functions of others.
    """
    values, vectors = torch.linalg.eigh(scaled.T.cov())
    return Axes(vectors, values.clamp_min(_FLOOR**2).sqrt())


def filled(scaled: Tensor, known: Tensor, rng: torch.Generator) -> Tensor:
    """Numbers ``(B, F)`` with normal noise in the place of those that are not known."""
    noise = shares.normal(scaled.shape, rng, dtype=scaled.dtype, device=scaled.device)
    return torch.where(known, scaled, noise)
