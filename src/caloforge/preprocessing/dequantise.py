"""Whole numbers to normally distributed ones and back, by their cumulative distribution.

CDF dequantisation (arXiv:2403.15782): a value k of probability p_k above C_k = sum of p_j over j < k
becomes u = C_k + p_k U with U uniform, which is uniform exactly, and t = Phi^-1(u).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from caloforge.preprocessing.base import Fitted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

__all__ = ["CDFDequantiser"]

_ROUNDING = 2e-8  # single precision of t moves u = Phi(t) by less
_EDGE = 1e-10  # u stays inside of [edge, 1 - edge]: t stays finite, and no value without probability is found


class CDFDequantiser(Fitted):
    """Dequantises several columns, each by its own table of probabilities.

    The probabilities are counted once and then kept (the original goes on counting while it
    trains). Every value of a probability above 1e-7 comes back exactly.

    Args:
        sizes: Values (0 to size - 1) of every column.
        tables: Kinds of rows, each with tables of its own.
    """

    below: Tensor

    def __init__(self, sizes: Sequence[int], *, tables: int = 1) -> None:
        super().__init__()
        self.sizes = tuple(sizes)
        self.tables = tables
        ends = torch.ones(len(self.sizes), tables, max(self.sizes) + 1, dtype=torch.float64)
        ends[..., 0] = 0.0
        self.register_buffer("below", ends)

    def fit(self, values: Tensor, table: Tensor | None = None) -> None:
        """Count the values ``(N, D)`` of rows of the kinds ``table`` ``(N,)``.

        What does not occur has no probability; a kind of rows without any has equal ones.
        """
        kinds = self._kinds(values, table)
        for column, size in enumerate(self.sizes):
            flat = kinds * size + values[:, column]
            counts = torch.bincount(flat, minlength=self.tables * size).double().reshape(self.tables, size)
            counts = torch.where(counts.sum(1, keepdim=True) > 0, counts, torch.ones_like(counts))
            ends = counts.cumsum(1)  # of whole numbers: the last that occurs ends at 1 exactly
            self.below[column, :, 1 : size + 1] = ends / ends[:, -1:]
            self.below[column, :, size:] = 1.0
        self._done()

    def forward(self, values: Tensor, uniform: Tensor, table: Tensor | None = None) -> Tensor:
        """Normally distributed numbers ``(N, D)`` of values ``(N, D)``.

        A value without probability becomes a number between those of its neighbours.

        Args:
            values: Whole numbers.
            uniform: Numbers in (0, 1), of the same shape.
            table: Kinds of the rows, ``(N,)``.
        """
        self._require_fitted()
        kinds = self._kinds(values, table)
        columns = [self._spread(c, kinds, values[:, c], uniform[:, c]) for c in range(len(self.sizes))]
        target: Tensor = torch.special.ndtri(torch.stack(columns, dim=1))
        return target.to(torch.float32)

    def inverse(self, target: Tensor, table: Tensor | None = None) -> Tensor:
        """Whole numbers ``(N, D)`` of numbers ``(N, D)``; only values that were counted come out."""
        self._require_fitted()
        kinds = self._kinds(target, table)
        share = torch.special.ndtr(target.double()).clamp(_EDGE, 1 - _EDGE)
        columns = [self._find(c, kinds, share[:, c]) for c in range(len(self.sizes))]
        return torch.stack(columns, dim=1)

    def _kinds(self, values: Tensor, table: Tensor | None) -> Tensor:
        return values.new_zeros(values.shape[0], dtype=torch.int64) if table is None else table

    def _spread(self, column: int, kinds: Tensor, values: Tensor, uniform: Tensor) -> Tensor:
        low, high = (self.below[column][kinds, values + k] for k in (0, 1))
        # not the very ends of the bin: rounding to single precision must not leave it
        margin = (0.25 * (high - low)).clamp_max(_ROUNDING)
        spread: Tensor = low + margin + (high - low - 2 * margin) * uniform.double()
        return spread.clamp(_EDGE, 1 - _EDGE)

    def _find(self, column: int, kinds: Tensor, share: Tensor) -> Tensor:
        # one rising table of all kinds: kind + C_k
        size = self.sizes[column]
        ends = self.below[column, :, 1 : size + 1]
        rising = (ends + torch.arange(self.tables, device=ends.device)[:, None]).flatten()
        place = torch.searchsorted(rising, share + kinds, right=True)
        return (place - kinds * size).clamp(0, size - 1)
