"""The outcome of a benchmark, and its JSON file."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from caloforge.files import write_text
from caloforge.speed.recorded import OWN
from caloforge.trained.card import CARD, read_card
from caloforge.units import GEV
from caloforge.zoo import model_folder

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from caloforge.speed.estimates import Estimate
    from caloforge.speed.stages import Seconds
    from caloforge.speed.timing import Measurement

__all__ = [
    "Benchmark",
    "Configuration",
    "Geant4Time",
    "LeftOut",
    "ModelBenchmark",
    "record_benchmark",
    "write_benchmark",
]

_PROTOCOL = (
    "Counted: random numbers, sampling, calibration, projection to read-out cells above threshold. "
    "Not counted: imports, loading the model, warm-up, writing files; loading and writing are told apart. "
    "Energies are spread evenly over the range, particles come perpendicularly. "
    "Errors of the models are standard deviations over repetitions. "
    "Memory is the largest resident memory of the process until then; batches grow in it."
)
_GEANT4_PROTOCOL = (
    "Geant4 sums in the read-out cells in C++, on one core; "
    "the speed-up is its CPU time over the model's CPU time of all threads."
)


_GPU_PROTOCOL = (
    "Networks run on a GPU, random numbers are made on the CPU: the wall clock counts, also for a "
    "speed-up; the CPU times of parts are those of starting the work on the GPU and of waiting for it."
)

_RECORDED = ("energy_gev", "evaluations", "configurations", "geant4")


@dataclass(frozen=True)
class Configuration:
    """One measurement.

    Attributes:
        threads: Threads.
        batch_size: Showers computed together.
        measured: Times and memory.
        speed_up: Geant4's CPU time over the model's, where Geant4 was timed.
        device: Where the networks ran.
        backend: What computed them.
    """

    threads: int
    batch_size: int
    measured: Measurement
    speed_up: Estimate | None = None
    device: str = "cpu"
    backend: str = "eager"

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready content: milliseconds per shower, MB."""
        timing, memory, loading = self.measured
        content: dict[str, Any] = {
            "device": self.device,
            "backend": self.backend,
            "threads": self.threads,
            "batch_size": self.batch_size,
            "wall_ms": _spread(timing.wall),
            "cpu_ms": _spread(timing.cpu),
            "parts_cpu_ms": {label: _spread(values) for label, values in timing.parts.items()},
            "stages_ms": {label: _clocks(times) for label, times in timing.stages.items()},
            "showers": timing.showers,
            "memory_mb": {name: round(size / 1e6, 1) for name, size in memory._asdict().items()},
        }
        if loading is not None:
            content["load_s"] = loading._asdict()
        return content if self.speed_up is None else {**content, "speed_up": asdict(self.speed_up)}


@dataclass(frozen=True)
class LeftOut:
    """What was not measured.

    Attributes:
        backend: What would compute.
        threads: Threads.
        batch_size: Showers computed together.
        reason: A sentence.
    """

    backend: str
    threads: int
    batch_size: int
    reason: str


@dataclass(frozen=True)
class Geant4Time:
    """Geant4 beside a model.

    Attributes:
        cpu: CPU seconds per shower.
        showers: How many were measured.
    """

    cpu: Estimate
    showers: int


@dataclass(frozen=True)
class ModelBenchmark:
    """All measurements of one model.

    Attributes:
        name: As given.
        geometry: Name of its read-out.
        energy: Range of the energies [MeV].
        configurations: The measurements.
        geant4: Geant4 for the same geometry and energies, where it was timed.
        left_out: What could not be measured.
    """

    name: str
    geometry: str
    energy: tuple[float, float]
    configurations: tuple[Configuration, ...]
    geant4: Geant4Time | None = None
    left_out: tuple[LeftOut, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready content."""
        first = next((c for c in self.configurations if c.backend in OWN), None)
        timing = (first or self.configurations[0]).measured.timing
        content = {
            "name": self.name,
            "geometry": self.geometry,
            "energy_gev": [end / GEV for end in self.energy],
            "parameters": timing.parameters[""],
            "parameters_of_parts": {label: n for label, n in timing.parameters.items() if label},
            "evaluations": dict(timing.evaluations),
            "configurations": [configuration.as_dict() for configuration in self.configurations],
            "left_out": [asdict(entry) for entry in self.left_out],
        }
        if self.geant4 is not None:
            ms = {name: 1e3 * number for name, number in asdict(self.geant4.cpu).items()}
            content["geant4"] = {"scoring": "cells", "showers": self.geant4.showers, "cpu_ms": ms}
        return content


@dataclass(frozen=True)
class Benchmark:
    """Models measured on one machine.

    Attributes:
        models: The models, in the order given.
        settings: What was measured, as JSON types.
        machine: From ``describe_machine``.
        load: Processes that ran at once before the start; None where it is unknown.
        date: Of the end, UTC.
    """

    models: tuple[ModelBenchmark, ...]
    settings: Mapping[str, Any]
    machine: Mapping[str, Any]
    load: float | None
    date: str

    @property
    def protocol(self) -> str:
        """What is counted and what not."""
        parts = [_PROTOCOL]
        if self.settings["geant4"]:
            parts.append(_GEANT4_PROTOCOL)
        if self.settings.get("device", "cpu") != "cpu":
            parts.append(_GPU_PROTOCOL)
        return " ".join(parts)

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready content."""
        return {
            "date": self.date,
            "machine": dict(self.machine),
            "load_before": self.load,
            "settings": dict(self.settings),
            "protocol": self.protocol,
            "models": [model.as_dict() for model in self.models],
        }


def write_benchmark(result: Benchmark, path: Path) -> None:
    """Write JSON under a temporary name, then rename it.

    Raises:
        OutputError: The file cannot be written.
    """
    text = json.dumps(result.as_dict(), indent=2, allow_nan=False)
    write_text(path, text + "\n")


def record_benchmark(content: Mapping[str, Any]) -> None:
    """Write the times of every model into its card; files that it generates and reports tell them then.

    Args:
        content: What ``write_benchmark`` writes, as JSON types.

    Raises:
        ConfigError: A model is not there any more.
        FormatError: Its card is damaged.
        OutputError: A card cannot be written.
    """
    shared = {name: content[name] for name in ("date", "machine", "protocol")}
    for entry in content["models"]:
        folder = model_folder(entry["name"])
        card = read_card(folder)
        kept = {name: entry[name] for name in _RECORDED if name in entry}
        kept["configurations"] = [c for c in kept["configurations"] if c.get("backend", "eager") in OWN]
        write_text(folder / CARD, json.dumps({**card, "benchmark": {**shared, **kept}}))


def _clocks(times: Sequence[Seconds]) -> dict[str, Any]:
    cpu, wall = zip(*times, strict=True)
    return {"cpu": _spread(cpu), "wall": _spread(wall)}


def _spread(seconds: Sequence[float]) -> dict[str, Any]:
    values = 1e3 * np.asarray(seconds)
    return {"mean": float(values.mean()), "std": float(values.std(ddof=1)), "values": values.tolist()}
