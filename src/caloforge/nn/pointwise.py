"""A network that treats the points of a cloud one by one, given a context per shower.

Source: ConcatSquash layers of the point diffusion of arXiv:2103.01458, as used by CaloClouds
(2305.04847) and CaloClouds II (2309.05704).
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import torch
from torch import nn

from caloforge.nn.fused import fused_linear, fuses

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

__all__ = ["ConcatSquash", "PointWiseNet"]

_SLOPE = 0.01  # of the LeakyReLU
_ROWS = 1024  # points whose activations stay in the cache of one core
_ROUND = 64  # points are filled up to multiples: oneDNN compiles for every number of rows, and forgets


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
        gate, shift = self._squash(context)
        if index is not None:
            gate, shift = gate.index_select(0, index), shift.index_select(0, index)
        return torch.addcmul(shift, self.linear(x), gate)

    def folded(self, context: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """What is a linear layer for all points of a context, ``(B, context)``.

        Returns:
            The weight ``(outputs, inputs)``, its factors ``(B, outputs, 1)`` and the bias ``(B, outputs)``.
        """
        gate, shift = self._squash(context)
        return self.linear.weight, gate[..., None], torch.addcmul(shift, self.linear.bias, gate)

    def _squash(self, context: Tensor) -> tuple[Tensor, Tensor]:
        return torch.sigmoid(self.gate(context)), self.shift(context)


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
        """Transform points; arguments as of ``ConcatSquash.forward``, with a rising ``index``."""
        if x.dim() == 2 and x.shape[0] and fuses(x):
            out = self._folded(x, context, index)
        else:
            out = self._plain(x, context, index)
        return x + out if self.residual else out

    def _squashing(self) -> list[ConcatSquash]:
        return [layer for layer in self.layers if isinstance(layer, ConcatSquash)]

    def _plain(self, x: Tensor, context: Tensor, index: Tensor | None) -> Tensor:
        for number, layer in enumerate(self.layers):
            if number:
                x = nn.functional.leaky_relu(x, _SLOPE)
            x = layer(x, context, index)
        return x

    def _folded(self, x: Tensor, context: Tensor, index: Tensor | None) -> Tensor:
        """One shower after the other, whose factors and shifts become part of weights and biases.

        Hundreds of points a shower repay the folding: what is left is a product of matrices a layer.
        """
        counts = [x.shape[0]] if index is None else index.bincount(minlength=context.shape[0]).tolist()
        folds = [layer.folded(context) for layer in self._squashing()]
        out = x.new_empty(x.shape[0], folds[-1][0].shape[0])  # small pieces would leave holes in the memory
        for shower, (rows, made) in enumerate(
            zip(torch.split(x, counts), torch.split(out, counts), strict=True)
        ):
            layers = [(weight * gate[shower], bias[shower]) for weight, gate, bias in folds]
            for tile, place in zip(torch.split(rows, _ROWS), torch.split(made, _ROWS), strict=True):
                place.copy_(_layers(_filled(tile), layers)[: place.shape[0]])
        return out


def _filled(x: Tensor) -> Tensor:
    return nn.functional.pad(x, (0, 0, 0, -x.shape[0] % _ROUND))


def _layers(x: Tensor, folded: Sequence[tuple[Tensor, Tensor]]) -> Tensor:
    """Linear layers (weight, bias) with LeakyReLU between them."""
    for weight, bias in folded[:-1]:
        x = fused_linear(x, weight, bias, slope=_SLOPE)
    return fused_linear(x, *folded[-1])
