"""What a model costs: size, training time, time and memory per shower, as its file tells them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from caloforge.evaluation.results import Value
from caloforge.speed.recorded import recorded_times

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from caloforge.speed.recorded import RecordedTime

__all__ = ["cost_values"]

_HOUR = 3600.0


def cost_values(cost: Mapping[str, Any]) -> Iterator[Value]:
    """Values out of ``Simulator.cost``, which ``caloforge generate`` writes into its files.

    Nothing is measured here: times are those of the benchmark that the model's card recorded.
    """
    if "parameters" in cost:
        yield Value("cost.parameters", "parameters", float(cost["parameters"]))
    if "stored_numbers" in cost:
        yield Value("cost.stored_numbers", "stored numbers of data", float(cost["stored_numbers"]))
    if "training_seconds" in cost:
        hours = cost["training_seconds"] / _HOUR
        yield Value("cost.training", "training time [h]", hours, settings=cost.get("training", {}))
    for recorded in recorded_times(cost.get("benchmark", {})):
        yield from _speed(recorded)


def _speed(recorded: RecordedTime) -> Iterator[Value]:
    size, threads, time = recorded.batch_size, recorded.threads, recorded.time
    settings = {
        "device": recorded.device,
        "batch_size": size,
        "threads": threads,
        "machine": dict(recorded.machine),
    }
    if recorded.on_gpu:
        beside = f"_threads_{threads}" if threads > 1 else ""
        key, kind = f"batch_{size}_gpu{beside}", "ms per shower"
        where = f"batches of {size}, {recorded.machine.get('gpu', recorded.device)}"
    else:
        key, kind = f"batch_{size}_threads_{threads}", "CPU ms per shower"
        where = f"batches of {size}, {threads} thread{'s' if threads > 1 else ''}"
    yield Value(f"cost.time_{key}", f"{kind}, {where}", time.value, time.error, settings)
    if recorded.speed_up is not None:
        ratio, title = recorded.speed_up, f"times faster than Geant4, {where}"
        yield Value(f"cost.speed_up_{key}", title, ratio.value, ratio.error, settings, better="higher")
    if size == 1 and threads == 1:
        yield Value("cost.memory", "peak memory [MB]", recorded.memory, settings=settings)
