"""How networks inside of flows start."""

from __future__ import annotations

import torch
from torch import nn
from zuko.nn import Linear

__all__ = ["shrink", "shrink_convolution", "shrink_last"]

_SHARE = 0.1


def shrink(layer: nn.Linear | nn.Conv2d | Linear) -> None:
    """Make outputs small: a flow starts near the identity, and deep stacks are stable from the first step."""
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.mul_(_SHARE)


def shrink_last(module: nn.Module) -> None:
    """Shrink the last linear layer inside of a module."""
    shrink([m for m in module.modules() if isinstance(m, nn.Linear | Linear)][-1])


def shrink_convolution(module: nn.Module) -> None:
    """Shrink the last convolution inside of a module."""
    shrink([m for m in module.modules() if type(m) is nn.Conv2d][-1])
