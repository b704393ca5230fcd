"""The times that a benchmark wrote into a model's card, read again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from caloforge.speed.estimates import Estimate

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["OWN", "RecordedTime", "recorded_times"]

OWN = ("eager", "engine")
"""The backends that ``caloforge generate`` takes; their times are recorded."""


@dataclass(frozen=True)
class RecordedTime:
    """One configuration of a benchmark.

    Attributes:
        device: Where the networks ran: ``cpu`` or a GPU.
        batch_size: Showers computed together.
        threads: Threads.
        time: Milliseconds per shower: of the processor; on a GPU, for which the processor waits, of
            the wall clock.
        memory: Largest resident memory of the process [MB].
        speed_up: Geant4's time over the model's, where Geant4 was timed beside.
        machine: From ``describe_machine``.
    """

    device: str
    batch_size: int
    threads: int
    time: Estimate
    memory: float
    speed_up: Estimate | None
    machine: Mapping[str, Any]

    @property
    def on_gpu(self) -> bool:
        """Whether the networks ran on a GPU."""
        return self.device != "cpu"


def recorded_times(benchmark: Mapping[str, Any]) -> Iterator[RecordedTime]:
    """Read what ``record_benchmark`` wrote; nothing is measured.

    Args:
        benchmark: That part of a card; empty for models without.
    """
    for entry in benchmark.get("configurations", ()):
        if entry.get("backend", "eager") not in OWN:
            continue
        device = entry.get("device", "cpu")
        time, ratio = entry["cpu_ms" if device == "cpu" else "wall_ms"], entry.get("speed_up")
        yield RecordedTime(
            device=device,
            batch_size=entry["batch_size"],
            threads=entry["threads"],
            time=Estimate(time["mean"], time["std"]),
            memory=entry["memory_mb"]["peak"],
            speed_up=None if ratio is None else Estimate(ratio["value"], ratio["error"]),
            machine=dict(benchmark.get("machine", {})),
        )
