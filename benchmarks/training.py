"""What processes, threads, pieces and the compiler do to the time and the memory of a step of training.

python benchmarks/training.py --data photons.h5 --folder /tmp/training --out training.json \
  caloclouds-2/small:point_diffusion pyramid/small:cells

Every variant trains the same stage on the same batches for some steps, in processes of its own and in turns,
all in one run: on a shared machine only what is measured side by side can be compared. Steps are timed by the
log: the median of the second half of them, when all is compiled.
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
    "one process, two threads": (ONE, ("--threads", "2")),
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
    parser.add_argument("--rounds", type=int, default=2, help="times that every variant runs")
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--out", type=Path, required=True, help="JSON file to write")
    return parser.parse_args()


def measure(name: str, options: argparse.Namespace) -> dict[str, dict[str, float]]:
    """Numbers of every variant: the best of the rounds."""
    rounds: dict[str, list[dict[str, float]]] = {variant: [] for variant in VARIANTS}
    for _ in range(options.rounds):
        for variant in VARIANTS:
            rounds[variant].append(run(name, variant, options))
    return {variant: min(found, key=lambda numbers: numbers["ms"]) for variant, found in rounds.items()}


def run(name: str, variant: str, options: argparse.Namespace) -> dict[str, float]:
    """Train once; milliseconds a step, seconds of starting, CPU seconds, megabytes of the largest process."""
    preset, stage = name.split(":")
    out = options.folder / "run"
    shutil.rmtree(out, ignore_errors=True)
    launcher, further = VARIANTS[variant]
    settings = {"steps": options.steps, "batch_size": options.batch_size, "validate_every": 10**6}
    keys = [f"training.{stage}.{key}={value}" for key, value in settings.items()]
    keys += [f"training.{stage}.{word}" if "=" in word else word for word in further]
    line = [*launcher, "-m", "caloforge", "--quiet", "train", preset, *keys, f"log_steps={LOGGED}"]
    line += ["checkpoint_steps=1000000000", "--data", str(options.data), "--out", str(out), "--stage", stage]
    fresh = {**os.environ, "TORCHINDUCTOR_FORCE_DISABLE_CACHES": "1"}  # the compiler's whole time
    process = subprocess.Popen(line, stdout=subprocess.DEVNULL, env=fresh)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        sys.exit(f"{variant} of {name} ended with {os.waitstatus_to_exitcode(status)}")
    return {**_of_log(out / "stages" / stage / "log.jsonl"), **_of_usage(usage)}


def _of_log(path: Path) -> dict[str, float]:
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    times = [line["seconds"] for line in lines if "seconds" in line]
    steps = [1000 * (b - a) / LOGGED for a, b in pairwise(times)]
    usual = statistics.median(steps[len(steps) // 2 :])
    return {"ms": usual, "first": times[-1] - usual * LOGGED * len(times) / 1000}


def _of_usage(usage: Any) -> dict[str, float]:
    return {"cpu": usage.ru_utime + usage.ru_stime, "mb": usage.ru_maxrss / 1000}


def _print(name: str, rows: dict[str, dict[str, float]]) -> None:
    base = next(iter(rows.values()))["ms"]
    lines = [
        [variant, f"{n['ms']:.1f}", f"{base / n['ms']:.2f}", f"{n['first']:.1f}", f"{n['mb']:.0f}"]
        for variant, n in rows.items()
    ]
    print(f"\n{name}\n")
    print("\n".join(table(("", "ms a step", "times as fast", "s before that", "MB"), lines)))


if __name__ == "__main__":
    main()
