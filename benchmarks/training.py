"""What processes, threads, pieces and the compiler do to the time and the memory of a step of training.

python benchmarks/training.py --data photons.h5 --folder /tmp/training --out training.json \
  caloclouds-2/small:point_diffusion pyramid/small:cells

Every variant trains the same stage on the same batches for some steps, in processes of its own, all in one
run: on a shared machine only what is measured side by side can be compared. The wall clock of a step is the
median of the second half of them. Its CPU time is the difference of two trainings, a long and a short one, of
all processes together; what one of two processes needs is half of it.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

from caloforge.speed.machine import describe_machine
from tables import table

LOGGED = 5  # steps between two lines of the log
PAIR = (sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")
ONE = (sys.executable,)
VARIANTS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "one process, one thread": (ONE, ("--threads", "1")),
    "two processes of one thread": (PAIR, ("--threads", "1")),
    "four pieces, one thread": (ONE, ("--threads", "1", "accumulate=4")),
    "compiled, one thread": (ONE, ("--threads", "1", "--compile")),
}


def main() -> None:
    options = _options()
    found = {name: measure(name, options) for name in options.stages}
    result = {"machine": describe_machine(), "steps": options.steps, "stages": found}
    options.out.write_text(json.dumps(result, indent=2), encoding="utf-8")
    for name, rows in found.items():
        _print(name, rows)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("stages", nargs="+", help="MODEL/PRESET:STAGE")
    parser.add_argument("--data", type=Path, required=True, help="showers")
    parser.add_argument("--folder", type=Path, required=True, help="for the runs")
    parser.add_argument("--steps", type=int, default=40, help="of a variant, 20 or more")
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--out", type=Path, required=True, help="JSON file to write")
    return parser.parse_args()


def measure(name: str, options: argparse.Namespace) -> dict[str, dict[str, float]]:
    """Numbers of every variant."""
    found = {}
    for variant in VARIANTS:
        short, long = (run(name, variant, options, steps) for steps in (options.steps // 3, options.steps))
        cpu = (long["cpu"] - short["cpu"]) / (options.steps - options.steps // 3)
        found[variant] = {
            **long,
            "cpu of a step": 1000 * cpu,
            "before": short["cpu"] - cpu * (options.steps // 3),
        }
    return found


def run(name: str, variant: str, options: argparse.Namespace, steps: int) -> dict[str, float]:
    """Train once; milliseconds a step, CPU seconds, megabytes of the largest process."""
    preset, stage = name.split(":")
    out = options.folder / "run"
    shutil.rmtree(out, ignore_errors=True)
    launcher, further = VARIANTS[variant]
    settings = {"steps": steps, "batch_size": options.batch_size, "validate_every": 10**6}
    settings |= {"validation_batches": 1}
    keys = [f"training.{stage}.{key}={value}" for key, value in settings.items()]
    keys += [f"training.{stage}.{word}" if "=" in word else word for word in further]
    line = [*launcher, "-m", "caloforge", "--quiet", "train", preset, *keys, f"log_steps={LOGGED}"]
    line += ["checkpoint_steps=1000000000", "--data", str(options.data), "--out", str(out), "--stage", stage]
    fresh = {**os.environ, "TORCHINDUCTOR_FORCE_DISABLE_CACHES": "1"}  # the compiler's whole time
    process = subprocess.Popen(line, stdout=subprocess.DEVNULL, env=fresh)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        sys.exit(f"{variant} of {name} ended with {os.waitstatus_to_exitcode(status)}")
    return {"ms": _of_log(out / "stages" / stage / "log.jsonl"), **_of_usage(usage)}


def _of_log(path: Path) -> float:
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    times = [line["seconds"] for line in lines if "seconds" in line]
    steps = [1000 * (b - a) / LOGGED for a, b in pairwise(times)]
    return statistics.median(steps[len(steps) // 2 :])


def _of_usage(usage: Any) -> dict[str, float]:
    return {"cpu": usage.ru_utime + usage.ru_stime, "mb": usage.ru_maxrss / 1000}


def _print(name: str, rows: dict[str, dict[str, float]]) -> None:
    lines, base = [], 0.0
    for variant, numbers in rows.items():
        each = numbers["cpu of a step"] / (2 if VARIANTS[variant][0] is PAIR else 1)
        base = base or each
        wall, before, size = (f"{numbers[key]:.0f}" for key in ("ms", "before", "mb"))
        lines.append([variant, f"{each:.0f}", f"{base / each:.2f}", wall, before, size])
    head = ("", "CPU ms a step, of a process", "times as fast", "wall clock, ms", "CPU s before", "MB")
    print(f"\n{name}\n")
    print("\n".join(table(head, lines)))


if __name__ == "__main__":
    main()
