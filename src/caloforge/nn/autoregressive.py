"""A masked autoregressive flow of rational-quadratic splines (arXiv:1906.04032), from zuko."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import nn
from zuko.flows import NSF
from zuko.nn import MaskedLinear

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["AutoregressiveFlow", "AutoregressiveFlowConfig"]


class AutoregressiveFlowConfig(BaseModel):
    """Sizes of an autoregressive flow; the defaults are those of CaloPointFlow II.

    Attributes:
        transforms: Transformations; every second one in the features' opposite order.
        bins: Bins of the splines.
        hidden: Hidden layers.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    transforms: int = Field(default=12, gt=0)
    bins: int = Field(default=12, gt=1)
    hidden: tuple[int, ...] = Field(default=(128, 128, 128), min_length=1)


class AutoregressiveFlow(nn.Module):
    """Every feature's spline depends on the features before it: exact, but sampled one by one.

    Args:
        features: Size of the target.
        context: Size of the condition.
        config: Sizes.
    """

    def __init__(self, features: int, context: int, config: AutoregressiveFlowConfig) -> None:
        super().__init__()
        self.flow = NSF(
            features,
            context,
            bins=config.bins,
            transforms=config.transforms,
            hidden_features=config.hidden,
        )
        for transform in self.flow.transform.transforms:
            _shrink_last(transform)

    def log_prob(self, target: Tensor, context: Tensor) -> Tensor:
        """Log-densities ``(B,)`` of targets ``(B, features)`` given conditions ``(B, context)``."""
        value: Tensor = self.flow(context).log_prob(target)
        return value

    def sample(self, noise: Tensor, context: Tensor) -> Tensor:
        """Targets ``(B, features)`` out of standard normal noise ``(B, features)``."""
        value: Tensor = self.flow(context).transform.inv(noise)
        return value


def _shrink_last(transform: nn.Module) -> None:
    """Start near the identity: deep stacks are stable from the first step."""
    last = [m for m in transform.modules() if isinstance(m, MaskedLinear)][-1]
    with torch.no_grad():
        last.weight.mul_(0.1)
        last.bias.mul_(0.1)
