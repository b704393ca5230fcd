"""Samples of zuko's flows without its distributions: one operation after the other, nothing checked."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from zuko.flows import ElementWiseTransform, GeneralCouplingTransform
from zuko.lazy import UnconditionalTransform

from caloforge.nn.fused import fused_layers

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from torch import Tensor, nn

__all__ = ["undone"]

_LOG_SLOPE = math.log(1e-3)  # zuko's affine transforms scale by no less


def undone(transforms: Sequence[nn.Module], x: Tensor, context: Tensor) -> Tensor:
    """Undo affine couplings, element-wise splines and permutations, those of a ``ConditionalFlow``.

    Args:
        transforms: Of zuko's classes, in the order in which they are to be undone.
        x: Rows ``(B, features)`` for which ``caloforge.nn.fused.fuses`` holds.
        context: ``(B, context)``.
    """
    inverses = _inverses(transforms)
    for transform in transforms:
        if isinstance(transform, GeneralCouplingTransform):
            x = _coupling(transform, x, context)
        elif isinstance(transform, ElementWiseTransform):
            x = _spline(transform, x, context)
        else:
            x = x.index_select(1, next(inverses))
    return x


def _inverses(transforms: Sequence[nn.Module]) -> Iterator[Tensor]:
    """The inverses of all permutations, sorted together."""
    orders = [next(t.buffers()) for t in transforms if isinstance(t, UnconditionalTransform)]
    return iter(torch.stack(orders).argsort(dim=1)) if orders else iter(())


def _coupling(coupling: GeneralCouplingTransform, x: Tensor, context: Tensor) -> Tensor:
    """The first features are kept (the mask of ``ConditionalFlow``), the others were scaled and shifted."""
    changed = coupling.hyper[-1].out_features // coupling.total
    kept, rest = torch.split(x, [x.shape[1] - changed, changed], dim=1)
    parameters = fused_layers(coupling.hyper, torch.cat([kept, context], dim=1))
    shift, scale = parameters.view(len(x), changed, 2).unbind(dim=2)
    log_scale = scale / (1 + (scale / _LOG_SLOPE).abs())
    return torch.cat([kept, (rest - shift) * (-log_scale).exp_()], dim=1)


def _spline(spline: ElementWiseTransform, x: Tensor, context: Tensor) -> Tensor:
    parameters = fused_layers(spline.hyper, context).view(*x.shape, spline.total)
    sizes = [math.prod(shape) for shape in spline.shapes]
    value: Tensor = spline.univariate(*torch.split(parameters, sizes, dim=2)).inv(x)
    return value
