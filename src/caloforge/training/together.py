"""The processes that train a model together, and what they tell each other."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

import torch
from torch import distributed

from caloforge.errors import TrainingError
from caloforge.shares import Place

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager

    from lightning_fabric import Fabric
    from torch import Tensor

__all__ = ["ProcessShare", "Together"]

_Value = TypeVar("_Value")


class Together:
    """Processes with the same model, each with its share of every batch; perhaps one with all of it.

    The first one writes files and speaks; what it alone may decide, it says to the others.

    Args:
        fabric: Launched.
    """

    def __init__(self, fabric: Fabric) -> None:
        self.rank, self.ranks = fabric.global_rank, fabric.world_size
        # words go by the CPU, also where gradients go from GPU to GPU
        with _talking():
            self._words: Any = distributed.new_group(backend="gloo") if self.ranks > 1 else None

    @property
    def is_first(self) -> bool:
        """Whether this process writes and speaks."""
        return self.rank == 0

    def said(self, value: _Value) -> _Value:
        """The value that the first process has."""
        if self.ranks == 1:
            return value
        box = [value]
        with _talking():
            distributed.broadcast_object_list(box, src=0, group=self._words)
        return box[0]

    def wait(self) -> None:
        """For all."""
        self.summed(torch.zeros(()))

    @contextmanager
    def entered(self, context: AbstractContextManager[Any]) -> Iterator[None]:
        """Inside of the block, the first process is in ``context``, and the others are there with it.

        Raises:
            BaseException: What the first one raises on its way in, from all.
        """
        with ExitStack() as stack:
            with self.before_others():
                if self.is_first:
                    stack.enter_context(context)
            yield

    @contextmanager
    def before_others(self) -> Iterator[None]:
        """The first process goes through the block; only when it is out, the others do.

        Raises:
            BaseException: What the first one raises, from all.
        """
        error: BaseException | None = None if self.is_first else self.said(None)
        if error is not None:
            raise error
        try:
            yield
        except BaseException as failure:
            if self.is_first:
                self.said(failure)
            raise
        if self.is_first:
            self.said(None)

    def summed(self, values: Tensor) -> Tensor:
        """The sum of tensors of one shape over all processes, without gradients."""
        if self.ranks == 1:
            return values
        total = values.detach().clone(memory_format=torch.contiguous_format)
        with _talking():
            distributed.all_reduce(total, group=self._words if total.device.type == "cpu" else None)
        return total

    def sizes(self, number: int) -> list[int]:
        """The numbers of all processes."""
        numbers = torch.zeros(self.ranks, dtype=torch.int64)
        numbers[self.rank] = number
        return [int(found) for found in self.summed(numbers)]

    def gathered(self, values: Tensor) -> list[Tensor]:
        """The tensors ``(n, ...)`` of all processes, with different n."""
        sizes = self.sizes(len(values))
        whole = values.new_zeros(sum(sizes), *values.shape[1:])
        first = sum(sizes[: self.rank])
        whole[first : first + len(values)] = values.detach()
        return list(self.summed(whole).split(sizes))  # type: ignore[no-untyped-call]


class ProcessShare:
    """The share of a process; gradients find their way to the other processes and back.

    Args:
        together: All processes.
        total: Showers of the batch, a multiple of the processes.
    """

    def __init__(self, together: Together, total: int) -> None:
        self._together, self.ways = together, together.ranks
        self.showers = Place(together.rank * total // self.ways, total // self.ways, total)

    def all_sum(self, values: Tensor) -> Tensor:
        """The sum over all processes, as ``shares.Share`` has it."""
        total: Tensor = _Sum.apply(values, self._together)  # type: ignore[no-untyped-call]
        return total

    def everyone(self, values: Tensor) -> Tensor:
        """The rows of all processes, as ``shares.Share`` has them."""
        sizes = self._together.sizes(len(values))
        first = sum(sizes[: self._together.rank])
        own = torch.arange(first, first + len(values), device=values.device)
        return self.all_sum(values.new_zeros(sum(sizes), *values.shape[1:]).index_copy(0, own, values))


class _Sum(torch.autograd.Function):
    """A sum over processes; the gradient of the sum of all losses is the sum of all gradients."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, together: Together) -> Tensor:
        ctx.together = together
        return together.summed(values)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        # by itself, so that gradients of gradients find their way, too
        return _Sum.apply(gradients[0], ctx.together), None  # type: ignore[no-untyped-call]


@contextmanager
def _talking() -> Iterator[None]:
    """What torch says of a lost connection is a sentence.

    Raises:
        TrainingError: Another process is gone.
    """
    try:
        yield
    except RuntimeError as error:
        msg = (
            "Another process of this training ended: run the same command again to go on from the last "
            "checkpoint."
        )
        raise TrainingError(msg) from error
