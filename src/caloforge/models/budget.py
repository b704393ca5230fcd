"""A limit on the numbers that a model under construction may ask for, checked before they take memory."""

from __future__ import annotations

import math
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from torch.overrides import TorchFunctionMode

from caloforge.errors import ConfigError, bad

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["MOST_NUMBERS", "MOST_TENSORS", "budget"]

MOST_NUMBERS = 200_000_000  # parameters and buffers: five times the largest published model
MOST_TENSORS = 100_000
_FACTORIES = {torch.empty, torch.zeros, torch.ones, torch.rand, torch.randn}


@contextmanager
def budget(name: str) -> Iterator[None]:
    """Let networks of at most ``MOST_NUMBERS`` numbers in ``MOST_TENSORS`` tensors be made.

    Args:
        name: Of the model, for the error.

    Raises:
        ConfigError: A tensor that goes beyond is asked for.
    """
    with _Counting(name):
        yield


class _Counting(TorchFunctionMode):
    """Counts what the factories of tensors are asked for."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self._name, self._numbers, self._tensors = name, 0, 0

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        if func in _FACTORIES:
            self._count(kwargs.get("size", args))
        return func(*args, **kwargs)

    def _count(self, size: Any) -> None:
        sizes = size[0] if len(size) == 1 and not isinstance(size[0], int) else size
        self._numbers += math.prod(sizes)
        self._tensors += 1
        if self._numbers > MOST_NUMBERS or self._tensors > MOST_TENSORS:
            got = f"sizes that take more than {MOST_NUMBERS:,} numbers or {MOST_TENSORS:,} tensors"
            raise ConfigError(bad(f"the model {self._name}", got=got, expected="smaller networks"))
