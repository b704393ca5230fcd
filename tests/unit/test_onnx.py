"""What the networks are made of exports to ONNX, for any number of elements and of sets."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from torch import Tensor, nn

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
    from pathlib import Path

onnxruntime = pytest.importorskip("onnxruntime", reason="needs the extra export")
pytest.importorskip("onnxscript", reason="needs the extra export")

# inside of torch.export itself
pytestmark = pytest.mark.filterwarnings("ignore:.*LeafSpec.* is deprecated:FutureWarning")

SMALL = ConditionerConfig(hidden=(8, 8))
SUMMARY = SetSummaryConfig(element=(8,), pooled=8, reduced=(), outputs=4)
Flow = SplineFlow | ConditionalFlow | AutoregressiveFlow


class Splines(nn.Module):
    """Splines there and back."""

    def forward(self, x: Tensor, parameters: Tensor) -> tuple[Tensor, ...]:
        there = rational_quadratic(x, parameters, bound=3.0)
        return (*there, *rational_quadratic(x, parameters, bound=3.0, inverse=True))


class Sampler(nn.Module):
    """A flow's ``sample``."""

    def __init__(self, flow: Flow) -> None:
        super().__init__()
        self.flow = flow

    def forward(self, noise: Tensor, context: Tensor) -> Tensor:
        return self.flow.sample(noise, context)


class SetSampler(nn.Module):
    """A set flow's ``sample`` with tensors as arguments."""

    def __init__(self, flow: SplineFlow) -> None:
        super().__init__()
        self.flow = flow

    def forward(self, noise: Tensor, shared: Tensor, index: Tensor, own: Tensor, near: Tensor) -> Tensor:
        return self.flow.sample(noise, SetContext(shared, index, own, near))


def bent(module: Flow) -> Flow:
    """The module with weights that are large enough to matter."""
    rng = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_(0.2 * torch.randn(parameter.shape, generator=rng))
    return module.eval()


def check_export(
    path: Path, module: nn.Module, first: tuple[Tensor, ...], *others: tuple[Tensor, ...]
) -> None:
    """Export with the first dimension of every argument free; compare with torch at other sizes."""
    with torch.no_grad():
        program = torch.onnx.export(
            module.eval(),
            first,
            dynamo=True,
            opset_version=18,
            dynamic_shapes=tuple({0: torch.export.Dim.DYNAMIC} for _ in first),
            verbose=False,
        )
        program.save(path / "model.onnx")  # type: ignore[union-attr]
        session = onnxruntime.InferenceSession(path / "model.onnx", providers=["CPUExecutionProvider"])
        names = [i.name for i in session.get_inputs()]
        for arguments in others:
            expected = module(*arguments)
            expected = (expected,) if isinstance(expected, Tensor) else expected
            got = session.run(None, {n: a.numpy() for n, a in zip(names, arguments, strict=True)})
            for one, other in zip(got, expected, strict=True):
                assert one.shape == other.shape
                np.testing.assert_allclose(one, other.numpy(), rtol=1e-4, atol=1e-5)


def normal(seed: int, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_splines(tmp_path: Path) -> None:
    sizes = (5, 1, 40)
    check_export(tmp_path, Splines(), *((2 * normal(n, n, 2), normal(n, n, 2, 11)) for n in sizes))


@pytest.mark.parametrize("kind", ["plain", "conditional base", "shower flow", "autoregressive"])
def test_flows_of_vectors(kind: str, tmp_path: Path) -> None:
    flows: dict[str, Flow] = {
        "plain": SplineFlow(3, SplineFlowConfig(transforms=1, conditioner=SMALL), shared=2),
        "conditional base": SplineFlow(
            3,
            SplineFlowConfig(
                transforms=1,
                base="conditional",
                conditioner=ConditionerConfig(kind="residual", hidden=(8,), blocks=1),
            ),
            shared=2,
        ),
        "shower flow": ConditionalFlow(3, 2, blocks=1, couplings=1, hidden=(8,), spline_hidden=(8,)),
        "autoregressive": AutoregressiveFlow(
            3, 2, AutoregressiveFlowConfig(transforms=1, bins=4, hidden=(8,))
        ),
    }
    sizes = (5, 1, 40)
    check_export(
        tmp_path, Sampler(bent(flows[kind])), *((normal(n, n, 3), normal(n + 1, n, 2)) for n in sizes)
    )


def test_flows_of_sets(tmp_path: Path) -> None:
    config = SplineFlowConfig(transforms=2, conditioner=SMALL, base="conditional", summary=SUMMARY)
    flow = bent(SplineFlow(2, config, shared=2, own=1, neighbours=2))

    def arguments(*counts: int) -> tuple[Tensor, ...]:
        sets, rows = len(counts), sum(counts)
        near = torch.randint(rows + 1, (rows, 2), generator=torch.Generator().manual_seed(rows))
        index = torch.arange(sets).repeat_interleave(torch.tensor(counts))
        return normal(0, rows, 2), normal(1, sets, 2), index, normal(2, rows, 1), near

    check_export(tmp_path, SetSampler(flow), arguments(3, 2, 4), arguments(1, 0, 7, 0, 2, 5), arguments(1))
