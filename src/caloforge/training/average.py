"""The moving average of the weights, and of what follows them."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from torch import Tensor, nn

__all__ = ["Average", "assign", "tensors_of"]


def tensors_of(model: nn.Module, modules: Iterable[str]) -> list[Tensor]:
    """Parameters and saved buffers of modules of these (dotted) names, each once."""
    found = (t for name in modules for t in model.get_submodule(name).state_dict(keep_vars=True).values())
    return list({id(tensor): tensor for tensor in found}.values())


class Average:
    """Exponential moving average of tensors, its decay warming up as 1 - (1 + step)^(-2/3).

    Whole numbers (counters of buffers) are followed as they are.

    Args:
        tensors: Weights and buffers to follow.
        decay: Largest decay; 0 turns the average off: the tensors themselves are returned.
    """

    def __init__(self, tensors: Sequence[Tensor], decay: float) -> None:
        self.decay = decay
        self._tensors = list(tensors)
        self.values: list[Tensor] = [t.detach().clone() for t in tensors] if decay else []

    def update(self, step: int) -> None:
        """Follow the tensors after step ``step`` (from 0)."""
        if not self.decay:
            return
        decay = min(self.decay, 1 - (1 + step) ** (-2 / 3))
        with torch.no_grad():
            for value, tensor in zip(self.values, self._tensors, strict=True):
                if value.is_floating_point():
                    value.lerp_(tensor, 1 - decay)
                else:
                    value.copy_(tensor)

    def weights(self) -> list[Tensor]:
        """Copies of the averages."""
        source = self.values if self.decay else self._tensors
        return [value.detach().clone() for value in source]

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Put the averages into the model for a while."""
        saved = [t.detach().clone() for t in self._tensors]
        assign(self._tensors, self.weights())
        try:
            yield
        finally:
            assign(self._tensors, saved)


def assign(tensors: Sequence[Tensor], values: Sequence[Tensor]) -> None:
    """Copy values into tensors."""
    with torch.no_grad():
        for tensor, value in zip(tensors, values, strict=True):
            tensor.copy_(value)
