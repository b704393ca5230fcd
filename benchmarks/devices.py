"""Whether a GPU makes the same showers as the CPU, and how fast.

python benchmarks/devices.py --device cuda --out devices.json [MODEL:TAG ...]

Every model makes the same showers (same seed) on the CPU in batches of 100, on the CPU in batches of 50,
which shows what rounding alone does, and on the device. Then showers are timed by the wall clock, the
projection to read-out cells included.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from caloforge.showers import Incident
from caloforge.speed.machine import describe_machine
from caloforge.zoo import load_simulator, shipped_models
from tables import table

if TYPE_CHECKING:
    from caloforge.showers import Showers
    from caloforge.simulator import Simulator

SEED = 7
COLUMNS = ("share of equal hit counts", "share of equal cells", "visible energy off, mean", "largest")


def main() -> None:
    options = _options()
    torch.set_num_threads(1)
    models = {name: measure(name, options) for name in options.models or shipped_models()}
    result = {"machine": describe_machine(), "device": _name(options.device), "models": models}
    options.out.write_text(json.dumps(result, indent=2), encoding="utf-8")
    _print(models)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", nargs="*", help="shipped models; default all")
    parser.add_argument("--device", default="cuda", help="cuda, cuda:1 or cpu")
    parser.add_argument(
        "--showers", type=int, default=200, help="showers that are compared and timed on the CPU"
    )
    parser.add_argument("--batch-sizes", default="100,1000", help="on the device, with commas between")
    parser.add_argument("--out", type=Path, required=True, help="JSON file to write")
    options = parser.parse_args()
    options.batch_sizes = [int(size) for size in options.batch_sizes.split(",")]
    return options


def _name(device: str) -> str:
    return torch.cuda.get_device_name(device) if device.startswith("cuda") else device


def measure(name: str, options: argparse.Namespace) -> dict[str, Any]:
    """Compare and time one model."""
    simulator = load_simulator(name)
    few = _incident(simulator, options.showers)
    cpu = simulator(few, seed=SEED, batch_size=100)
    again = simulator(few, seed=SEED, batch_size=50)
    times = {"cpu, batch 100": timed(simulator, few, 100)}
    simulator.to(options.device)
    there = simulator(few, seed=SEED, batch_size=100)
    for size in options.batch_sizes:
        times[f"{options.device}, batch {size}"] = timed(
            simulator, _incident(simulator, max(options.showers, size)), size
        )
    return {
        "cpu, batch 50": compared(cpu, again),
        options.device: compared(cpu, there),
        "ms per shower": times,
    }


def _incident(simulator: Simulator, count: int) -> Incident:
    low, high = np.log(simulator.trained.energy)
    return Incident.of(np.exp(np.linspace(low, high, count)), pdg=simulator.trained.particles[0])


def timed(simulator: Simulator, incident: Incident, size: int) -> float:
    """Milliseconds per shower; the first of two rounds warms up."""
    seconds = []
    for _ in range(2):
        started = time.perf_counter()
        simulator(incident, seed=1, batch_size=size)
        seconds.append(time.perf_counter() - started)
    return 1e3 * seconds[-1] / len(incident)


def compared(first: Showers, second: Showers) -> dict[str, float]:
    """How much two read-outs of the same showers agree: the values of ``COLUMNS``."""
    off = np.abs(second.visible_energy / first.visible_energy - 1)
    pairs = [np.stack([s.shower, s.cells if s.cells is not None else s.shower], 1) for s in (first, second)]
    cells = [set(map(tuple, pair.tolist())) for pair in pairs]
    shared = len(cells[0] & cells[1]) / len(cells[0] | cells[1])
    values = (float(np.mean(first.n_hits == second.n_hits)), shared, float(off.mean()), float(off.max()))
    return dict(zip(COLUMNS, values, strict=True))


def _print(models: dict[str, dict[str, Any]]) -> None:
    rows = [
        [name, where, *(f"{agreement[column]:.3g}" for column in COLUMNS)]
        for name, result in models.items()
        for where, agreement in result.items()
        if where != "ms per shower"
    ]
    print("\n".join(table(["model", "against the CPU's batches of 100", *COLUMNS], rows)))
    times = [[name, *(f"{ms:.3g}" for ms in r["ms per shower"].values())] for name, r in models.items()]
    print("\n".join(table(["ms per shower", *next(iter(models.values()))["ms per shower"]], times)))


if __name__ == "__main__":
    main()
