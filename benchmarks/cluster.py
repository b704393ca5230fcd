"""What blocks cost on a cluster: scaling from one to two workers, overhead a block, and a join of many.

    python benchmarks/cluster.py --blocks 10000 --folder /tmp/cluster

The showers are cheap (a handful of cells, or a wait), so that what is measured is what lies around them.
"""

from __future__ import annotations

import argparse
import resource
import shutil
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from caloforge.blocks import Blocks, Production, run_blocks
from caloforge.blocks.plan import join_blocks, make_blocks, read_plan, write_plan
from caloforge.cluster import Cluster, opened
from caloforge.formats import open_showers
from caloforge.showers import Incident, Showers

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Executor


@dataclass(frozen=True)
class Cheap:
    """Showers of a few hits; a block takes ``wait`` seconds without using a core."""

    hits: int = 20
    wait: float = 0.0

    def __call__(self) -> Callable[[int, int], Showers]:
        return self.make

    def make(self, start: int, stop: int) -> Showers:
        time.sleep(self.wait)
        rng, count = np.random.default_rng((1, start)), stop - start
        return Showers(
            incident=Incident.of(rng.uniform(10, 100, count)),
            offsets=np.arange(count + 1) * self.hits,
            energy=rng.random(count * self.hits),
            points=rng.random((count * self.hits, 3)),
        )


def production(blocks: int, *, size: int = 5, **options: Any) -> Production:
    import cluster  # this file by its name, as processes of workers import it

    worker = cluster.Cheap(**options)
    return Production(
        count=blocks * size, size=size, request={"seed": 1, **options}, worker=worker, isolate=True
    )


@dataclass
class Clock:
    """Wall-clock and CPU seconds of this process."""

    wall: float = 0.0
    cpu: float = 0.0

    def __enter__(self) -> Self:
        self._start = time.perf_counter(), time.process_time()
        return self

    def __exit__(self, *_: object) -> None:
        self.wall = time.perf_counter() - self._start[0]
        self.cpu = time.process_time() - self._start[1]

    def each(self, number: int) -> str:
        return f"{1e3 * self.wall / number:8.1f} ms wall, {1e3 * self.cpu / number:6.1f} ms CPU a block"


def timed(folder: Path, blocks: int, *, warm: bool = True, wait: float = 0.0, **options: Any) -> Clock:
    """Seconds of a run whose workers are there already."""
    out = folder / "run.h5"
    if warm:
        run_blocks(production(4, wait=wait), out=out, **options)
        out.unlink()
    clock = Clock()
    with clock:
        run_blocks(production(blocks, wait=wait), out=out, **options)
    out.unlink()
    return clock


def scaling(folder: Path, blocks: int, wait: float) -> None:
    """One and two workers of Dask; the blocks wait, so that a busy machine does not matter."""
    seconds = {}
    for jobs in (1, 2):
        with opened(Cluster(jobs=jobs)) as executor:
            seconds[jobs] = timed(folder, blocks, wait=wait, executor=executor).wall
        print(f"{blocks} blocks of {wait:g} s, {jobs} worker(s) of Dask: {seconds[jobs]:7.1f} s")
    print(f"scaling from 1 to 2 workers: {seconds[1] / seconds[2]:.2f}")


def overheads(folder: Path, blocks: int) -> None:
    """Blocks that take no time at all: with one worker each."""
    print("processes 1      ", timed(folder, blocks, warm=False, processes=1).each(blocks))
    with ThreadPoolExecutor(1) as threads:
        print("executor, threads", timed(folder, blocks, executor=threads).each(blocks))
    with opened(Cluster(jobs=1)) as dask:
        print("Dask, 1 worker   ", timed(folder, blocks, executor=dask).each(blocks))
        print("Dask, task alone ", tasks_alone(dask, blocks).each(blocks))


def tasks_alone(executor: Executor, number: int) -> Clock:
    """Tasks that do nothing."""
    clock = Clock()
    with clock:
        for future in [executor.submit(abs, n) for n in range(number)]:
            future.result()
    return clock


def joining(folder: Path, number: int) -> None:
    """Make, find and join many small blocks of a plan."""
    out, made = folder / "many.h5", production(number)
    parts = write_plan(made, out, ["benchmark"])
    plan, clock = read_plan(parts), Clock()
    with clock:
        make_blocks(made, plan, parts, range(number))
    print(f"making {number} blocks   ", clock.each(number))
    files = list(parts.glob("0*.h5"))
    size = sum(file.stat().st_size for file in files)
    disk = sum(file.stat().st_blocks * 512 for file in files)
    print(f"{len(files)} files, {size / 1e6:.1f} MB, {disk / 1e6:.1f} MB on the disk")
    with clock:
        missing = Blocks(out, made).missing()
    print(f"looking whether all are whole ({len(missing)} missing)", clock.each(number))
    with clock:
        join_blocks(made, plan, out)
    print("joining          ", clock.each(number), f"({clock.wall:.1f} s in all)")
    with open_showers(out) as reader:
        print(f"{out.name}: {len(reader)} showers, {out.stat().st_size / 1e6:.1f} MB")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(f"largest memory of this process: {peak / 1024:.0f} MB")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--blocks", type=int, default=10_000, help="to join")
    parser.add_argument("--folder", type=Path, default=Path("cluster-benchmark"))
    parser.add_argument("--only", choices=("scaling", "overheads", "joining"))
    options = parser.parse_args()
    options.folder.mkdir(parents=True)
    try:
        if options.only in {None, "scaling"}:
            scaling(options.folder, 40, 1.0)
        if options.only in {None, "overheads"}:
            overheads(options.folder, 200)
        if options.only in {None, "joining"}:
            joining(options.folder, options.blocks)
    finally:
        shutil.rmtree(options.folder)


if __name__ == "__main__":
    sys.exit(main())
