"""A job of cheap showers for the tests of blocks: a module that worker processes can import, and a script."""

from __future__ import annotations

import os
import sys
import time
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from caloforge.blocks import Production, run_blocks
from caloforge.errors import DataError
from caloforge.showers import Incident, Showers

if TYPE_CHECKING:
    from collections.abc import Callable

COUNT, BLOCK = 40, 3
OF_PRODUCTION = {field.name for field in fields(Production)}
THREADS = np.array([int(os.environ.get("OMP_NUM_THREADS", "0"))])


@dataclass(frozen=True)
class Toy:
    """Makes shower i from i alone; ``trouble`` happens at shower 20."""

    hits: int = 50
    delay: float = 0.0
    trouble: str = ""
    pids: Path | None = None

    def __call__(self) -> Callable[[int, int], Showers]:
        if self.pids:
            (self.pids / f"pid-{os.getpid()}").touch()
        return self.make

    def make(self, start: int, stop: int) -> Showers:
        time.sleep(self.delay)
        if start <= 20 < stop:
            self.fail()
        return Showers.concatenate([self.shower(i) for i in range(start, stop)])

    def fail(self) -> None:
        if self.trouble == "sentence":
            raise DataError("The toy has no shower 20.")
        if self.trouble == "bug":
            raise KeyError("twenty")
        if self.trouble == "crash":
            os.abort()

    def incident(self, start: int, stop: int) -> Incident:
        return self.make(start, stop).incident

    def shower(self, i: int) -> Showers:
        rng = np.random.default_rng((7, i))
        n = int(rng.integers(0, self.hits))
        return Showers(
            incident=Incident.of(rng.uniform(1, 10)),
            offsets=[0, n],
            energy=rng.random(n),
            points=rng.random((n, 3)),
            extras={
                "index": np.array([i]),
                "threads": THREADS,
            },
        )


def production(**options: Any) -> Production:
    return Production(**{"worker": Toy(), "request": {"seed": 7}, "count": COUNT, "size": BLOCK, **options})


def run(out: Path, **options: Any) -> None:
    of_blocks = {name: options.pop(name) for name in list(options) if name in OF_PRODUCTION}
    run_blocks(production(**of_blocks), out=out, **options)


if __name__ == "__main__":
    run(Path(sys.argv[1]), worker=Toy(delay=0.15, pids=Path(sys.argv[1]).parent), processes=2)
