"""Masked autoregressive flows of splines: densities in one pass, samples feature by feature."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import torch
from pydantic import Field
from torch import nn

from caloforge.nn.masked import MADE
from caloforge.nn.rational_quadratic import rational_quadratic, spline_parameters
from caloforge.records import Count, Record, Widths

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["MaskedFlow", "MaskedFlowConfig"]

_HALF_LOG_TWO_PI = 0.9189385332046727


class MaskedFlowConfig(Record):
    """Sizes of a masked autoregressive flow; the defaults are those of the energies of arXiv:2405.20407."""

    transforms: Count = 6
    """Transformations."""
    bins: int = Field(default=8, gt=1, le=1024)
    """Bins of the splines."""
    hidden: Widths = Field(default=(64, 64), min_length=1)
    """Hidden layers of the masked networks."""
    bound: float = Field(default=13.815510557964274, ge=0.1, le=1000)
    """The splines act on [-bound, bound]."""
    order: Literal["random", "reverse", "first"] = "random"
    """Of the features in the transformations: another random one in each, the features' own and the opposite
    one in turns, or always their own."""
    seed: int = Field(default=0, ge=0, lt=2**63)
    """Of the random orders."""


class MaskedFlow(nn.Module):
    """A masked autoregressive flow (arXiv:1705.07057) of splines (arXiv:1906.04032).

    Sampling knows what the networks have made of earlier features and adds one at a time
    (``MADE.steps``), so that the number of operations is that of one pass, not of one a feature.

    Args:
        features: Size of the target ``F``.
        context: Size of the condition.
        config: Sizes.
    """

    orders: Tensor

    def __init__(self, features: int, context: int, config: MaskedFlowConfig) -> None:
        super().__init__()
        self.features, self.bound = features, config.bound
        outputs = spline_parameters(config.bins)
        self.networks = nn.ModuleList(
            MADE(features, context, config.hidden, outputs) for _ in range(config.transforms)
        )
        self.register_buffer("orders", _orders(features, config))

    def log_prob(self, x: Tensor, context: Tensor) -> Tensor:
        """Log-densities ``(B,)`` of targets ``(B, F)`` given conditions ``(B, C)``."""
        z, total = self._forward(x, context)
        return total - 0.5 * z.square().sum(1) - _HALF_LOG_TWO_PI * self.features

    def sample(self, noise: Tensor, context: Tensor) -> Tensor:
        """Targets ``(B, F)`` out of standard normal noise ``(B, F)``."""
        x = noise
        for network, order in zip(reversed(self.networks), self.orders.flip(0), strict=True):
            assert isinstance(network, MADE)  # for the type checker: a ModuleList forgets
            drawn = self._inverse(network, x.T.contiguous(), context)
            x = torch.empty_like(drawn).index_copy_(0, order, drawn).T
        return x

    def _forward(self, x: Tensor, context: Tensor) -> tuple[Tensor, Tensor]:
        """Noise ``(B, F)``, and the logarithm of the Jacobian's determinant ``(B,)``."""
        total = x.new_zeros(len(x))
        for network, order in zip(self.networks, self.orders, strict=True):
            ordered = x.index_select(1, order)
            parameters = network(ordered, context)
            z, ladj = rational_quadratic(ordered.T, parameters, bound=self.bound, dim=0)
            x, total = z.T, total + ladj.sum(0)
        return x, total

    def _inverse(self, network: MADE, z: Tensor, context: Tensor) -> Tensor:
        """Features ``(F, B)`` in a network's order out of its noise ``(F, B)``."""
        steps = network.steps(context)
        x = torch.empty_like(z)
        parameters = next(steps)
        for i in range(len(z)):
            x[i], _ = rational_quadratic(z[i], parameters, bound=self.bound, inverse=True, dim=0)
            if i + 1 < len(z):
                parameters = steps.send(x[i])
        return x


def _orders(features: int, config: MaskedFlowConfig) -> Tensor:
    rng = torch.Generator(device="cpu").manual_seed(config.seed)
    return torch.stack([_order(features, number, config.order, rng) for number in range(config.transforms)])


def _order(features: int, number: int, kind: str, rng: torch.Generator) -> Tensor:
    """Of the features in one transformation."""
    if kind == "random":
        return torch.randperm(features, generator=rng, device="cpu")
    own = torch.arange(features, device="cpu")
    return own.flip(0) if kind == "reverse" and number % 2 else own
