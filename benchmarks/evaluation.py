"""Time and memory of evaluations: many showers through the histograms, few through all fast metrics."""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from caloforge.formats import ShowerReader
    from caloforge.showers import Showers

HISTOGRAMS = ("separation", "wasserstein")
_BLOCK = 500


def main() -> None:
    options = _options()
    if options.job:
        json.dump(JOBS[options.job](options), sys.stdout)
        return
    options.folder.mkdir(parents=True, exist_ok=True)
    rows = list(_measure_all(options))
    print(table(rows))
    if options.out:
        options.out.write_text(json.dumps({"machine": machine(), "rows": rows}, indent=1) + "\n")
    if options.page:
        options.page.write_text(page(rows))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--showers", type=Path, required=True, help="CaloChallenge file to draw showers from")
    parser.add_argument("--folder", type=Path, required=True, help="keeps the drawn showers (0.6 GB each)")
    parser.add_argument("--counts", default="10000,100000", help="numbers of showers, with commas between")
    parser.add_argument("--clouds", type=Path, help="any shower file: 1000 of each half for the fast metrics")
    parser.add_argument("--fine", type=Path, help="CaloChallenge file of data set 3 for the classifier")
    parser.add_argument("--fine-count", type=int, default=20_000, help="showers drawn from it")
    parser.add_argument("--out", type=Path, help="write JSON")
    parser.add_argument("--page", type=Path, help="write a page of Markdown")
    parser.add_argument("--job", choices=sorted(JOBS), help=argparse.SUPPRESS)
    parser.add_argument("--reference", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--generated", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--count", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    options.counts = [int(count) for count in options.counts.split(",")]
    return options


def _measure_all(options: argparse.Namespace) -> Iterator[dict[str, Any]]:
    pair = [drawn(options.showers, options.folder, max(options.counts), seed) for seed in (1, 2)]
    for count in options.counts:
        yield measure(options, "histograms", pair, count)


def drawn(source: Path, folder: Path, count: int, seed: int) -> Path:
    """A file of ``count`` showers drawn from those of ``source``, made when it is not there.

    Each is turned by whole cells about the axis, which is an exact symmetry; its energy is changed by
    some per cent and the energies of its cells by some more, so that no two are the same.
    """
    import numpy as np

    from caloforge.formats import open_showers
    from caloforge.formats.calochallenge import CaloChallengeWriter

    path = folder / f"{source.stem}-{count}-{seed}.hdf5"
    if path.exists():
        return path
    rng = np.random.default_rng(seed)
    with open_showers(source) as reader, CaloChallengeWriter(path, geometry=reader.geometry) as writer:
        pool = reader.read(0, len(reader))
        for first in range(0, count, _BLOCK):
            chosen = pool[rng.integers(0, len(pool), min(_BLOCK, count - first))]
            writer.append(varied(chosen, reader, rng))
    return path


def varied(showers: Showers, reader: ShowerReader, rng: Any) -> Showers:
    """The showers turned about the axis, with other energies."""
    from dataclasses import replace

    import numpy as np

    assert reader.geometry is not None
    assert showers.cells is not None
    layers, angles, rings = reader.geometry.dense_shape
    layer, angle, ring = np.unravel_index(showers.cells, (layers, angles, rings))
    turned = (angle + rng.integers(0, angles, len(showers))[showers.shower]) % angles
    cells = np.ravel_multi_index((layer, turned, ring), (layers, angles, rings))
    scale = rng.normal(1.0, 0.03, len(showers)).clip(0.8, 1.2)
    energy = showers.energy * scale[showers.shower] * rng.normal(1.0, 0.05, len(cells)).clip(0.5, 1.5)
    incident = replace(showers.incident, energy=showers.incident.energy * scale)
    return replace(showers, incident=incident, energy=energy.astype(np.float32), cells=cells, extras={})


def measure(options: argparse.Namespace, job: str, files: list[Path], count: int) -> dict[str, Any]:
    """Run a job in a process of its own, for its time and its largest resident memory."""
    command = [sys.executable, __file__, "--job", job, "--count", str(count)]
    command += ["--showers", str(options.showers), "--folder", str(options.folder)]
    command += ["--reference", str(files[0]), "--generated", str(files[1])]
    started = time.monotonic()
    child = subprocess.Popen(command, stdout=subprocess.PIPE)
    assert child.stdout is not None
    words = child.stdout.read()
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        sys.exit(f"The job {job} failed.")
    return {
        "job": job,
        "showers": count,
        "seconds": time.monotonic() - started,
        "cpu_seconds": usage.ru_utime + usage.ru_stime,
        "peak_mb": usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024) / 1e6,
        **json.loads(words),
    }


def histograms(options: argparse.Namespace) -> dict[str, Any]:
    """Both files read, features, separation powers and Wasserstein distances with errors and floors."""
    from caloforge.evaluation.loading import Options, load_samples
    from caloforge.evaluation.pair import Pair
    from caloforge.evaluation.registry import METRICS
    from caloforge.evaluation.sources import open_source

    stages: dict[str, float] = {}
    first, second = (
        open_source(path.stem, path, geometry=None, count=options.count)
        for path in (options.reference, options.generated)
    )
    settings = Options(None, (0.0, 0.0), "all", options.count, 1, "fast")
    samples = timed(stages, "reading", lambda: load_samples([first, second], settings))
    pair = Pair(samples.reference.observed, samples.generated[0].observed, samples.frame)
    for metric in METRICS:
        if metric.name in HISTOGRAMS:
            timed(stages, metric.name, lambda metric=metric: metric.compute(pair))
            timed(
                stages,
                f"{metric.name}, floor",
                lambda metric=metric: samples.floors.floors(metric, len(pair.second)),
            )
    return {"stages": stages}


def timed(stages: dict[str, float], name: str, work: Callable[[], Any]) -> Any:
    """Do something and note how long it took."""
    begin = time.monotonic()
    done = work()
    stages[name] = time.monotonic() - begin
    return done


JOBS = {"histograms": histograms}


def machine() -> dict[str, Any]:
    """What the numbers depend on."""
    from caloforge.evaluation.machine import cpu_name

    return {"cpu": cpu_name(), "cores": os.cpu_count(), "python": platform.python_version()}


def table(rows: list[dict[str, Any]]) -> str:
    """Lines for people."""
    lines = [f"{'job':<14}{'showers':>9}{'seconds':>10}{'CPU s':>9}{'peak MB':>10}   parts [s]"]
    for row in rows:
        parts = ", ".join(f"{name} {seconds:.1f}" for name, seconds in row.get("stages", {}).items())
        numbers = f"{row['seconds']:>10.1f}{row['cpu_seconds']:>9.1f}{row['peak_mb']:>10.0f}"
        lines.append(f"{row['job']:<14}{row['showers']:>9d}{numbers}   {parts}")
    return "\n".join(lines)


def page(rows: list[dict[str, Any]]) -> str:
    return table(rows)


if __name__ == "__main__":
    main()
