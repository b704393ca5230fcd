"""Linear layers with their activation in one pass, on CPUs, while nothing is learnt.

torch multiplies single-precision matrices with MKL, which on processors of other makers than Intel uses
half of their vector units, and goes over the result once more for an activation. oneDNN, which torch
brings as well and which ``torch.compile`` takes, does neither.
"""

from __future__ import annotations

from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from typing import TYPE_CHECKING

import torch
from torch.nn import functional

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from torch import Tensor, nn

__all__ = ["fused_layers", "fused_linear", "fuses", "plainly"]

_WORTH = 1 << 16  # products below which starting oneDNN takes longer than it saves

_plain: ContextVar[bool] = ContextVar("plain", default=False)


@contextmanager
def plainly() -> Iterator[None]:
    """Let networks go their plain way, module by module, while the context lasts: to compare, or to count."""
    token = _plain.set(True)
    try:
        yield
    finally:
        _plain.reset(token)


def fuses(x: Tensor) -> bool:
    """Whether a network should take its fast way for an input: on a CPU, in single precision, to sample.

    Graphs that are compiled or exported, learning and automatic mixed precision keep the plain way.
    """
    return (
        x.device.type == "cpu"
        and x.dtype == torch.float32
        and not torch.is_grad_enabled()
        and not torch.compiler.is_compiling()
        and not torch.is_autocast_enabled("cpu")
        and not _plain.get()
    )


def fused_linear(x: Tensor, weight: Tensor, bias: Tensor, *, slope: float = 1.0) -> Tensor:
    """``y = x W^T + b``, times ``slope`` where it is negative: 1 is no activation, 0 ReLU.

    Args:
        x: Rows ``(M, inputs)`` for which ``fuses`` holds.
        weight: ``(outputs, inputs)``.
        bias: ``(outputs,)``.
        slope: Of the activation.
    """
    multiply = _one_dnn()
    if multiply is None or x.shape[0] * weight.numel() < _WORTH:
        y = functional.linear(x, weight, bias)
        return y if slope == 1.0 else functional.leaky_relu_(y, slope)
    if slope == 1.0:
        return multiply(x, weight, bias, "none", [], "")
    return multiply(x, weight, bias, "leaky_relu", [slope], "")


def fused_layers(net: nn.Sequential, x: Tensor) -> Tensor:
    """Linear layers with ReLU between them.

    Args:
        net: A linear layer, an activation, a linear layer and so on.
        x: Rows for which ``fuses`` holds.
    """
    *inner, last = [_weights(layer) for layer in list(net)[::2]]
    for weight, bias in inner:
        x = fused_linear(x, weight, bias, slope=0.0)
    return fused_linear(x, *last)


def _weights(layer: nn.Module) -> tuple[Tensor, Tensor]:
    weight, bias = layer.get_parameter("weight"), layer.get_parameter("bias")
    return weight, bias


@cache
def _one_dnn() -> Callable[..., Tensor] | None:
    """oneDNN's linear layer, where torch has it."""
    if not torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]
        return None
    return getattr(torch.ops.mkldnn, "_linear_pointwise", None)
