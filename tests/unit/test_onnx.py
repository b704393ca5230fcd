"""What the networks are made of exports to ONNX, for any number of elements."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch
from torch import nn

from caloforge.nn import (
    ConditionalFlow,
    ConditionerConfig,
    SetContext,
    SetSummaryConfig,
    SplineFlow,
    SplineFlowConfig,
    rational_quadratic,
)
from caloforge.nn.autoregressive import AutoregressiveFlow, AutoregressiveFlowConfig

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import onnxruntime
    from torch import Tensor

onnxruntime_ = pytest.importorskip("onnxruntime", reason="needs the extra 'onnx'")
pytest.importorskip("onnxscript", reason="needs the extra 'onnx'")
pytestmark = pytest.mark.filterwarnings("ignore:.*LeafSpec.* is deprecated:FutureWarning")

SMALL = ConditionerConfig(hidden=(16, 16))
SUMMARY = SetSummaryConfig(element=(8,), pooled=8, reduced=(8,), outputs=4)


class SetSampler(nn.Module):
    """A flow's ``sample`` with tensors as arguments."""

    def __init__(self, flow: SplineFlow) -> None:
        super().__init__()
        self.flow = flow

    def forward(self, noise: Tensor, shared: Tensor, index: Tensor, own: Tensor, near: Tensor) -> Tensor:
        return self.flow.sample(noise, SetContext(shared, index, own, near))


class Sampler(nn.Module):
    """As above, for flows of single vectors."""

    def __init__(self, flow: SplineFlow | ConditionalFlow | AutoregressiveFlow) -> None:
        super().__init__()
        self.flow = flow

    def forward(self, noise: Tensor, context: Tensor) -> Tensor:
        return self.flow.sample(noise, context)


class Splines(nn.Module):
    """A spline there and back."""

    def forward(self, x: Tensor, parameters: Tensor) -> tuple[Tensor, ...]:
        there = rational_quadratic(x, parameters, bound=3.0)
        return (*there, *rational_quadratic(x, parameters, bound=3.0, inverse=True))


def bent[M: nn.Module](module: M) -> M:
    """Weights that are large enough to matter."""
    rng = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_(0.2 * torch.randn(parameter.shape, generator=rng))
    return module.eval()


def exported(path: Path, module: nn.Module, arguments: tuple[Tensor, ...]) -> onnxruntime.InferenceSession:
    """Export with the first dimension of every argument free."""
    shapes = tuple({0: torch.export.Dim.DYNAMIC} for _ in arguments)
    names = [f"input_{i}" for i in range(len(arguments))]
    with torch.no_grad():
        program = torch.onnx.export(
            module,
            arguments,
            dynamo=True,
            opset_version=18,
            input_names=names,
            dynamic_shapes={name: shape for name, shape in zip(_names(module), shapes, strict=True)},
            verbose=False,
        )
    assert program is not None
    program.save(path)
    return onnxruntime_.InferenceSession(path, providers=["CPUExecutionProvider"])
