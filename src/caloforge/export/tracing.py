"""A model's sampler as one graph of ONNX, with its random numbers as inputs."""

from __future__ import annotations

import copy
import logging
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from caloforge.errors import ConfigError, clipped
from caloforge.export.layouts import Own
from caloforge.export.noise import GivenNoise, RecordedNoise
from caloforge.export.replaced import Replaced
from caloforge.export.simplified import simplified
from caloforge.models.noise import StreamNoise
from caloforge.preprocessing.particles import Particles
from caloforge.showers import Incident

if TYPE_CHECKING:
    from collections.abc import Sequence

    from onnx import ModelProto
    from torch import Tensor

    from caloforge.export.layouts import Layout
    from caloforge.export.noise import NoisePort
    from caloforge.models import GenerativeModel
    from caloforge.trained.range import TrainedRange

__all__ = ["IR_VERSION", "OPSET", "Traced", "drawn_at", "examples", "frozen", "to_onnx", "trace"]

OPSET = 18
"""Version of the operators: ONNX Runtime 1.17 and later know all that is used."""

IR_VERSION = 8
"""Version of the file: ONNX Runtime 1.15 and later read it."""

_EXAMPLES = 3  # showers that are traced: 0 and 1 would become constants


@dataclass(frozen=True)
class Traced:
    """A sampler's graph.

    Attributes:
        graph: Of the whole sampler.
        ports: Its inputs of random numbers.
        rows: The output that says how many rows a shower needs of an input of random numbers, by its name.
        outputs: Names of what is generated.
    """

    graph: ModelProto
    ports: tuple[NoisePort, ...]
    rows: dict[str, str]
    outputs: tuple[str, ...]


def examples(trained: TrainedRange, count: int) -> Incident:
    """Particles from all over the trained range; the first has the lowest energy, the last the highest."""
    share = np.linspace(0.0, 1.0, count) if count > 1 else np.full(1, 0.5)
    low, high = trained.energy
    theta = 0.9 * trained.theta * share[::-1] if trained.theta > 0.01 else 0.0 * share
    pdg = np.resize(np.asarray(trained.particles, dtype=np.int64), count)
    return Incident.of(low * (high / low) ** share, theta=theta, phi=2.4 * np.arange(count), pdg=pdg)


def trace(model: GenerativeModel, trained: TrainedRange, layout: Layout | None = None) -> Traced:
    """Trace ``sample``.

    Args:
        model: The model.
        trained: Where it was trained.
        layout: What the graph takes and gives; the sampler's own tensors without.

    Raises:
        ConfigError: It does something that has no graph.
    """
    model = frozen(model)
    layout = Own() if layout is None else layout
    particles = Particles.of(examples(trained, 1 if layout.single else _EXAMPLES))
    recorded = RecordedNoise(StreamNoise(1, np.arange(len(particles))))
    with torch.no_grad():
        made = model.sample(particles, recorded)
    sampler, outputs = _Sampler(model, layout, recorded.ports), tuple(layout.outputs(made))
    noise = {port.name: not (port.fixed and layout.single) for port in recorded.ports}
    graph = to_onnx(
        sampler,
        [*layout.given(particles), *(recorded.tensors[name] for name in noise)],
        free=[*(not layout.single for _ in layout.inputs), *noise.values()],
        inputs=[*layout.inputs, *noise],
        outputs=[*outputs, *sampler.rows],
    )
    rows = dict(zip(sampler.streams, sampler.rows, strict=True))
    names = {port.name: rows[port.stream] for port in recorded.ports if not port.fixed}
    return Traced(graph, tuple(recorded.ports), names, outputs)


def drawn_at(model: GenerativeModel, energy: float, pdg: int) -> RecordedNoise:
    """What a perpendicular particle of ``energy`` [MeV] asks of its random numbers."""
    particles = Particles.of(Incident.of(np.array([energy]), pdg=pdg))
    recorded = RecordedNoise(StreamNoise(1, np.arange(1)))
    with torch.no_grad():
        model.sample(particles, recorded)
    return recorded


def frozen(model: GenerativeModel) -> GenerativeModel:
    """A copy whose single numbers are Python's: constants of the graph that it is traced to."""
    model = copy.deepcopy(model).cpu().eval()
    for module in model.modules():
        for name, buffer in list(module.named_buffers(recurse=False)):
            if buffer.ndim == 0:
                delattr(module, name)
                object.__setattr__(module, name, buffer.item())
    return model


class _Sampler(nn.Module):
    """``sample`` as a function of tensors.

    Attributes:
        streams: Of random numbers whose rows the data decide on, known once it was traced.
        rows: Names of the outputs that tell them.
    """

    def __init__(self, model: GenerativeModel, layout: Layout, ports: Sequence[NoisePort]) -> None:
        super().__init__()
        self.model, self.layout, self.ports = model, layout, ports
        self.streams = [port.stream for port in ports if not port.fixed]
        self.rows = [f"rows_{number + 1}" for number in range(len(self.streams))]

    def forward(self, *given: Tensor) -> tuple[Tensor, ...]:
        """What is generated, then the rows that were asked for."""
        number = len(self.layout.inputs)
        streams = [port.stream for port in self.ports]
        source = GivenNoise(dict(zip(streams, given[number:], strict=True)))
        made = self.model.sample(self.layout.particles(*given[:number]), source)
        # copies: two outputs must not be one tensor
        rows = [source.counts[stream].clone() for stream in self.streams]
        return (*self.layout.outputs(made).values(), *rows)


def to_onnx(
    module: nn.Module,
    given: Sequence[Tensor],
    *,
    free: Sequence[bool],
    inputs: Sequence[str],
    outputs: Sequence[str],
) -> ModelProto:
    """A module's graph.

    Args:
        module: Takes and gives any number of tensors.
        given: Example arguments.
        free: Of which arguments the first dimension may change.
        inputs: Their names.
        outputs: Names of the outputs.

    Raises:
        ConfigError: Something in it has no graph.
    """
    shapes = tuple({0: torch.export.Dim.DYNAMIC} if change else {} for change in free)
    try:
        with torch.no_grad(), _quiet():
            with Replaced():
                program = torch.export.export(module, tuple(given), dynamic_shapes=(shapes,), strict=False)
            made = torch.onnx.export(
                program,
                dynamo=True,
                opset_version=OPSET,
                input_names=list(inputs),
                output_names=list(outputs),
                custom_translation_table=_translations(),
                verbose=False,
                optimize=False,  # in Python this takes minutes: see simplified
            )
    except Exception as error:  # of many kinds, and from deep inside of torch
        msg = (
            "The model has no ONNX graph, for its sampler does something that cannot be traced "
            f"({_reason(error)}): say so to its developers."
        )
        raise ConfigError(msg) from error
    assert made is not None  # for the type checker: None with other options
    return simplified(made.model_proto, opset=OPSET, ir_version=IR_VERSION)


def _reason(error: Exception) -> str:
    """The first line of the first of the errors that led to one another."""
    first: BaseException = error
    while first.__cause__ is not None:
        first = first.__cause__
    return clipped(f"{type(first).__name__}: {str(first).strip().splitlines()[0]}", 200)


def _quiet() -> Any:
    """No warnings and messages from inside of the exporter."""
    return _Quiet()


class _Quiet:
    """See ``_quiet``."""

    def __enter__(self) -> None:
        self._caught = warnings.catch_warnings()
        self._caught.__enter__()
        warnings.simplefilter("ignore")
        self._level = logging.root.manager.disable
        logging.disable(logging.WARNING)

    def __exit__(self, *error: object) -> None:
        logging.disable(self._level)
        self._caught.__exit__(*error)  # type: ignore[arg-type]


def _translations() -> dict[Any, Any]:
    """Operators of torch that the exporter does not know, or not well."""
    from onnxscript import opset18

    op: Any = opset18

    def stable_sort(values: Any, *, stable: bool = True, dim: int = -1, descending: bool = False) -> Any:  # noqa: ARG001
        # of equal numbers TopK has the first one first
        size = op.Gather(op.Shape(values), op.Constant(value_ints=[dim]))
        return op.TopK(values, size, axis=dim, largest=int(descending), sorted=1)

    def rows(counts: Any, *, output_size: Any = None) -> Any:  # noqa: ARG001
        # the exporter's own compares every row with every count: gigabytes of a shower's points and cells
        ends = op.CumSum(counts, op.Constant(value_int=0))
        size = op.Add(op.ReduceSum(counts, keepdims=1), op.Constant(value_ints=[1]))
        none = op.Expand(op.Constant(value_int=0), size)
        ones = op.Expand(op.Constant(value_int=1), op.Shape(ends))
        passed = op.CumSum(op.ScatterElements(none, ends, ones, reduction="add"), op.Constant(value_int=0))
        return op.Slice(passed, op.Constant(value_ints=[0]), op.Constant(value_ints=[-1]))

    aten = torch.ops.aten
    return {aten.sort.stable: stable_sort, aten.repeat_interleave.Tensor: rows}
