"""How long a model takes for a shower, where the time goes, and how much memory it needs."""

from __future__ import annotations

import shutil
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from caloforge.blocks import run_tasks
from caloforge.geometry import to_cells
from caloforge.showers import Incident
from caloforge.speed.memory import Memory, peak_memory
from caloforge.speed.parts import evaluation_counts, parameter_counts, watched
from caloforge.speed.stopwatch import Stopwatch

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    from caloforge.simulator import Simulator

__all__ = ["Measurement", "ShowerTiming", "TimingTask", "even_energies", "time_in_process", "time_simulator"]

_ASSEMBLY, _PROJECTION = "assembly and calibration", "projection to cells"
_WARM_UP = 10  # showers at least; the first ones fill caches and start threads


@dataclass(frozen=True)
class TimingTask:
    """What is measured.

    Attributes:
        model: A shipped model's name or a saved model's folder.
        energy: Range of the incident energies [MeV].
        threads: Threads of torch.
        batch_size: Showers computed together.
        showers: Showers of one repetition.
        repetitions: How often the same showers are made.
        seed: Of the showers and of the order of the energies.
        device: Where the networks run, see ``caloforge.devices.find_device``.
    """

    model: str
    energy: tuple[float, float]
    threads: int = 1
    batch_size: int = 1
    showers: int = 200
    repetitions: int = 3
    seed: int = 1
    device: str = "cpu"


class _Run(NamedTuple):
    wall: float
    cpu: float
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
    """

    wall: tuple[float, ...]
    cpu: tuple[float, ...]
    parts: Mapping[str, tuple[float, ...]]
    evaluations: Mapping[str, int]
    parameters: Mapping[str, int]


class Measurement(NamedTuple):
    """Time and memory of a process."""

    timing: ShowerTiming
    memory: Memory


def time_in_process(task: TimingTask) -> Measurement:
    """Measure in a process of its own, so that threads and memory are those of the task alone.

    Raises:
        CaloForgeError: The model cannot be loaded or fails.
    """
    logs = Path(tempfile.mkdtemp(prefix="caloforge-timing-"))
    [(_, measured)] = run_tasks([(0, task.showers)], _Worker(task), processes=1, logs=logs)
    shutil.rmtree(logs)  # not after an error: its sentence names a log
    return measured


@dataclass(frozen=True)
class _Worker:
    """Prepares the process: threads, imports, model."""

    task: TimingTask

    def __call__(self) -> Callable[[int, int], Measurement]:
        import torch

        import caloforge.simulator  # noqa: F401 (counts as import, not as the model's memory)
        from caloforge.devices import find_device
        from caloforge.zoo.shipped import load_simulator

        torch.set_num_threads(self.task.threads)
        imported = peak_memory()
        simulator = load_simulator(self.task.model, networks=True).to(find_device(self.task.device))
        loaded = peak_memory()

        def measure(_start: int, _stop: int) -> Measurement:
            timing = time_simulator(simulator, self.task)
            return Measurement(timing, Memory(imported, loaded, peak_memory()))

        return measure


def time_simulator(simulator: Simulator, task: TimingTask) -> ShowerTiming:
    """Measure in this process, with the threads that it has."""
    pdg, watch = simulator.trained.particles[0], Stopwatch()
    incident = Incident.of(even_energies(task.energy, task.showers, seed=task.seed), pdg=pdg)
    with watched(simulator.networks, watch):
        _generate(simulator, incident[: max(_WARM_UP, task.batch_size)], task, watch)
        runs = [_repetition(simulator, incident, task, watch) for _ in range(task.repetitions)]
    labels = list(dict.fromkeys(label for run in runs for label in run.parts))
    return ShowerTiming(
        wall=tuple(run.wall for run in runs),
        cpu=tuple(run.cpu for run in runs),
        parts={label: tuple(run.parts.get(label, 0.0) for run in runs) for label in labels},
        evaluations=evaluation_counts(simulator, Incident.of(task.energy[0], pdg=pdg)),
        parameters=parameter_counts(simulator.networks),
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


def _repetition(simulator: Simulator, incident: Incident, task: TimingTask, watch: Stopwatch) -> _Run:
    watch.seconds.clear()
    wall, cpu = time.perf_counter(), time.process_time()
    _generate(simulator, incident, task, watch)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    count = len(incident)
    return _Run(wall / count, cpu / count, {label: s / count for label, s in watch.seconds.items()})


def _generate(simulator: Simulator, incident: Incident, task: TimingTask, watch: Stopwatch) -> None:
    """Make showers as ``Simulator`` does: points, then cells, batch after batch."""
    sample, cells = watch.timed(_ASSEMBLY, simulator.sample), watch.timed(_PROJECTION, to_cells)
    size = task.batch_size
    for first in range(0, len(incident), size):
        batch = incident[first : first + size]
        cells(sample(batch, seed=task.seed, first=first, batch_size=size), simulator.geometry)
