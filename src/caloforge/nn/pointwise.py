"""A network that treats the points of a cloud one by one, given a context per shower.

Source: ConcatSquash layers of the point diffusion of arXiv:2103.01458, as used by CaloClouds
(2305.04847) and CaloClouds II (2309.05704).
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import torch
from torch import nn

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

__all__ = ["ConcatSquash", "PointWiseNet"]


class ConcatSquash(nn.Module):
    """A linear layer gated and shifted by a context: (W x + b) * sigmoid(G c + g) + H c.

    Args:
        inputs: Features of a point.
        outputs: Features out.
        context: Size of the context.
    """

    def __init__(self, inputs: int, outputs: int, context: int) -> None:
        super().__init__()
        self.linear = nn.Linear(inputs, outputs)
        self.gate = nn.Linear(context, outputs)
        self.shift = nn.Linear(context, outputs, bias=False)

    def forward(self, x: Tensor, context: Tensor, index: Tensor | None = None) -> Tensor:
        """Transform points ``(M, inputs)`` or ``(B, K, inputs)``.

        Args:
            x: The points.
            context: ``(B, context)`` with ``index``, else any shape that broadcasts against ``x``.
            index: The shower of every point, ``(M,)``. The context layers run once a shower.
        """
        gate, shift = torch.sigmoid(self.gate(context)), self.shift(context)
        if index is not None:
            gate, shift = gate.index_select(0, index), shift.index_select(0, index)
        return torch.addcmul(shift, self.linear(x), gate)


class PointWiseNet(nn.Module):
    """A stack of ``ConcatSquash`` layers with LeakyReLU between them.

    Args:
        widths: Features from the input to the output, both included.
        context: Size of the context.
        residual: Add the input to the output (CaloClouds I), or not (CaloClouds II).
    """

    def __init__(self, widths: Sequence[int], context: int, *, residual: bool = False) -> None:
        super().__init__()
        self.layers = nn.ModuleList(ConcatSquash(a, b, context) for a, b in pairwise(widths))
        self.residual = residual

    def forward(self, x: Tensor, context: Tensor, index: Tensor | None = None) -> Tensor:
        """Transform points; arguments as of ``ConcatSquash.forward``."""
        out = x
        for number, layer in enumerate(self.layers):
            if number:
                out = nn.functional.leaky_relu(out, 0.01)
            out = layer(out, context, index)
        return x + out if self.residual else out
