"""What a model costs: size, training time, time and memory per shower, as its file tells them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from caloforge.evaluation.results import Value

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["cost_values"]

_HOUR = 3600.0


def cost_values(cost: Mapping[str, Any]) -> Iterator[Value]:
    """Values out of ``Simulator.cost``, which ``caloforge generate`` writes into its files.

    Nothing is measured here: times are those of the benchmark that the model's card recorded.
    """
    if "parameters" in cost:
        yield Value("cost.parameters", "parameters", float(cost["parameters"]))
    if "training_seconds" in cost:
        hours = cost["training_seconds"] / _HOUR
        yield Value("cost.training", "training time [h]", hours, settings=cost.get("training", {}))
    benchmark = cost.get("benchmark", {})
    for entry in benchmark.get("configurations", ()):
        yield from _speed(entry, benchmark.get("machine", {}))


def _speed(entry: Mapping[str, Any], machine: Mapping[str, Any]) -> Iterator[Value]:
    size, threads, device = entry["batch_size"], entry["threads"], entry.get("device", "cpu")
    settings = {"device": device, "batch_size": size, "threads": threads, "machine": dict(machine)}
    if device == "cpu":
        key, kind, time = f"batch_{size}_threads_{threads}", "CPU ms per shower", entry["cpu_ms"]
        where = f"batches of {size}, {threads} thread{'s' if threads > 1 else ''}"
    else:  # the CPU waits for the GPU: what counts is the wall clock
        beside = f"_threads_{threads}" if threads > 1 else ""
        key, kind, time = f"batch_{size}_gpu{beside}", "ms per shower", entry["wall_ms"]
        where = f"batches of {size}, {machine.get('gpu', device)}"
    yield Value(f"cost.time_{key}", f"{kind}, {where}", time["mean"], time["std"], settings)
    if "speed_up" in entry:
        ratio, title = entry["speed_up"], f"times faster than Geant4, {where}"
        yield Value(f"cost.speed_up_{key}", title, ratio["value"], ratio["error"], settings, better="higher")
    if size == 1 and threads == 1:
        yield Value("cost.memory", "peak memory [MB]", entry["memory_mb"]["peak"], settings=settings)
