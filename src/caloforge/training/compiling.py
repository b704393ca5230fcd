"""Losses compiled by ``torch.compile``, where there is a compiler."""

from __future__ import annotations

import logging
from functools import cache
from typing import TYPE_CHECKING, Any

import torch

from caloforge.training.quiet import quiet

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["compiled"]

_LOGGER = logging.getLogger(__name__)
_TORCH = ("torch._dynamo", "torch._inductor")


def compiled(function: Callable[..., Any], *, device: str) -> Callable[..., Any]:
    """The function, compiled from its first call on; as it is, with a warning, where nothing can be compiled.

    Args:
        function: Of tensors. What of it cannot be compiled runs as it is.
        device: Where the tensors are: ``cpu`` or ``cuda``.
    """
    if why := _why_not(device):
        _LOGGER.warning("Training goes on without --compile, since torch cannot compile here: %s", why)
        return function
    torch._dynamo.reset()  # what an earlier stage compiled
    made = torch.compile(function)

    def call(*arguments: Any, **options: Any) -> Any:
        with quiet(*_TORCH, level=logging.ERROR):  # of code that cannot be compiled
            return made(*arguments, **options)

    return call


@cache
def _why_not(device: str) -> str:
    """The first line of what torch says of a trial, "" if it works."""
    try:
        with quiet(*_TORCH, level=logging.ERROR):  # of code that cannot be compiled
            torch.compile(_trial, fullgraph=True)(torch.ones(8, device=device))
    except Exception as error:  # noqa: BLE001 (compilers fail in many ways)
        return str(error).strip().partition("\n")[0] or type(error).__name__
    return ""


def _trial(x: torch.Tensor) -> torch.Tensor:
    return (x + 1).sin().sum()
