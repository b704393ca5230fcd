"""How fast models are on this machine, and how much faster than Geant4 in the same run.

After arXiv:2309.05704 (uniform energies, one core, repetitions) and the CaloChallenge, arXiv:2410.21611
(loading excluded, post-processing included), and the comparison of CMS (batch sizes 1, 10, 100 and 1000;
loading, sampling, post-processing and writing apart). Energies are spread evenly over the trained range, at
normal incidence; after a warm-up the same showers are made several times. Every backend and number of
threads has a process of its own, in which batches grow.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np

from caloforge.devices import find_device, usable_cores
from caloforge.errors import CaloForgeError, ConfigError, bad
from caloforge.showers import Incident
from caloforge.speed.backends import Backend, backend_of, why_not
from caloforge.speed.estimates import mean_time, speed_up
from caloforge.speed.machine import describe_machine, load
from caloforge.speed.recorded import OWN
from caloforge.speed.results import Benchmark, Configuration, Geant4Time, LeftOut, ModelBenchmark
from caloforge.speed.timing import TimingTask, even_energies, time_in_process
from caloforge.zoo.shipped import load_simulator, model_folder

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from caloforge.simulator import Simulator
    from caloforge.speed.timing import Measurement

__all__ = ["BenchmarkSettings", "benchmark"]

_BUSY = 0.5  # processes that run beside the benchmark

_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class BenchmarkSettings:
    """What is measured, for every model.

    Attributes:
        threads: Numbers of threads; 0 stands for all cores.
        batch_sizes: Showers computed together.
        showers: Showers of one repetition, at most; at least a batch.
        repetitions: How often they are made.
        backends: What computes the models, see ``caloforge.speed.backends``.
        seconds: What the repetitions of one configuration may take together: slow ones are of fewer showers.
        energy: Range of the energies [MeV]; None is each model's trained range.
        geant4: Whether Geant4 is timed beside.
        geant4_showers: Showers of Geant4.
        geant4_data: Folder of Geant4's data sets; None is the usual place.
        seed: Of all showers.
        device: Where the networks run: ``cpu``, ``cuda`` or ``auto``.
        allow_extrapolation: Whether energies may lie far outside of the trained ones.

    Raises:
        ConfigError: Too few repetitions, or the device is not there.
    """

    threads: tuple[int, ...] = (1, 0)
    batch_sizes: tuple[int, ...] = (1, 10, 100, 1000)
    showers: int = 200
    repetitions: int = 3
    backends: tuple[Backend, ...] = ("own",)
    seconds: float = 30.0
    energy: tuple[float, float] | None = None
    geant4: bool = False
    geant4_showers: int = 30
    geant4_data: Path | None = None
    seed: int = 1
    device: str = "cpu"
    allow_extrapolation: bool = False

    def __post_init__(self) -> None:
        """Check that errors can be estimated, and the device."""
        object.__setattr__(self, "device", str(find_device(self.device)))
        if not self.batch_sizes or min(self.batch_sizes) < 1 or not self.threads or min(self.threads) < 0:
            raise ConfigError(
                "A benchmark needs batch sizes of at least 1, and at least one number of threads."
            )
        if self.repetitions < 2:
            raise ConfigError(bad("repetitions of a benchmark", got=self.repetitions, expected="at least 2"))
        if self.geant4_showers < 3:
            raise ConfigError(bad("showers of Geant4", got=self.geant4_showers, expected="at least 3"))

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready content; threads and energies are told with the measurements."""
        return {
            "batch_sizes": list(self.batch_sizes),
            "backends": list(self.backends),
            "seconds": self.seconds,
            "showers": self.showers,
            "repetitions": self.repetitions,
            "geant4": self.geant4,
            "geant4_showers": self.geant4_showers,
            "seed": self.seed,
            "device": self.device,
        }

    @property
    def processes(self) -> list[tuple[Backend, int]]:
        """Backend and threads of all processes."""
        threads = dict.fromkeys(number or usable_cores() for number in self.threads)
        return [(backend, number) for backend in dict.fromkeys(self.backends) for number in threads]

    @property
    def growing(self) -> list[int]:
        """The batch sizes, from small to large."""
        return sorted(set(self.batch_sizes))


def benchmark(
    models: Sequence[str],
    settings: BenchmarkSettings,
    *,
    advance: Callable[[], object] = lambda: None,
) -> Benchmark:
    """Measure models, and Geant4 beside them when the settings say so.

    Args:
        models: Shipped models' names or saved models' folders.
        settings: What is measured.
        advance: Called after every process of every model.

    Raises:
        ConfigError: A model is unknown.
        FormatError: A folder is not a saved model.
        GeometryError: Geant4 cannot build a model's geometry.
        MissingDependencyError: Geant4 or its data are not there.
    """
    simulators = {name: load_simulator(name) for name in models}
    before = _check_load()
    geant4 = _Geant4(settings)
    done = [_model(name, s, settings, geant4, advance) for name, s in simulators.items()]
    date = datetime.now(UTC).isoformat(timespec="seconds")
    return Benchmark(tuple(done), settings.as_dict(), describe_machine(settings.device), before, date)


class _Geant4:
    """Times Geant4 once for every geometry, particle and range of energies."""

    def __init__(self, settings: BenchmarkSettings) -> None:
        self._settings = settings
        self._known: dict[tuple[str, int, tuple[float, float]], Geant4Time] = {}

    def __call__(self, simulator: Simulator, energy: tuple[float, float]) -> Geant4Time:
        key = (simulator.geometry.fingerprint, simulator.trained.particles[0], energy)
        if key not in self._known:
            self._known[key] = self._measure(simulator, energy)
        return self._known[key]

    def _measure(self, simulator: Simulator, energy: tuple[float, float]) -> Geant4Time:
        from caloforge.speed.geant4 import cpu_seconds_per_shower

        settings, pdg = self._settings, simulator.trained.particles[0]
        energies = even_energies(energy, settings.geant4_showers, seed=settings.seed)
        _logger.info("Geant4: %d showers in %s", len(energies), simulator.geometry.name)
        seconds = cpu_seconds_per_shower(
            simulator.geometry,
            energies.tolist(),
            count=1,
            pdg=pdg,
            scoring="cells",
            seed=settings.seed,
            data=settings.geant4_data,
        )[:, 0]
        return Geant4Time(mean_time(energies, seconds), len(energies))


def _model(
    name: str,
    simulator: Simulator,
    settings: BenchmarkSettings,
    geant4: _Geant4,
    advance: Callable[[], object],
) -> ModelBenchmark:
    energy = settings.energy or simulator.trained.energy
    incident = Incident.of(np.array(energy), pdg=simulator.trained.particles[0])
    simulator.check(incident, strict=False, allow_extrapolation=settings.allow_extrapolation)
    beside = geant4(simulator, energy) if settings.geant4 else None
    rows: list[Configuration] = []
    left_out: list[LeftOut] = []
    with TemporaryDirectory(prefix="caloforge-graph-") as folder:
        for tasks in _processes(name, energy, settings, Path(folder)):
            for task, found in zip(tasks, _measured(name, tasks), strict=True):
                if isinstance(found, str):
                    left_out.append(LeftOut(task.backend, task.threads, task.batch_size, found))
                else:
                    rows.append(_row(task, found, beside))
            advance()
    return ModelBenchmark(name, simulator.geometry.name, energy, tuple(rows), beside, tuple(left_out))


def _processes(
    name: str, energy: tuple[float, float], settings: BenchmarkSettings, graph: Path
) -> list[list[TimingTask]]:
    """What the processes measure, batch after batch."""
    pairs = [(backend_of(backend, name), threads) for backend, threads in settings.processes]
    base = TimingTask(
        model=str(model_folder(name)),
        energy=energy,
        repetitions=settings.repetitions,
        seed=settings.seed,
        device=settings.device,
        seconds=settings.seconds,
        graph=graph,
    )
    return [
        [
            replace(
                base,
                backend=backend,
                threads=threads,
                batch_size=size,
                showers=-(-max(settings.showers, size) // size) * size,
            )
            for size in settings.growing
        ]
        for backend, threads in dict.fromkeys(pairs)
    ]


def _measured(name: str, tasks: list[TimingTask]) -> Sequence[Measurement | str]:
    """What a process measures; why it cannot, where it is not the model's own way."""
    task = tasks[0]
    reason = why_not(task.backend, task.model, task.device)
    try:
        if not reason and task.backend == "onnxruntime":
            _export(name, task.graph)
        if not reason:
            return time_in_process(tasks)
    except CaloForgeError as error:
        if task.backend in OWN:
            raise
        reason = str(error)
    return [reason] * len(tasks)


def _export(name: str, graph: Path | None) -> None:
    """Write the graph, once for all threads."""
    from caloforge.export import export

    if graph is not None and not any(graph.iterdir()):
        export(name, target="onnx", out=graph)


def _row(task: TimingTask, measured: Measurement, beside: Geant4Time | None) -> Configuration:
    # on a GPU the CPU waits: what counts is the wall clock
    seconds = measured.timing.cpu if task.device == "cpu" else measured.timing.wall
    ratio = speed_up(beside.cpu, seconds) if beside else None
    return Configuration(task.threads, task.batch_size, measured, ratio, task.device, task.backend)


def _check_load() -> float | None:
    """Wall-clock times of a busy machine are too long: say so."""
    now = load()
    if now is not None and now > _BUSY:
        _logger.warning(
            "The machine is busy (load %.1f): wall-clock times will be too long; CPU times suffer less.", now
        )
    return now
