"""Networks that turn what a coupling keeps into the parameters of what it changes."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Literal

import torch
from pydantic import Field
from torch import nn
from torch.nn import functional

from caloforge.nn.initial import shrink
from caloforge.records import Count, Record, Widths

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["Conditioner", "ConditionerConfig"]


class ConditionerConfig(Record):
    """Sizes of a conditioner."""

    kind: Literal["mlp", "residual"] = "mlp"
    """``mlp``: hidden layers with ReLU; ``residual``: blocks of two layers around a skip connection, all as
    wide as the first hidden layer, gated by the shared condition."""
    hidden: Widths = Field(default=(128, 128, 128), min_length=1)
    """Widths of the hidden layers."""
    blocks: Count = 2
    """Blocks of the residual kind."""


class Conditioner(nn.Module):
    """A network of an element and of the condition that it shares with its set.

    The first layer's part for the shared condition runs once a set, not once an element.

    Args:
        config: Sizes.
        element: Features of an element.
        shared: Features of a set.
        outputs: Features out.
    """

    def __init__(self, config: ConditionerConfig, *, element: int, shared: int, outputs: int) -> None:
        super().__init__()
        self.element = element
        widths = config.hidden if config.kind == "mlp" else config.hidden[:1]
        self.first = nn.Linear(element + shared, widths[0])
        if config.kind == "residual":
            blocks = [_GatedBlock(widths[0], shared) for _ in range(config.blocks)]
            self.hidden = nn.ModuleList(blocks)
        else:
            self.hidden = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(widths))
        self.last = nn.Linear(widths[-1], outputs)
        shrink(self.last)

    def forward(self, element: Tensor, shared: Tensor, index: Tensor | None) -> Tensor:
        """Outputs ``(M, outputs)`` of elements ``(M, E)`` with conditions ``(B, C)`` of their sets.

        Args:
            element: Features of the elements.
            shared: Conditions of the sets.
            index: The set of every element; None: element and set are the same.
        """
        x = self._first(element, shared, index)
        for layer in self.hidden:
            gated = isinstance(layer, _GatedBlock)
            x = layer(x, shared, index) if gated else layer(functional.relu(x, inplace=True))
        # one output after the other in memory: what follows works on whole outputs
        return torch.addmm(self.last.bias[:, None], self.last.weight, functional.relu(x, inplace=True).T).T

    def _first(self, element: Tensor, shared: Tensor, index: Tensor | None) -> Tensor:
        mine, theirs = self.first.weight[:, : self.element], self.first.weight[:, self.element :]
        common = functional.linear(shared, theirs, self.first.bias)
        if index is not None:
            common = common.index_select(0, index)
        return torch.addmm(common, element, mine.T)


class _GatedBlock(nn.Module):
    """x + (two layers of x) gated by a sigmoid of the condition."""

    def __init__(self, width: int, shared: int) -> None:
        super().__init__()
        self.inner = nn.Linear(width, width)
        self.outer = nn.Linear(width, width)
        self.gate = nn.Linear(shared, width)

    def forward(self, x: Tensor, shared: Tensor, index: Tensor | None) -> Tensor:
        gate = torch.sigmoid(self.gate(shared))
        gate = gate if index is None else gate.index_select(0, index)
        change = self.outer(functional.relu(self.inner(functional.relu(x)), inplace=True))
        return torch.addcmul(x, change, gate)
