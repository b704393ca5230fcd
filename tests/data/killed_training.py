"""A training that is killed at five random moments and started again each time; a script for the tests.

The children are forks of one process, which spares importing torch for each of them.
"""

from __future__ import annotations

import os
import random
import signal
import sys
import time
import traceback
from pathlib import Path

from caloforge.training import load_config, train

KILLS = 5


def work(preset: str, overrides: list[str], data: Path, out: Path) -> None:
    train(load_config(preset, overrides), [data], out, seed=1)


def start(*arguments: object) -> int:
    """Fork a child that trains."""
    if child := os.fork():
        return child
    code = 1
    try:
        work(*arguments)  # type: ignore[arg-type]
        code = 0
    except BaseException:  # noqa: BLE001 (the child must not go on as the parent)
        traceback.print_exc()
    os._exit(code)


def lines(out: Path) -> int:
    return sum(log.read_bytes().count(b"\n") for log in out.glob("stages/*/log.jsonl"))


def kill_at(child: int, out: Path, moment: int, delay: float) -> None:
    """Kill the child some time after its log has ``moment`` lines."""
    while lines(out) < moment:
        time.sleep(0.001)
        if os.waitpid(child, os.WNOHANG)[0]:
            sys.exit("the training was over before it was killed")
    time.sleep(delay)
    os.kill(child, signal.SIGKILL)
    if os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) != -signal.SIGKILL:
        sys.exit("the training was over before it was killed")


if __name__ == "__main__":
    data, out, full, preset, *overrides = sys.argv[1:]
    arguments = (preset, overrides, Path(data), Path(out))
    rng = random.Random(7)
    for moment in sorted(rng.randrange(int(full) - 6) for _ in range(KILLS)):
        kill_at(start(*arguments), Path(out), moment, rng.uniform(0, 0.01))
    sys.exit(os.waitstatus_to_exitcode(os.waitpid(start(*arguments), 0)[1]))
