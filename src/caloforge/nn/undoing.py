"""Samples of zuko's flows without its distributions: one operation after the other, nothing checked."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from zuko.flows import ElementWiseTransform, GeneralCouplingTransform
from zuko.lazy import UnconditionalTransform

from caloforge.nn.fused import fused_layers

if TYPE_CHECKING:
    from torch import Tensor, nn

__all__ = ["undone"]

_LOG_SLOPE = math.log(1e-3)  # zuko's affine transforms scale by no less


def undone(transform: nn.Module, x: Tensor, context: Tensor) -> Tensor:
    """Undo an affine coupling, an element-wise spline or a permutation of a ``ConditionalFlow``.

    Args:
        transform: One of the three, of zuko's classes.
        x: Rows ``(B, features)`` for which ``caloforge.nn.fused.fuses`` holds.
        context: ``(B, context)``.
    """
    if isinstance(transform, GeneralCouplingTransform):
        return _coupling(transform, x, context)
    if isinstance(transform, ElementWiseTransform):
        return _spline(transform, x, context)
    if not isinstance(transform, UnconditionalTransform):
        raise TypeError(type(transform).__name__)
    return x.index_select(1, next(transform.buffers()).argsort())


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
