"""Generate showers into a file: blocks in one or several processes, resumable, memory flat."""

from __future__ import annotations

import json
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from caloforge.blocks import Production, differences, run_blocks
from caloforge.devices import device_type, threads_as_before
from caloforge.errors import ConfigError, OutputError, bad
from caloforge.files import claimed
from caloforge.formats import NativeReader, NativeWriter, detect_format
from caloforge.formats.native import NATIVE
from caloforge.generation.particles import LikeFile, extremes
from caloforge.zoo.shipped import check_weights, exact_name, load_simulator, recorded_name, weights_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from concurrent.futures import Executor
    from pathlib import Path

    from caloforge.beam import Beam
    from caloforge.blocks import Progress
    from caloforge.formats.base import ShowerReader, WriterFactory
    from caloforge.showers import Incident, Showers
    from caloforge.simulator import Simulator

__all__ = ["Generation", "generate", "production_of"]

_BLOCK = 100


@dataclass(frozen=True)
class Generation:
    """What to generate.

    >>> from caloforge import Beam
    >>> from caloforge.generation import Generation
    >>> Generation("mosaic:siw-ecal", Beam(energy=(50e3, 50e3)), seed=1).particles
    Beam(gamma, 50 GeV)

    Attributes:
        model: A trained model's name or a saved model's folder.
        particles: Beam, or the particles of a file.
        seed: Shower i depends on (seed, i) alone.
        batch_size: Showers computed together; results agree to rounding between batch sizes.
        readout: Cells above threshold; otherwise points, see ``Simulator.delivered``.
        offset: Where the particles meet the front face [mm].
        sampler: Changes to the model's sampler, such as ``{"steps": 1}``.
        threads: Threads of a process.
        device: Where the networks run: ``cpu``, ``cuda`` or ``auto``; results agree to rounding.
        block_size: Showers a block at least, 100 by default: what a process holds in memory, and what an
            interruption loses.
    """

    model: str
    particles: Beam | LikeFile
    seed: int
    batch_size: int = 100
    readout: bool = True
    offset: tuple[float, float] = (0.0, 0.0)
    sampler: dict[str, Any] = field(default_factory=dict)
    threads: int = 1
    device: str = "cpu"
    block_size: int | None = None

    def simulator(self) -> Simulator:
        """The model with the sampler asked for, on the CPU; without torch where it needs none."""
        simulator = load_simulator(self.model)
        return simulator.with_sampler(**self.sampler) if self.sampler else simulator

    @property
    def block(self) -> int:
        """Showers a block: whole batches, so that batches do not depend on blocks."""
        return self.batch_size * max(1, -(-(self.block_size or _BLOCK) // self.batch_size))

    def request(self) -> dict[str, Any]:
        """Everything that determines the showers."""
        particles = self.particles
        described = {"like": str(particles.path)} if isinstance(particles, LikeFile) else asdict(particles)
        rest = ("seed", "batch_size", "readout", "offset", "sampler", "threads")
        settings = {name: _plain(getattr(self, name)) for name in rest}
        settings["device"] = device_type(self.device)
        return {
            "model": recorded_name(self.model),
            "weights": weights_of(self.model),
            "particles": _plain(described),
            **settings,
        }


@dataclass(frozen=True)
class _Worker:
    """Loads the model once in every process, where it must be the same one.

    Attributes:
        generation: What to generate.
        weights: Hash of the model.
        loaded: The model, in the process that has it already.
    """

    generation: Generation
    weights: str
    loaded: Simulator | None = field(default=None, repr=False, compare=False)

    def __reduce__(self) -> tuple[type[_Worker], tuple[Generation, str]]:
        return _Worker, (self.generation, self.weights)

    def __call__(self) -> Callable[[int, int], Showers]:
        check_weights(self.generation.model, self.weights)
        simulator = self.loaded or self.generation.simulator()
        simulator.model.work_on(self.generation.device, threads=self.generation.threads)
        return partial(_make, self.generation, simulator)


def _incident(generation: Generation, start: int, stop: int) -> Incident:
    return generation.particles.sample(generation.seed, start, stop)


def _make(generation: Generation, simulator: Simulator, start: int, stop: int) -> Showers:
    incident = _incident(generation, start, stop)
    showers = simulator.sample(incident, seed=generation.seed, first=start, batch_size=generation.batch_size)
    return simulator.delivered(showers, readout=generation.readout, offset=generation.offset)


def production_of(
    generation: Generation,
    count: int,
    *,
    strict: bool = False,
    allow_extrapolation: bool = False,
    writer: WriterFactory | None = None,
) -> Production:
    """The blocks of ``count`` showers; arguments as of ``generate``.

    Raises:
        ConfigError: The device is not there.
        DataError: As of ``Simulator.check``.
    """
    generation = replace(generation, model=exact_name(generation.model))
    simulator = generation.simulator()
    particles = extremes(generation.particles)
    simulator.check(particles, strict=strict, allow_extrapolation=allow_extrapolation)
    request = generation.request()
    return Production(
        count=count,
        size=generation.block,
        request=request,
        worker=_Worker(generation, request["weights"], simulator),
        writer=writer or partial(NativeWriter, provenance={"generated": request, "cost": simulator.cost}),
        geometry=simulator.geometry,
        incident=None if isinstance(generation.particles, LikeFile) else partial(_incident, generation),
    )


def generate(
    generation: Generation,
    *,
    out: Path,
    count: int,
    processes: int = 1,
    executor: Executor | None = None,
    strict: bool = False,
    allow_extrapolation: bool = False,
    writer: WriterFactory | None = None,
    force: bool = False,
    append: bool = False,
    progress: Progress | None = None,
) -> None:
    """Generate ``count`` showers into ``out``; the same call goes on after an interruption.

    Args:
        generation: What to generate.
        out: File to write.
        count: Showers.
        processes: Worker processes; the showers do not depend on it.
        executor: Of a cluster, in place of these; see ``run_blocks``.
        strict: Raise instead of warning outside of the trained range.
        allow_extrapolation: Also for particles far outside of it, see ``Simulator.check``.
        writer: Opens the file; caloforge's own format by default.
        force: Replace ``out``.
        append: Take over the showers of ``out``, which must be of the same request; ``count`` is the total.
        progress: As of ``run_blocks``.

    Raises:
        ConfigError: The device is not there, or several processes are to share a GPU.
        DataError: As of ``Simulator.check`` and ``Simulator.sample``.
        FormatError: The showers to append to are damaged.
        OutputError: ``out`` exists, cannot be written, or holds other showers than those to append to.
    """
    _check_processes(processes, generation.device)
    with claimed(out, force=force or append), ExitStack() as stack:
        production = production_of(
            generation, count, strict=strict, allow_extrapolation=allow_extrapolation, writer=writer
        )
        kept = None
        if append and out.exists():
            kept = stack.enter_context(_earlier(out, production.request, count))
            kept.verify()
        with threads_as_before():
            run_blocks(
                production,
                out=out,
                processes=processes,
                executor=executor,
                force=force,
                kept=kept,
                progress=progress,
            )


def _earlier(out: Path, request: Mapping[str, Any], count: int) -> ShowerReader:
    """Open the finished file of fewer showers of ``request``; its content is what was written.

    Raises:
        FormatError: It is damaged.
        OutputError: It holds other showers, or more.
    """
    if detect_format(out) is not NATIVE:
        msg = f"{out} cannot be extended: only caloforge's own format tells how its showers were generated."
        raise OutputError(msg)
    with ExitStack() as stack:
        reader = NativeReader(out)
        stack.push(reader)
        if problem := _misfit(reader, request, count):
            fix = "choose another name, or repeat that request with a larger --count"
            msg = f"{out} {problem}: {fix}."
            raise OutputError(msg)
        reader.verify()
        stack.pop_all()
    return reader


def _misfit(reader: ShowerReader, request: Mapping[str, Any], count: int) -> str:
    """Why a file is not the start of ``count`` showers of ``request``; "" when it is."""
    different = differences(reader.provenance.get("generated", {}), json.loads(json.dumps(request)))
    if different:
        return f"holds showers of another request ({different})"
    if len(reader) > count:
        return f"has {len(reader)} showers, more than the {count} that --count asks for in all"
    return ""


def _check_processes(processes: int, device: str) -> None:
    """A GPU works on one process's showers after the other's, and each takes memory of its own."""
    kind = device_type(device)
    if processes > 1 and kind != "cpu":
        fix = "leave --processes out and raise --batch-size, or take --device cpu"
        raise ConfigError(bad(f"processes on {kind}", got=processes, expected="1", fix=fix))


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _plain(v) for k, v in value.items()}
    return list(value) if isinstance(value, tuple) else value
