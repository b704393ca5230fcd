"""Sets of any size in flat (CSR) tensors: elements one after the other, and the set of each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["SetContext", "count_rows", "same_size", "segment_mean", "segment_sum"]


@dataclass(frozen=True)
class SetContext:
    """What a flow of set elements is conditioned on.

    Attributes:
        shared: One row a set, ``(B, C)``; one row an element without ``index``.
        index: The set of every element, rising, ``(M,)``; None: every element is a set of its own.
        own: More conditions of every element, ``(M, D)``.
        neighbours: Elements near every element, ``(M, N)`` int64; the number of elements ``M``
            stands for none.
    """

    shared: Tensor
    index: Tensor | None = None
    own: Tensor | None = None
    neighbours: Tensor | None = None

    def spread(self, values: Tensor) -> Tensor:
        """Rows per set to rows per element."""
        return values if self.index is None else values.index_select(0, self.index)


def same_size(first: Any, second: Any) -> None:
    """Tell whoever traces a graph that two numbers of rows are one: numbers that only data decide on."""
    if torch.compiler.is_compiling():
        torch._check(first == second)  # type: ignore[no-untyped-call]


def count_rows(index: Tensor, size: int) -> Tensor:
    """Elements of every set, ``(size,)``, of their sets ``(M,)``: int64."""
    return index.new_zeros(size).index_add(0, index, torch.ones_like(index))


def segment_sum(values: Tensor, index: Tensor, size: int) -> Tensor:
    """Sum elements ``(M, F)`` of every set, ``(size, F)``."""
    return values.new_zeros(size, values.shape[1]).index_add(0, index, values)


def segment_mean(values: Tensor, index: Tensor, size: int) -> Tensor:
    """Mean of the elements ``(M, F)`` of every set, ``(size, F)``; zero for sets without any."""
    number = values.new_zeros(size).index_add(0, index, values.new_ones(index.shape))
    return segment_sum(values, index, size) / number.clamp_min(1.0)[:, None]
