"""Shares of a batch in threads of one process, which exchange what processes would."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, TypeVar

import torch

from caloforge import shares
from caloforge.shares import Place

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

__all__ = ["ThreadShare", "in_shares"]

_Found = TypeVar("_Found")


class _Table:
    """Where threads put what the others take."""

    def __init__(self, ways: int) -> None:
        self.barrier = threading.Barrier(ways, timeout=60)
        self.values: list[Any] = [None] * ways

    def exchange(self, number: int, value: Tensor) -> list[Tensor]:
        self.values[number] = value
        self.barrier.wait()
        found = list(self.values)
        self.barrier.wait()
        return found


class _Sum(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: Tensor, share: ThreadShare) -> Tensor:
        ctx.share = share
        return torch.stack(share.table.exchange(share.number, values.detach().clone())).sum(0)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:  # type: ignore[override]
        return _Sum.apply(gradient, ctx.share), None


class ThreadShare:
    """One of the shares."""

    def __init__(self, table: _Table, number: int, showers: int) -> None:
        self.table, self.number, self.ways = table, number, len(table.values)
        self.showers = Place(number * showers // self.ways, showers // self.ways, showers)

    def all_sum(self, values: Tensor) -> Tensor:
        found: Tensor = _Sum.apply(values, self)
        return found

    def everyone(self, values: Tensor) -> Tensor:
        sizes = [len(found) for found in self.table.exchange(self.number, values.detach())]
        whole = values.new_zeros(sum(sizes), *values.shape[1:])
        first = sum(sizes[: self.number])
        rows = torch.arange(first, first + len(values))
        return self.all_sum(whole.index_copy(0, rows, values))


def in_shares(work: Callable[[ThreadShare], _Found], *, ways: int, showers: int) -> list[_Found]:
    """What ``work`` finds in every share of a batch of so many showers."""
    table = _Table(ways)

    def one(number: int) -> _Found:
        share = ThreadShare(table, number, showers)
        try:
            with shares.dividing(share):
                return work(share)
        except BaseException:
            table.barrier.abort()
            raise

    with ThreadPoolExecutor(ways) as pool:
        return [future.result() for future in [pool.submit(one, n) for n in range(ways)]]
