"""Normalising flows of spline couplings, for single vectors and for the elements of sets.

Rational-quadratic spline couplings (arXiv:1906.04032). For sets the conditioner may also see a
permutation-invariant summary of the untransformed features of all elements (the DeepSetFlow of
arXiv:2403.15782) and the untransformed features of neighbouring elements: elements then know of
each other while the likelihood stays exact.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import torch
from pydantic import Field
from torch import nn

from caloforge.nn.conditioners import Conditioner, ConditionerConfig
from caloforge.nn.initial import shrink_last
from caloforge.nn.mlp import mlp
from caloforge.nn.rational_quadratic import rational_quadratic, spline_parameters
from caloforge.nn.sets import SetContext, segment_mean
from caloforge.records import Count, Record, Width, Widths

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

__all__ = ["SetSummaryConfig", "SplineFlow", "SplineFlowConfig"]

_HALF_LOG_TWO_PI = 0.9189385332046727


class SetSummaryConfig(Record):
    """Sizes of the summary of a set."""

    element: Widths = (64, 128, 512)
    """Hidden layers of the network of single elements."""
    pooled: Width = 512
    """Features that are averaged over the elements."""
    reduced: Widths = (256,)
    """Hidden layers behind the average."""
    outputs: Width = 128
    """Features of the summary."""


class SplineFlowConfig(Record):
    """Sizes of a flow of spline couplings."""

    transforms: Count = 8
    """Couplings."""
    bins: int = Field(default=8, gt=1, le=1024)
    """Bins of the splines."""
    bound: float = Field(default=5.0, ge=0.1, le=1000)
    """The splines act on [-bound, bound]."""
    masks: Literal["alternate", "random"] = "alternate"
    """What a coupling keeps: every second feature in turns (``alternate``), or random halves, each followed
    by its complement (``random``)."""
    conditioner: ConditionerConfig = ConditionerConfig()
    """The network that makes the splines' parameters."""
    base: Literal["standard", "conditional"] = "standard"
    """``standard`` normal, or a normal whose mean and width depend on the condition."""
    base_hidden: Width = 32
    """Hidden features of the network of a conditional base."""
    summary: SetSummaryConfig | None = None
    """Sizes of a permutation-invariant summary, or None."""
    seed: int = Field(default=0, ge=0, lt=2**63)
    """Of the random masks."""


class SplineFlow(nn.Module):
    """A flow of rational-quadratic couplings.

    Args:
        features: Size of the target.
        config: Sizes.
        shared: Size of the condition of a set.
        own: Size of the further condition of an element.
        neighbours: Neighbours of an element.
    """

    def __init__(
        self, features: int, config: SplineFlowConfig, *, shared: int, own: int = 0, neighbours: int = 0
    ) -> None:
        super().__init__()
        self.features = features
        sizes = {"shared": shared, "own": own, "neighbours": neighbours}
        self.couplings = nn.ModuleList(
            SplineCoupling(features, kept, config, **sizes) for kept in _masks(features, config)
        )
        conditional = config.base == "conditional"
        self.base = _ConditionalNormal(features, shared, config.base_hidden) if conditional else None

    def log_prob(self, x: Tensor, context: SetContext | Tensor) -> Tensor:
        """Log-densities ``(M,)`` of elements ``(M, features)``.

        In a flow with a summary or with neighbours, the density of a set is the sum of those of its
        elements, which depend on each other.
        """
        context = _as_context(context)
        z, total = x.T, x.new_zeros(x.shape[0])
        for coupling in self.couplings:
            z, ladj = coupling(z, context)
            total = total + ladj
        return total + self._base_log_prob(z.T, context)

    def sample(self, noise: Tensor, context: SetContext | Tensor) -> Tensor:
        """Elements ``(M, features)`` out of standard normal noise ``(M, features)``."""
        context = _as_context(context)
        x = noise
        if self.base is not None:
            mean, log_std = (context.spread(part) for part in self.base(context.shared))
            x = mean + x * log_std.exp()
        x = x.T
        for coupling in reversed(self.couplings):
            x, _ = coupling(x, context, inverse=True)
        return x.T.contiguous()

    def _base_log_prob(self, z: Tensor, context: SetContext) -> Tensor:
        log_scale = z.new_zeros(())
        if self.base is not None:
            mean, log_std = (context.spread(part) for part in self.base(context.shared))
            z, log_scale = (z - mean) * (-log_std).exp(), log_std.sum(dim=-1)
        return -0.5 * z.square().sum(dim=-1) - _HALF_LOG_TWO_PI * self.features - log_scale


class SplineCoupling(nn.Module):
    """One coupling: some features are kept, and the others transformed given these.

    Args:
        features: Number of all, F.
        kept: Numbers of those that are kept; saved with the weights.
        config: Sizes.
        shared: Size of the condition of a set.
        own: Size of the further condition of an element.
        neighbours: Neighbours of an element.
    """

    kept: Tensor
    changed: Tensor
    order: Tensor

    def __init__(
        self,
        features: int,
        kept: Sequence[int],
        config: SplineFlowConfig,
        *,
        shared: int,
        own: int,
        neighbours: int,
    ) -> None:
        super().__init__()
        self.bound = config.bound
        self.outputs = spline_parameters(config.bins)
        changed = [place for place in range(features) if place not in set(kept)]
        both = [*kept, *changed]
        order = sorted(range(features), key=both.__getitem__)
        for name, places in (("kept", kept), ("changed", changed), ("order", order)):
            self.register_buffer(name, torch.tensor(places, dtype=torch.int64))
        summary = config.summary if len(kept) else None  # nothing kept, nothing to sum up
        self.summary = _summary(len(kept), summary) if summary else None
        extra = summary.outputs if summary else 0
        self.conditioner = Conditioner(
            config.conditioner,
            element=len(kept) * (1 + neighbours) + own,
            shared=shared + extra,
            outputs=len(changed) * self.outputs,
        )

    def forward(self, x: Tensor, context: SetContext, *, inverse: bool = False) -> tuple[Tensor, Tensor]:
        """Elements ``(F, M)`` and the logarithm of the Jacobian's determinant ``(M,)``.

        Feature after feature, not element after element: the spline is fast that way.
        """
        kept, changed = x.index_select(0, self.kept), x.index_select(0, self.changed)
        parameters = self._spline(kept.T, context).T.reshape(self.outputs, *changed.shape)
        changed, ladj = rational_quadratic(changed, parameters, bound=self.bound, inverse=inverse, dim=0)
        return torch.cat([kept, changed]).index_select(0, self.order), ladj.sum(dim=0)

    def _spline(self, kept: Tensor, context: SetContext) -> Tensor:
        shared = context.shared
        if self.summary is not None:
            shared = torch.cat([shared, self._summarise(kept, context)], dim=1)
        parts = [kept, *self._around(kept, context)]
        if context.own is not None:
            parts.append(context.own)
        parameters: Tensor = self.conditioner(torch.cat(parts, dim=1), shared, context.index)
        return parameters

    def _summarise(self, kept: Tensor, context: SetContext) -> Tensor:
        element, reduce = self.summary  # type: ignore[misc]
        values: Tensor = element(kept)
        if context.index is not None:
            values = segment_mean(values, context.index, context.shared.shape[0])
        summary: Tensor = reduce(values)
        return summary

    def _around(self, kept: Tensor, context: SetContext) -> list[Tensor]:
        if context.neighbours is None:
            return []
        padded = torch.cat([kept, kept.new_zeros(1, kept.shape[1])])
        return [padded.index_select(0, column) for column in context.neighbours.unbind(1)]


class _ConditionalNormal(nn.Module):
    """Mean and ln(standard deviation) from a condition."""

    def __init__(self, features: int, context: int, hidden: int) -> None:
        super().__init__()
        self.net = mlp((context, hidden, 2 * features))
        shrink_last(self.net)

    def forward(self, context: Tensor) -> tuple[Tensor, Tensor]:
        mean, log_std = self.net(context).chunk(2, dim=1)
        return mean, log_std.clamp(-7.0, 7.0)


def _as_context(context: SetContext | Tensor) -> SetContext:
    return context if isinstance(context, SetContext) else SetContext(context)


def _summary(kept: int, config: SetSummaryConfig) -> nn.ModuleList:
    element = mlp((kept, *config.element, config.pooled))
    return nn.ModuleList([element, mlp((config.pooled, *config.reduced, config.outputs))])


def _masks(features: int, config: SplineFlowConfig) -> list[list[int]]:
    """What each coupling keeps; one feature alone depends on the condition only."""
    if features == 1:
        return [[]] * config.transforms
    generator = torch.Generator().manual_seed(config.seed)
    masks: list[list[int]] = []
    for number in range(config.transforms):
        if number % 2 == 0:
            order = list(range(features))
            if config.masks == "random":
                order = torch.randperm(features, generator=generator, device="cpu").tolist()
        masks.append([place for place in range(features) if order[place] % 2 != number % 2])
    return masks
