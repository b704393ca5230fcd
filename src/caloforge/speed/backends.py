"""What computes a model's showers in a benchmark: torch in several ways, ONNX Runtime, a C++ engine."""

from __future__ import annotations

import signal
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any, Literal, Protocol, get_args

import numpy as np

from caloforge.errors import ConfigError
from caloforge.models.samplers import sampler_class
from caloforge.speed.parts import replaced, timed_parts
from caloforge.trained.configuration import read_config
from caloforge.zoo import load_simulator, model_folder

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from caloforge.geometry import Geometry
    from caloforge.showers import Incident, Showers
    from caloforge.simulator import Simulator

__all__ = ["BACKENDS", "Backend", "Sample", "backend_of", "load", "opened", "patience", "why_not"]

Backend = Literal["own", "eager", "compile", "bf16", "onnxruntime", "engine"]

BACKENDS: tuple[Backend, ...] = get_args(Backend)
"""``own`` stands for what ``caloforge generate`` takes: ``eager``, or the ``engine`` where there is one."""

_PATIENCE = 120  # seconds that torch.compile may take


class Sample(Protocol):
    """Makes showers."""

    def __call__(self, incident: Incident, *, seed: int, first: int, batch_size: int) -> Showers:
        """One shower a particle; ``first`` is the number of the first."""
        ...


def backend_of(backend: Backend, model: str) -> Backend:
    """What ``own`` stands for; any other is itself."""
    if backend != "own":
        return backend
    return "engine" if _has_engine(model) else "eager"


def why_not(backend: Backend, model: str, device: str) -> str:
    """Why a model cannot be measured so, in a sentence; "" when it may be tried."""
    if backend == "engine" and not _has_engine(model):
        return "It has no C++ engine: its networks run in torch or ONNX Runtime."
    if backend not in {"own", "engine"} and _has_engine(model):
        return "It has no networks: a C++ engine generates."
    if backend == "onnxruntime" and device != "cpu":
        return "ONNX Runtime is measured on the CPU only."
    return ""


def _has_engine(model: str) -> bool:
    return sampler_class(read_config(model_folder(model)).model_name) is not None


def load(backend: Backend, model: str) -> Simulator:
    """Load what a backend needs of a model."""
    return load_simulator(model, networks=backend != "engine")


@contextmanager
def opened(backend: Backend, simulator: Simulator, *, threads: int, graph: Path | None) -> Iterator[Sample]:
    """What makes showers with a loaded model.

    Args:
        backend: Which one; not ``own``.
        simulator: As of ``load``.
        threads: Of the CPU.
        graph: Folder of the exported model, for ``onnxruntime``.

    Raises:
        ConfigError: ONNX Runtime has no graph.
    """
    with ExitStack() as stack:
        if backend == "compile":
            _compile(simulator, stack)
        if backend == "bf16":
            import torch

            stack.enter_context(torch.autocast(simulator.device.type, dtype=torch.bfloat16))
        if backend != "onnxruntime":
            yield simulator.sample
        elif graph is None:
            msg = "ONNX Runtime needs an exported graph."
            raise ConfigError(msg)
        else:
            yield _Exported(graph, simulator.geometry, threads)


def _compile(simulator: Simulator, stack: ExitStack) -> None:
    """Compile the parts whose time is told apart: what is around them is numpy and loops."""
    import torch

    torch._inductor.config.compile_threads = 1  # a worker may have no workers
    torch._dynamo.config.trace_numpy = False  # random numbers
    for part in timed_parts(simulator.networks).values():
        method = "sample" if hasattr(part, "sample") else "forward"
        compiled = torch.compile(getattr(part, method), dynamic=True)
        stack.enter_context(replaced(part, method, compiled))


@contextmanager
def patience(backend: Backend) -> Iterator[None]:
    """End a compilation that takes too long.

    Raises:
        ConfigError: It does.
    """
    if backend != "compile" or not hasattr(signal, "setitimer"):
        yield
        return

    def give_up(*_: object) -> None:
        msg = f"torch.compile takes longer than {_PATIENCE} s."
        raise ConfigError(msg)

    before = signal.signal(signal.SIGALRM, give_up)
    signal.setitimer(signal.ITIMER_REAL, _PATIENCE)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


class _Exported:
    """Showers of an exported model, as a simulator makes them.

    Args:
        folder: Of the export.
        geometry: The read-out.
        threads: Of the CPU.
    """

    def __init__(self, folder: Path, geometry: Geometry, threads: int) -> None:
        from caloforge.export.runner import Exported

        self._run, self._geometry = Exported(folder, threads=threads), geometry

    def __call__(self, incident: Incident, *, seed: int, first: int, batch_size: int) -> Showers:
        """As of ``Sample``; the numbers of its random numbers' generator are its own."""
        import torch

        from caloforge.export.runner import RandomNumbers, conditions
        from caloforge.models.assembly import to_showers
        from caloforge.models.base import CellSet, Cloud

        del batch_size
        given = conditions(incident.energy, incident.theta, incident.phi, incident.pdg)
        made: dict[str, Any] = self._run(given, RandomNumbers(seed + first))
        kind = Cloud if "points" in made else CellSet
        tensors = {name: torch.from_numpy(np.ascontiguousarray(value)) for name, value in made.items()}
        return to_showers(kind(**tensors), incident, self._geometry)
