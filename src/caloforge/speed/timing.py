"""How long a model takes for a shower, where the time goes, and how much memory it needs."""

from __future__ import annotations

import math
import shutil
import tempfile
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from caloforge.blocks import run_tasks
from caloforge.errors import ConfigError
from caloforge.formats import NativeWriter
from caloforge.geometry import to_cells
from caloforge.showers import Incident
from caloforge.speed.backends import Backend, load, opened, patience
from caloforge.speed.memory import Memory, peak_memory
from caloforge.speed.stages import LOAD, POST, SAMPLE, WRITE, Seconds, Stages
from caloforge.speed.stopwatch import Stopwatch

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from caloforge.geometry import Geometry
    from caloforge.showers import Showers
    from caloforge.simulator import Simulator
    from caloforge.speed.backends import Sample

__all__ = [
    "Measurement",
    "ShowerTiming",
    "TimingTask",
    "batches_in",
    "even_energies",
    "time_in_process",
    "time_simulator",
]

_ASSEMBLY, _PROJECTION = "assembly and calibration", "projection to cells"
_WARM_UP = 10  # showers at least; the first ones fill caches and start threads


@dataclass(frozen=True)
class TimingTask:
    """What is measured.

    Attributes:
        model: A shipped model's name or a saved model's folder.
        energy: Range of the incident energies [MeV].
        threads: Of the CPU.
        batch_size: Showers computed together.
        showers: Showers of one repetition.
        repetitions: How often the same showers are made.
        seed: Of the showers and of the order of the energies.
        device: Where the networks run, see ``caloforge.devices.find_device``.
        backend: What computes them; not ``own``.
        seconds: What all repetitions together may take (CPU time; on a GPU by the clock): they are of fewer
            showers then, but of a batch.
        graph: Folder of the exported model, for ONNX Runtime.
    """

    model: str
    energy: tuple[float, float]
    threads: int = 1
    batch_size: int = 1
    showers: int = 200
    repetitions: int = 3
    seed: int = 1
    device: str = "cpu"
    backend: Backend = "eager"
    seconds: float = math.inf
    graph: Path | None = None


class _Run(NamedTuple):
    stages: dict[str, Seconds]
    parts: dict[str, float]


@dataclass(frozen=True)
class ShowerTiming:
    """Seconds per shower of every repetition; loading the model is not in them, the projection is.

    Attributes:
        wall: Wall-clock time, ``(R,)``.
        cpu: CPU time over all threads, ``(R,)``.
        parts: CPU time of every part; the parts add up to ``cpu``, but for loops between batches.
        evaluations: Evaluations of the network of a timed part that one shower takes.
        parameters: Parameters, of the whole model ("") and of its timed parts.
        stages: Time of sampling and post-processing, which add up to the above, and of writing.
        showers: Of a repetition.
    """

    wall: tuple[float, ...]
    cpu: tuple[float, ...]
    parts: Mapping[str, tuple[float, ...]]
    evaluations: Mapping[str, int]
    parameters: Mapping[str, int]
    stages: Mapping[str, tuple[Seconds, ...]] = field(default_factory=dict)
    showers: int = 0


class Measurement(NamedTuple):
    """Time and memory of a process, and how long it took to load the model."""

    timing: ShowerTiming
    memory: Memory
    load: Seconds | None = None


def time_in_process(tasks: Sequence[TimingTask]) -> list[Measurement | str]:
    """Measure in a process of its own, so that threads and memory are those of the tasks alone.

    Args:
        tasks: Of one model, backend, device and number of threads; the memory is the largest so far, so that
            batches should grow.

    Returns:
        What was measured, or why not: a sentence.

    Raises:
        CaloForgeError: The model cannot be loaded or fails.
    """
    logs = Path(tempfile.mkdtemp(prefix="caloforge-timing-"))
    [(_, measured)] = run_tasks([(0, len(tasks))], _Worker(tuple(tasks)), processes=1, logs=logs)
    shutil.rmtree(logs)  # not after an error: its sentence names a log
    return measured


@dataclass(frozen=True)
class _Worker:
    """Prepares the process: threads, imports, model."""

    tasks: tuple[TimingTask, ...]

    def __call__(self) -> Callable[[int, int], list[Measurement | str]]:
        import caloforge.simulator

        task, stages = self.tasks[0], Stages()
        if task.backend != "engine":
            import torch  # noqa: F401

            import caloforge.models  # noqa: F401
        imported = peak_memory()
        simulator = stages.run(LOAD, load, task.backend, task.model)
        simulator.model.work_on(task.device, threads=task.threads)
        loaded = peak_memory()

        def measure(_start: int, _stop: int) -> list[Measurement | str]:
            found: list[Measurement | str] = []
            with ExitStack() as stack:
                sample = stages.run(
                    LOAD,
                    stack.enter_context,
                    opened(task.backend, simulator, threads=task.threads, graph=task.graph),
                )
                for each in self.tasks:
                    try:
                        timing = time_simulator(simulator, each, sample)
                    except ConfigError as error:
                        found.append(str(error))
                        continue
                    memory = Memory(imported, loaded, peak_memory())
                    found.append(Measurement(timing, memory, stages.seconds[LOAD]))
            return found

        return measure


def time_simulator(simulator: Simulator, task: TimingTask, sample: Sample | None = None) -> ShowerTiming:
    """Measure in this process, with the threads that it has.

    Args:
        simulator: The model.
        task: What is measured.
        sample: What makes its showers; by default the simulator.

    Raises:
        ConfigError: A batch takes longer than the task has time, or torch.compile does.
    """
    watch, parameters, counts = Stopwatch(), {"": simulator.model.learnt_numbers}, {}
    with ExitStack() as stack:
        if task.backend in {"eager", "compile", "bf16"}:
            from caloforge.speed.parts import evaluation_counts, parameter_counts, watched

            stack.enter_context(watched(simulator.networks, watch))
            parameters = parameter_counts(simulator.networks)
        maker = _Maker(simulator, task, sample or simulator.sample, watch)
        showers = maker.warm_up()
        runs = [maker.repetition(showers) for _ in range(task.repetitions)]
    if task.backend in {"eager", "bf16"}:
        counts = evaluation_counts(simulator, Incident.of(task.energy[0], pdg=simulator.trained.particles[0]))
    return _timing(runs, counts, parameters, showers)


def _timing(
    runs: Sequence[_Run], evaluations: Mapping[str, int], parameters: Mapping[str, int], showers: int
) -> ShowerTiming:
    labels = list(dict.fromkeys(label for run in runs for label in run.parts))
    counted = [[run.stages[label] for label in (SAMPLE, POST)] for run in runs]
    return ShowerTiming(
        wall=tuple(sum(s.wall for s in stages) for stages in counted),
        cpu=tuple(sum(s.cpu for s in stages) for stages in counted),
        parts={label: tuple(run.parts.get(label, 0.0) for run in runs) for label in labels},
        evaluations=evaluations,
        parameters=parameters,
        stages={label: tuple(run.stages[label] for run in runs) for label in (SAMPLE, POST, WRITE)},
        showers=showers,
    )


def even_energies(energy: tuple[float, float], count: int, *, seed: int) -> NDArray[np.float64]:
    """Energies spread evenly over a range, shuffled: any number of them has the same mean.

    Args:
        energy: Ends of the range [MeV].
        count: How many.
        seed: Of their order.

    Returns:
        Energies [MeV], ``(count,)``.
    """
    middles = (np.arange(count) + 0.5) / count
    low, high = energy
    return low + (high - low) * np.random.default_rng(seed).permutation(middles)


class _Maker:
    """Makes showers as ``caloforge generate`` does: points, cells, batch after batch; then a file of all."""

    def __init__(self, simulator: Simulator, task: TimingTask, sample: Sample, watch: Stopwatch) -> None:
        self._geometry, self._task, self._watch = simulator.geometry, task, watch
        self._pdg = simulator.trained.particles[0]
        self._sample = watch.timed(_ASSEMBLY, sample)
        self._cells = watch.timed(_PROJECTION, to_cells)

    def warm_up(self) -> int:
        """Fill caches, start threads, compile; returns how many showers there is time for.

        Raises:
            ConfigError: For not even a batch.
        """
        task = self._task
        few, size = min(task.showers, _WARM_UP), min(task.batch_size, _WARM_UP)
        with patience(task.backend):
            self._make(few, size)
        if not math.isfinite(task.seconds):
            if task.batch_size > few:
                self._make(task.batch_size, task.batch_size)
            return task.showers
        each = self._cost(few, size)
        self._refuse(task.batch_size * each)
        if task.batch_size > few:  # also warms up
            each = self._cost(task.batch_size, task.batch_size)
        batches = batches_in(task.seconds / task.repetitions, task.batch_size * each)
        return min(task.showers, max(1, batches) * task.batch_size)

    def _refuse(self, batch: float) -> None:
        if not batches_in(self._task.seconds / self._task.repetitions, batch):
            msg = f"A batch of {self._task.batch_size} takes about {batch:.0f} s, too long to be repeated."
            raise ConfigError(msg)

    def _cost(self, count: int, size: int) -> float:
        """Seconds per shower, by the clock that does not count what others do."""
        made = self._make(count, size).seconds.values()
        return sum(s.cpu if self._task.device == "cpu" else s.wall for s in made) / count

    def repetition(self, count: int) -> _Run:
        """Make all showers once; seconds per shower."""
        self._watch.seconds.clear()
        stages = self._make(count, self._task.batch_size)
        each = {label: Seconds(s.cpu / count, s.wall / count) for label, s in stages.seconds.items()}
        return _Run(each, {label: s / count for label, s in self._watch.seconds.items()})

    def _make(self, count: int, size: int) -> Stages:
        stages, seed = Stages(), self._task.seed
        incident = Incident.of(even_energies(self._task.energy, count, seed=seed), pdg=self._pdg)
        made = []
        for first in range(0, count, size):
            batch = incident[first : first + size]
            sampled = stages.run(SAMPLE, self._sample, batch, seed=seed, first=first, batch_size=size)
            made.append(stages.run(POST, self._cells, sampled, self._geometry))
        _write(made, self._geometry, stages)
        return stages


def _write(made: Sequence[Showers], geometry: Geometry, stages: Stages) -> None:
    """Write batches after all were made: what is written in between takes the caches from the model."""
    with tempfile.TemporaryDirectory(prefix="caloforge-timing-") as folder:
        writer = stages.run(WRITE, NativeWriter, Path(folder) / "showers.h5", geometry=geometry)
        for showers in made:
            stages.run(WRITE, writer.append, showers)
        stages.run(WRITE, writer.close)


def batches_in(seconds: float, batch: float) -> int:
    """How many batches of so many seconds each fit; one at least that is hardly longer."""
    return int(1.1 * seconds / max(batch, 1e-9))
