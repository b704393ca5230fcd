"""Conditional normalising flows out of zuko's lazy transforms."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Literal

import torch
from torch import nn
from zuko.distributions import DiagNormal
from zuko.flows import ElementWiseTransform, GeneralCouplingTransform
from zuko.lazy import Flow, UnconditionalDistribution, UnconditionalTransform
from zuko.transforms import MonotonicRQSTransform, PermutationTransform

from caloforge.nn.fused import fuses
from caloforge.nn.initial import shrink_last
from caloforge.nn.splines import MonotonicLRSTransform
from caloforge.nn.undoing import undone

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from torch import Tensor

__all__ = ["ConditionalFlow", "SplineKind", "ZukoFlow"]

SplineKind = Literal["linear-rational", "rational-quadratic"]


class ZukoFlow(nn.Module):
    """Base: densities and samples of one of zuko's flows."""

    flow: Flow

    def log_prob(self, target: Tensor, context: Tensor) -> Tensor:
        """Log-densities ``(B,)`` of targets ``(B, features)`` given conditions ``(B, context)``."""
        value: Tensor = self.flow(context).log_prob(target)
        return value

    def sample(self, noise: Tensor, context: Tensor) -> Tensor:
        """Targets ``(B, features)`` out of standard normal noise ``(B, features)``."""
        value: Tensor = self.flow(context).transform.inv(noise)
        return value


class ConditionalFlow(ZukoFlow):
    """Blocks of affine couplings and permutations around an element-wise conditional spline.

    One block is ``couplings`` x (affine coupling, permutation), a permutation, a spline of all
    features whose knots depend on the condition alone, ``couplings`` x (affine coupling,
    permutation): the ShowerFlow of arXiv:2309.05704. The permutations are buffers and saved with
    the weights (the original draws them anew from a fixed global seed).

    Args:
        features: Size of the target.
        context: Size of the condition.
        blocks: Number of blocks.
        couplings: Affine couplings on either side of a spline.
        hidden: Hidden layers of the couplings' networks.
        spline_hidden: Hidden layers of the spline's network.
        bins: Bins of the spline.
        spline: Kind of the spline.
        bound: The spline acts on ``[-bound, bound]``.
        seed: Seed of the permutations.
    """

    def __init__(
        self,
        features: int,
        context: int,
        *,
        blocks: int,
        couplings: int,
        hidden: Sequence[int],
        spline_hidden: Sequence[int],
        bins: int = 8,
        spline: SplineKind = "linear-rational",
        bound: float = 5.0,
        seed: int = 0,
    ) -> None:
        super().__init__()
        self.features = features
        generator = torch.Generator().manual_seed(seed)
        coupling = partial(_coupling, features, context, hidden)
        permutation = partial(_permutation, features, generator)
        transforms: list[nn.Module] = []
        for _ in range(blocks):
            transforms += _alternate(coupling, permutation, couplings)
            transforms += [
                permutation(),
                _spline(features, context, spline_hidden, bins=bins, kind=spline, bound=bound),
            ]
            transforms += _alternate(coupling, permutation, couplings)
        base = UnconditionalDistribution(
            DiagNormal, loc=torch.zeros(features), scale=torch.ones(features), buffer=True
        )
        self.flow = Flow(transforms, base)

    def sample(self, noise: Tensor, context: Tensor) -> Tensor:
        """Targets ``(B, features)`` out of standard normal noise ``(B, features)``."""
        if not fuses(noise):
            return super().sample(noise, context)
        return undone(list(reversed(self.flow.transform.transforms)), noise, context)


def _alternate(coupling: partial[nn.Module], permutation: partial[nn.Module], n: int) -> Iterator[nn.Module]:
    for _ in range(n):
        yield coupling()
        yield permutation()


def _coupling(features: int, context: int, hidden: Sequence[int]) -> nn.Module:
    mask = torch.arange(features) < features // 2
    module: nn.Module = GeneralCouplingTransform(features, context, mask=mask, hidden_features=tuple(hidden))
    shrink_last(module)
    return module


def _permutation(features: int, generator: torch.Generator) -> nn.Module:
    order = torch.randperm(features, generator=generator)
    module: nn.Module = UnconditionalTransform(PermutationTransform, order, buffer=True)
    return module


def _spline(
    features: int, context: int, hidden: Sequence[int], *, bins: int, kind: SplineKind, bound: float
) -> nn.Module:
    shapes = [(bins,), (bins,), (bins - 1,)]
    univariate = partial(MonotonicRQSTransform, bound=bound)
    if kind == "linear-rational":
        shapes.append((bins,))
        univariate = partial(MonotonicLRSTransform, bound=bound)
    module: nn.Module = ElementWiseTransform(
        features, context, univariate=univariate, shapes=shapes, hidden_features=tuple(hidden)
    )
    shrink_last(module)
    return module
