"""How fast models are on this machine, and how much faster than Geant4 in the same run.

After arXiv:2309.05704 (uniform energies, one core, repetitions) and the CaloChallenge, arXiv:2410.21611
(batch sizes 1 and 100, loading excluded, post-processing included). Energies are spread evenly over
the trained range, at normal incidence; after a warm-up the same showers are made several times. Every
configuration has a process of its own.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import numpy as np

from caloforge.devices import find_device, usable_cores
from caloforge.errors import ConfigError, bad
from caloforge.showers import Incident
from caloforge.speed.estimates import mean_time, speed_up
from caloforge.speed.machine import describe_machine, load
from caloforge.speed.results import Benchmark, Configuration, Geant4Time, ModelBenchmark
from caloforge.speed.timing import TimingTask, even_energies, time_in_process
from caloforge.zoo.shipped import load_simulator, model_folder

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from caloforge.simulator import Simulator

__all__ = ["BenchmarkSettings", "benchmark"]

_BUSY = 0.5  # processes that run beside the benchmark

_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class BenchmarkSettings:
    """What is measured, for every model.

    Attributes:
        threads: Numbers of threads; 0 stands for all cores.
        batch_sizes: Showers computed together.
        showers: Showers of one repetition.
        repetitions: How often they are made.
        energy: Range of the energies [MeV]; None is each model's trained range.
        geant4: Whether Geant4 is timed beside.
        geant4_showers: Showers of Geant4.
        geant4_data: Folder of Geant4's data sets; None is the usual place.
        seed: Of all showers.
        device: Where the networks run: ``cpu``, ``cuda`` or ``auto``.
        allow_extrapolation: Whether energies may lie far outside of the trained ones.

    Raises:
        ConfigError: Too few showers or repetitions, or the device is not there.
    """

    threads: tuple[int, ...] = (1, 0)
    batch_sizes: tuple[int, ...] = (1, 100)
    showers: int = 200
    repetitions: int = 3
    energy: tuple[float, float] | None = None
    geant4: bool = False
    geant4_showers: int = 30
    geant4_data: Path | None = None
    seed: int = 1
    device: str = "cpu"
    allow_extrapolation: bool = False

    def __post_init__(self) -> None:
        """Check that batches can be full, that errors can be estimated, and the device."""
        object.__setattr__(self, "device", str(find_device(self.device)))
        if not self.batch_sizes or min(self.batch_sizes) < 1 or not self.threads or min(self.threads) < 0:
            raise ConfigError(
                "A benchmark needs batch sizes of at least 1, and at least one number of threads."
            )
        if self.showers < max(self.batch_sizes):
            expected = f"at least the largest batch size, {max(self.batch_sizes)}"
            raise ConfigError(bad("showers of a benchmark", got=self.showers, expected=expected))
        if self.repetitions < 2:
            raise ConfigError(bad("repetitions of a benchmark", got=self.repetitions, expected="at least 2"))
        if self.geant4_showers < 3:
            raise ConfigError(bad("showers of Geant4", got=self.geant4_showers, expected="at least 3"))

    def as_dict(self) -> dict[str, int | str | list[int]]:
        """JSON-ready content; threads and energies are told with the measurements."""
        return {
            "batch_sizes": list(self.batch_sizes),
            "showers": self.showers,
            "repetitions": self.repetitions,
            "geant4": self.geant4,
            "geant4_showers": self.geant4_showers,
            "seed": self.seed,
            "device": self.device,
        }

    @property
    def configurations(self) -> list[tuple[int, int]]:
        """Threads and batch size of all configurations."""
        threads = dict.fromkeys(number or usable_cores() for number in self.threads)
        return [(number, size) for number in threads for size in dict.fromkeys(self.batch_sizes)]


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
        advance: Called after every configuration of every model.

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
    rows = []
    for threads, size in settings.configurations:
        task = TimingTask(
            model=str(model_folder(name)),
            energy=energy,
            threads=threads,
            batch_size=size,
            showers=settings.showers,
            repetitions=settings.repetitions,
            seed=settings.seed,
            device=settings.device,
        )
        measured = time_in_process(task)
        # on a GPU the CPU waits: what counts is the wall clock
        seconds = measured.timing.cpu if settings.device == "cpu" else measured.timing.wall
        ratio = speed_up(beside.cpu, seconds) if beside else None
        rows.append(Configuration(threads, size, measured, ratio, settings.device))
        advance()
    return ModelBenchmark(name, simulator.geometry.name, energy, tuple(rows), beside)


def _check_load() -> float | None:
    """Wall-clock times of a busy machine are too long: say so."""
    now = load()
    if now is not None and now > _BUSY:
        _logger.warning(
            "The machine is busy (load %.1f): wall-clock times will be too long; CPU times suffer less.", now
        )
    return now
