"""Whether an exported model makes the showers that it makes in torch, and how long both take."""

from __future__ import annotations

import statistics
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from caloforge.errors import ConfigError, bad
from caloforge.export.layouts import own_name
from caloforge.export.noise import RecordedNoise, ReplayedNoise
from caloforge.export.runner import Exported
from caloforge.export.tracing import examples
from caloforge.models.noise import StreamNoise
from caloforge.preprocessing.particles import Particles

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from numpy.typing import NDArray
    from onnx import ModelProto
    from torch import Tensor, nn

    from caloforge.export.layouts import Layout
    from caloforge.export.tracing import Traced
    from caloforge.models.base import CellSet, Cloud, Noise
    from caloforge.simulator import Simulator

__all__ = [
    "Latency",
    "Parity",
    "arrays_of",
    "check_parity",
    "check_same",
    "check_single",
    "compare",
    "measure_latency",
    "time_single",
]

_BATCHES = (1, 7)
_TAIL_BATCH = 16
_FAR = 5.5  # of the normal numbers in the tails
_TAILS = 61  # every so many numbers lie there
_SEED = 20
_CLOSE = 1e-3  # of a hit's numbers, relative to one plus their size
_SAME = 0.5  # of the showers at least: in the others a rounding chose another cell or order
_HITS = 0.02  # of a shower may be more or fewer then, and two in any case
_ENERGY = 1e-3  # of a shower may differ by this, relative
_SINGLE = 8  # showers, one by one
_WARM, _TIMES = 3, 15


@dataclass(frozen=True)
class Parity:
    """How well two runs over the same random numbers agree.

    Attributes:
        showers: That were compared.
        same: With the same hits, within a thousandth. In others a rounding chose otherwise: which of two
            points is deeper, or whether a layer has one more.
        largest: Difference of the hits' numbers in those, relative to one plus their size.
        hits: Largest relative difference of the number of hits of all showers, beyond two.
        energy: Largest relative difference of the energy of all showers.
    """

    showers: int
    same: int
    largest: float
    hits: float
    energy: float

    @property
    def agrees(self) -> bool:
        """Whether all differences are those of rounding."""
        return self.same >= _SAME * self.showers and self.hits <= _HITS and self.energy <= _ENERGY

    def __add__(self, other: Parity) -> Parity:
        return Parity(
            self.showers + other.showers,
            self.same + other.same,
            max(self.largest, other.largest),
            max(self.hits, other.hits),
            max(self.energy, other.energy),
        )

    def __str__(self) -> str:
        return (
            f"{self.same} of {self.showers} showers the same within {self.largest:.1g}, "
            f"energies of all within {self.energy:.1g}"
        )


@dataclass(frozen=True)
class Latency:
    """Milliseconds per shower, one after the other on one thread.

    Attributes:
        torch: In Python.
        onnxruntime: The exported model.
    """

    torch: float
    onnxruntime: float

    def __str__(self) -> str:
        ratio = self.torch / self.onnxruntime
        return f"{self.torch:.3g} ms in torch, {self.onnxruntime:.3g} ms in onnxruntime ({ratio:.1f} x)"


class _Tails:
    """Noise some of which lies far out.

    Args:
        source: The rest.
    """

    def __init__(self, source: Noise) -> None:
        self._source = source

    def normal(self, stage: str, counts: Tensor | int, width: int) -> Tensor:
        """As of ``Noise``."""
        drawn = self._source.normal(stage, counts, width).clone(memory_format=torch.contiguous_format)
        flat = drawn.view(-1)
        flat[::_TAILS] = _FAR
        flat[_TAILS // 2 :: _TAILS] = -_FAR
        return drawn

    def uniform(self, stage: str, counts: Tensor | int, width: int) -> Tensor:
        """As of ``Noise``."""
        drawn = self._source.uniform(stage, counts, width).clone(memory_format=torch.contiguous_format)
        flat = drawn.view(-1)
        flat[::_TAILS] = 1e-9
        flat[_TAILS // 2 :: _TAILS] = 1 - 1e-9
        return drawn

    def keys(self, stage: str) -> NDArray[np.uint64]:
        """As of ``Noise``."""
        return self._source.keys(stage)


def check_parity(folder: Path, simulator: Simulator) -> Parity:
    """Compare an export with its model: a single shower, an odd batch, and random numbers far out.

    Raises:
        ConfigError: They do not agree.
    """
    exported = Exported(folder)
    found = [_one(exported, simulator, batch, tails=False) for batch in _BATCHES]
    return _judged(sum(found, _one(exported, simulator, _TAIL_BATCH, tails=True)), simulator)


def _judged(total: Parity, simulator: Simulator) -> Parity:
    if not total.agrees:
        name, expected = f"the export of {simulator.model.name}", "the same showers"
        raise ConfigError(bad(name, got=str(total), expected=expected, fix="say so to its developers"))
    return total


def check_single(traced: Traced, layout: Layout, simulator: Simulator) -> Parity:
    """Compare a graph of single showers, whose random numbers are still its inputs, with the model.

    Raises:
        ConfigError: They do not agree.
    """
    session = _session(traced.graph.SerializeToString())
    names = [entry.name for entry in session.get_inputs()]
    incident = examples(simulator.trained, _SINGLE)
    found = []
    for row in range(_SINGLE):
        particles = Particles.of(incident[row : row + 1])
        source: Noise = StreamNoise(_SEED, np.array([row]))
        recorded = RecordedNoise(_Tails(source) if row % 2 else source)
        inputs = layout.given(particles)
        with torch.no_grad():
            made = layout.outputs(simulator.networks.sample(layout.particles(*inputs), recorded))
        given = dict(zip(layout.inputs, inputs, strict=True)) | recorded.tensors
        got = session.run(["output"], {name: given[name].numpy() for name in names})[0]
        found.append(_rows(got.ravel(), made["output"].numpy().ravel()))
    return _judged(sum(found[1:], found[0]), simulator)


def check_same(
    graph: ModelProto, module: nn.Module, name: str, given: Sequence[Tensor], simulator: Simulator
) -> Parity:
    """Compare a graph of one input and one output with the module that it is of.

    Raises:
        ConfigError: They do not agree.
    """
    session = _session(graph.SerializeToString())
    found = []
    for tensor in given:
        with torch.no_grad():
            expected = module(tensor)[0].numpy()
        found.append(_rows(session.run(None, {name: tensor.numpy()})[0].ravel(), expected.ravel()))
    return _judged(sum(found[1:], found[0]), simulator)


def _rows(mine: NDArray[np.floating], theirs: NDArray[np.floating]) -> Parity:
    """Compare two rows of numbers: energies of all cells, or points and their energies."""
    same_size = len(mine) == len(theirs)
    size = min(len(mine), len(theirs))
    difference = np.abs(mine[:size] - theirs[:size]) / (1 + np.abs(theirs[:size]))
    same = bool(same_size and (difference <= _CLOSE).all())
    beyond = max(0.0, abs(len(mine) - len(theirs)) - 8) / max(1, len(theirs))
    return Parity(1, int(same), float(difference.max(initial=0.0)) if same else 0.0, beyond, 0.0)


def _session(model: bytes | str) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = 1, 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def time_single(file: Path, layout: Layout, simulator: Simulator) -> Latency:
    """Time single showers of all trained energies as of ``measure_latency``, in a graph of single showers."""
    session = _session(str(file))
    names = [entry.name for entry in session.get_inputs()]
    incident = examples(simulator.trained, _WARM + _TIMES)
    times = []
    for row in range(len(incident)):
        particles = Particles.of(incident[row : row + 1])
        given = dict(zip(layout.inputs, layout.given(particles), strict=True))
        start = time.perf_counter()
        with torch.no_grad():
            simulator.networks.sample(particles, StreamNoise(_SEED, np.array([row])))
        middle = time.perf_counter()
        session.run(None, {name: given[name].numpy() for name in names})
        times.append((middle - start, time.perf_counter() - middle))
    return _mean(times)


def _one(exported: Exported, simulator: Simulator, batch: int, *, tails: bool) -> Parity:
    particles = Particles.of(examples(simulator.trained, batch))
    source: Noise = StreamNoise(_SEED + batch, np.arange(batch))
    recorded = RecordedNoise(_Tails(source) if tails else source)
    with torch.no_grad():
        made = simulator.networks.sample(particles, recorded)
    drawn = {name: tensor.numpy() for name, tensor in recorded.tensors.items()}
    return compare(exported(_given(particles), _handing(drawn)), arrays_of(made))


def _given(particles: Particles) -> dict[str, Any]:
    return {name: getattr(particles, name).numpy() for name in ("energy", "direction", "pdg")}


def _handing(drawn: dict[str, NDArray[np.floating]]) -> Callable[..., Any]:
    """Numbers that were drawn before; of rows that are wanted beyond them the first ones again."""

    def draw(name: str, kind: str, rows: NDArray[np.int64], width: int) -> NDArray[np.floating]:  # noqa: ARG001
        return np.resize(drawn[name], (int(rows.sum()), width))

    return draw


def arrays_of(made: Cloud | CellSet) -> dict[str, NDArray[Any]]:
    """What a model made, by names."""
    return {own_name(name): tensor.numpy() for name, tensor in vars(made).items()}


def compare(mine: dict[str, NDArray[Any]], theirs: dict[str, NDArray[Any]]) -> Parity:
    """Compare what an export made with what was to be made, both as of ``Exported``."""
    number = len(theirs["counts"])
    columns, shower = zip(*(_hits(made) for made in (mine, theirs)), strict=True)
    energy = [np.bincount(rows, c[:, -1], minlength=number) for c, rows in zip(columns, shower, strict=True)]
    counts = [made["counts"].astype(np.float64) for made in (mine, theirs)]
    difference = np.full(number, np.inf)
    for row in np.flatnonzero(counts[0] == counts[1]):
        own, other = (c[rows == row] for c, rows in zip(columns, shower, strict=True))
        difference[row] = (np.abs(own - other) / (1 + np.abs(other))).max(initial=0.0)
    same = difference <= _CLOSE
    beyond = (np.abs(counts[0] - counts[1]) - 2).clip(0)
    return Parity(
        showers=number,
        same=int(same.sum()),
        largest=float(difference[same].max(initial=0.0)),
        hits=float((beyond / counts[1].clip(1)).max()),
        energy=float((np.abs(energy[0] - energy[1]) / energy[1].clip(1e-9)).max()),
    )


def _hits(made: dict[str, NDArray[Any]]) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Numbers of every hit, the energy last, and its shower."""
    return _columns(made), np.repeat(np.arange(len(made["counts"])), made["counts"])


def _columns(made: dict[str, NDArray[Any]]) -> NDArray[np.float64]:
    """Numbers of every hit, the energy last."""
    if "points" in made:
        return made["points"].astype(np.float64)
    return np.stack([made["cell"].astype(np.float64), made["hit_energy"].astype(np.float64)], axis=1)


def measure_latency(folder: Path, simulator: Simulator) -> Latency:
    """Time single showers of all trained energies, one thread, in torch and in onnxruntime."""
    exported = Exported(folder)
    incident = examples(simulator.trained, _WARM + _TIMES)
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        single = [Particles.of(incident[row : row + 1]) for row in range(len(incident))]
        times = [_timed(exported, simulator, particles, row) for row, particles in enumerate(single)]
    finally:
        torch.set_num_threads(before)
    return _mean(times)


def _mean(times: list[tuple[float, float]]) -> Latency:
    in_torch, in_onnx = zip(*times[_WARM:], strict=True)
    return Latency(1e3 * statistics.fmean(in_torch), 1e3 * statistics.fmean(in_onnx))


def _timed(
    exported: Exported, simulator: Simulator, particles: Particles, number: int
) -> tuple[float, float]:
    recorded = RecordedNoise(StreamNoise(_SEED, np.array([number])))
    with torch.no_grad():
        simulator.networks.sample(particles, recorded)
    source, drawn = ReplayedNoise(recorded), {name: t.numpy() for name, t in recorded.tensors.items()}
    start = time.perf_counter()
    with torch.no_grad():
        simulator.networks.sample(particles, source)
    middle = time.perf_counter()
    exported(_given(particles), _handing(drawn))
    return middle - start, time.perf_counter() - middle
