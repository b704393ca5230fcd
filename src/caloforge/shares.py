"""A batch of training in shares: what several processes, or passes, must know of each other's.

A loss is written for a batch. Where the batch is divided, each share has some of its showers, and the mean
over the shares of what they call their loss is the loss of the whole batch. For a mean over showers that is
so by itself. All else asks here: random numbers, which are those of the whole batch, of which a share takes
its own; means over hits, of which shares have different numbers; and what compares showers with each other.

Where nothing is divided, these functions are what their names say and nothing more.
"""

from __future__ import annotations

from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import torch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from torch import Tensor

__all__ = [
    "Place",
    "Share",
    "all_sum",
    "bernoulli_like",
    "dividing",
    "everyone",
    "integers",
    "mean",
    "normal",
    "own_rows",
    "place_of",
    "ratio",
    "uniform",
    "ways",
]


@dataclass(frozen=True)
class Place:
    """Where some rows stand among those of all shares.

    Attributes:
        first: Rows before.
        count: Rows.
        total: Rows of all shares.
    """

    first: int
    count: int
    total: int

    @property
    def rows(self) -> slice:
        """The rows among all."""
        return slice(self.first, self.first + self.count)

    def times(self, number: int) -> Place:
        """The same of so many rows for each."""
        return Place(number * self.first, number * self.count, number * self.total)


class Share(Protocol):
    """Some showers of a batch, and the way to all others.

    Attributes:
        ways: Number of shares.
        showers: Which showers it has; all shares have as many.
    """

    @property
    def ways(self) -> int: ...  # noqa: D102 (above)

    @property
    def showers(self) -> Place: ...  # noqa: D102 (above)

    def all_sum(self, values: Tensor) -> Tensor:
        """The sum over all shares of tensors of one shape; gradients are those of the sum of all losses."""
        ...

    def everyone(self, values: Tensor) -> Tensor:
        """The rows ``(n, ...)`` of all shares, one share after the other; gradients as of ``all_sum``."""
        ...


_share: ContextVar[Share | None] = ContextVar("share", default=None)


@contextmanager
def dividing(share: Share | None) -> Iterator[None]:
    """Inside of the block, batches are a share of one; None: they are whole."""
    token = _share.set(share if share is not None and share.ways > 1 else None)
    try:
        yield
    finally:
        _share.reset(token)


def ways() -> int:
    """Number of shares of the batch."""
    share = _share.get()
    return 1 if share is None else share.ways


def all_sum(values: Tensor) -> Tensor:
    """The sum over all shares of tensors of one shape."""
    share = _share.get()
    return values if share is None else share.all_sum(values)


def everyone(values: Tensor) -> Tensor:
    """The rows ``(n, ...)`` of all shares."""
    share = _share.get()
    return values if share is None else share.everyone(values)


def own_rows(values: Tensor) -> Tensor:
    """A share's rows of ``(showers of the whole batch, ...)``."""
    share = _share.get()
    return values if share is None else values[share.showers.rows]


def mean(values: Tensor) -> Tensor:
    """A share's part of the mean of values, of which shares have different numbers; 0 if there are none."""
    if _share.get() is None:
        return values.mean()
    return ratio(values.sum(), torch.tensor(float(values.numel()), device=values.device))


def ratio(part: Tensor, whole: Tensor, *, least: float = 1.0) -> Tensor:
    """A share's part of a quotient of sums, the lower one without gradients, and at least ``least``."""
    return ways() * part / all_sum(whole.detach()).clamp_min(least)


def place_of(count: int) -> Place:
    """Where ``count`` rows stand that are a share's hits, cells, or other parts of its showers."""
    share = _share.get()
    if share is None:
        return Place(0, count, count)
    # the number of the share counts: one without any rows still has its place
    sizes = share.everyone(torch.tensor([count])).tolist()
    number = share.showers.first // max(share.showers.count, 1)
    before = sum(sizes[:number]) if len(sizes) == share.ways else 0
    return Place(before, count, sum(sizes))


def normal(shape: Sequence[int], rng: torch.Generator, **options: Any) -> Tensor:
    """A share's rows of standard normal numbers; arguments as of ``uniform``."""
    return _drawn(torch.randn, shape, rng, **options)


def uniform(shape: Sequence[int], rng: torch.Generator, **options: Any) -> Tensor:
    """A share's rows of numbers in [0, 1).

    Args:
        shape: Of the share's numbers: rows of showers first, perhaps several of each.
        rng: Of the step: the same for all shares.
        options: ``ragged``: rows are hits, or other parts of showers. ``dim``: that of the rows. Others as of
            ``torch.rand``.
    """
    return _drawn(torch.rand, shape, rng, **options)


def integers(high: int, shape: Sequence[int], rng: torch.Generator, **options: Any) -> Tensor:
    """A share's rows of whole numbers below ``high``; arguments as of ``uniform``."""

    def make(shape: Sequence[int], **further: Any) -> Tensor:
        return torch.randint(high, shape, **further)

    return _drawn(make, shape, rng, **options)


def bernoulli_like(values: Tensor, probability: float, rng: torch.Generator) -> Tensor:
    """Ones with a probability, zeros otherwise, in the shape and memory format of ``values``."""
    share = _share.get()
    if share is None:
        return torch.empty_like(values).bernoulli_(probability, generator=rng)
    whole = torch.empty_like(values[:1]).expand(share.showers.total, *values.shape[1:])
    layout = torch.contiguous_format
    if values.dim() == 5 and values.is_contiguous(memory_format=torch.channels_last_3d):
        layout = torch.channels_last_3d  # numbers are drawn in the order of the memory
    whole = whole.clone(memory_format=layout).bernoulli_(probability, generator=rng)
    return whole[share.showers.rows]


def _drawn(
    make: Callable[..., Tensor],
    shape: Sequence[int],
    rng: torch.Generator,
    *,
    ragged: bool = False,
    dim: int = 0,
    **options: Any,
) -> Tensor:
    share = _share.get()
    if share is None:
        return make(tuple(shape), generator=rng, **options)
    place = place_of(shape[dim]) if ragged else share.showers.times(shape[dim] // share.showers.count)
    whole = make((*shape[:dim], place.total, *shape[dim + 1 :]), generator=rng, **options)
    return whole.narrow(dim, place.first, place.count)
