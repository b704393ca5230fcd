"""Masked networks: what they make of a feature depends on the features before it (MADE, arXiv:1502.03509)."""

from __future__ import annotations

from bisect import bisect_right
from itertools import pairwise
from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.nn import functional

from caloforge.nn.initial import shrink

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    from torch import Tensor

__all__ = ["MADE"]


class MADE(nn.Module):
    """A network of layers whose weights are masked, so that outputs of feature i see features 0 ... i - 1.

    Hidden units are sorted by how many features they see, from none (the condition alone, without which
    the first feature could not depend on it) to all but the last. So what is known once the first i
    features are is a prefix of every layer, which ``steps`` extends feature by feature: all steps
    together cost about one pass.

    Args:
        features: Number of features ``F``.
        context: Size of the condition.
        hidden: Widths of the hidden layers.
        outputs: Numbers ``K`` that are made of every feature.
    """

    def __init__(self, features: int, context: int, hidden: Sequence[int], outputs: int) -> None:
        super().__init__()
        self.features, self.outputs = features, outputs
        self.first = nn.Linear(features, hidden[0])
        self.condition = nn.Linear(context, hidden[0])
        self.inner = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(hidden))
        self.last = nn.Linear(hidden[-1], features * outputs)
        shrink(self.last)
        own = range(features)
        seen = [_seen(width, features) for width in hidden]
        masks = [_mask(seen[0], [feature + 1 for feature in own])]
        masks += [_mask(above, below) for below, above in pairwise(seen)]
        masks.append(_mask(own, seen[-1]).repeat(outputs, 1))
        for number, mask in enumerate(masks):
            self.register_buffer(f"mask{number}", mask, persistent=False)
        self._ends = [[bisect_right(s, i) for i in own] for s in seen]

    def forward(self, x: Tensor, context: Tensor) -> Tensor:
        """Numbers ``(K, F, B)`` of rows ``(B, F)`` with conditions ``(B, C)``."""
        hidden = self._masked(self.first, 0, x) + self.condition(context)
        for number, layer in enumerate(self.inner):
            assert isinstance(layer, nn.Linear)  # for the type checker: a ModuleList forgets
            hidden = self._masked(layer, number + 1, functional.relu(hidden))
        weight = self.last.weight * self._mask_of(len(self.inner) + 1)
        # one output after the other in memory: what follows works on whole outputs
        flat = torch.addmm(self.last.bias[:, None], weight, functional.relu(hidden).T)
        return flat.view(self.outputs, self.features, len(x))

    def steps(self, context: Tensor) -> Generator[Tensor, Tensor, None]:
        """Numbers of one feature after the other, ``(K, B)``, in turns with the feature itself.

        A generator: what ``send`` gives it, ``(B,)``, is the feature whose numbers it has just made.
        """
        layers = [self.first, *self.inner]
        known = [context.new_empty(end[-1], len(context)) for end in self._ends]
        x = context.new_empty(self.features, len(context))
        start = functional.linear(context, self.condition.weight, self.condition.bias).T
        last = self.last.weight.view(self.outputs, self.features, -1)
        bias = self.last.bias.view(self.outputs, self.features)
        for i in range(self.features):
            below: Tensor = x[:i]
            for number, (layer, ends) in enumerate(zip(layers, self._ends, strict=True)):
                assert isinstance(layer, nn.Linear)  # for the type checker: a ModuleList forgets
                new = slice(ends[i - 1] if i else 0, ends[i])
                if new.start < new.stop:
                    made = torch.addmm(layer.bias[new, None], layer.weight[new, : len(below)], below)
                    known[number][new] = functional.relu(made if number else made + start[new])
                below = known[number][: ends[i]]
            x[i] = yield torch.addmm(bias[:, i, None], last[:, i, : len(below)], below)

    def _mask_of(self, number: int) -> Tensor:
        mask: Tensor = getattr(self, f"mask{number}")
        return mask

    def _masked(self, layer: nn.Linear, number: int, x: Tensor) -> Tensor:
        return functional.linear(x, layer.weight * self._mask_of(number), layer.bias)


def _seen(width: int, features: int) -> list[int]:
    """How many features every hidden unit sees, rising, 0 to F - 1."""
    return [unit * features // width for unit in range(width)]


def _mask(outputs: Sequence[int], inputs: Sequence[int]) -> Tensor:
    """Where an output sees as many features as an input, or more, ``(outputs, inputs)``."""
    mask: Tensor = torch.tensor(outputs)[:, None] >= torch.tensor(inputs)[None]
    return mask.float()
