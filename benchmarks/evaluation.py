"""Time and memory of evaluations: many showers through the histograms, few through all fast metrics."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from caloforge.evaluation.registry import Metric
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
    rows = []
    for row in _measure_all(options):
        rows.append(row)
        print(line(row), flush=True)
    found = {"machine": machine(), "rows": rows}
    if options.out:
        options.out.write_text(json.dumps(found, indent=1) + "\n")
    if options.page:
        options.page.write_text(page(found))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, required=True, help="keeps the drawn showers")
    parser.add_argument("--showers", type=Path, help="CaloChallenge file to draw showers for histograms from")
    parser.add_argument("--counts", default="10000,100000", help="how many, with commas between")
    parser.add_argument("--fast-counts", default="", help="of the same showers, through all fast metrics")
    parser.add_argument("--fast", type=Path, nargs=2, help="two shower files for all fast metrics")
    parser.add_argument("--fast-count", type=int, default=1000, help="showers of each of them")
    parser.add_argument("--cells", type=Path, help="CaloChallenge file to draw showers for a classifier from")
    parser.add_argument("--cells-count", type=int, default=10_000, help="showers of each class")
    parser.add_argument("--out", type=Path, help="write JSON")
    parser.add_argument("--page", type=Path, help="write a page of Markdown")
    parser.add_argument("--job", choices=sorted(JOBS), help=argparse.SUPPRESS)
    parser.add_argument("--files", type=Path, nargs=2, help=argparse.SUPPRESS)
    parser.add_argument("--count", type=int, help=argparse.SUPPRESS)
    return parser.parse_args()


def _measure_all(options: argparse.Namespace) -> Iterator[dict[str, Any]]:
    if options.showers:
        for name, counts in (("histograms", options.counts), ("fast", options.fast_counts)):
            for count in (int(word) for word in counts.split(",") if word):
                files = [drawn(options.showers, options.folder, count, seed) for seed in (1, 2)]
                yield measure(job(name, options, files, count), name, count)
    if options.fast:
        yield measure(job("fast", options, options.fast, options.fast_count), "fast", options.fast_count)
        yield measure(command(options), "command", options.fast_count, output=False)
    if options.cells:
        count = options.cells_count
        files = [drawn(options.cells, options.folder, count, seed) for seed in (1, 2)]
        yield measure(job("classifier", options, files, count), "classifier", count)


def job(name: str, options: argparse.Namespace, files: Sequence[Path], count: int) -> list[str]:
    """The command line that does one job in a process of its own."""
    words = [sys.executable, __file__, "--job", name, "--count", str(count), "--folder", str(options.folder)]
    return [*words, "--files", *map(str, files)]


def command(options: argparse.Namespace) -> list[str]:
    """``caloforge evaluate`` with its report."""
    first, second = options.fast
    words = [sys.executable, "-m", "caloforge", "evaluate", "--metrics", "fast"]
    words += ["--count", str(options.fast_count), "--reference", str(first), "--generated", f"model={second}"]
    return [*words, "--out", str(options.folder / "report"), "--force"]


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


def measure(words: list[str], name: str, count: int, *, output: bool = True) -> dict[str, Any]:
    """Run a command, for its time and its largest resident memory."""
    begin = time.monotonic()
    child = subprocess.Popen(words, stdout=subprocess.PIPE)
    assert child.stdout is not None
    told = child.stdout.read()
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        sys.exit(f"{' '.join(words)} failed.")
    return {
        "job": name,
        "showers": count,
        "seconds": time.monotonic() - begin,
        "cpu_seconds": usage.ru_utime + usage.ru_stime,
        "peak_mb": usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024) / 1e6,
        **(json.loads(told) if output else {}),
    }


def _samples(options: argparse.Namespace, stages: dict[str, float]) -> Any:
    from caloforge.evaluation.loading import Options, load_samples
    from caloforge.evaluation.sources import open_source

    stages["imports"] = time.process_time()
    sources = [open_source(path.stem, path, geometry=None, count=options.count) for path in options.files]
    settings = Options(None, (0.0, 0.0), "all", options.count, 1, "fast")
    return timed(stages, "reading", lambda: load_samples(sources, settings))


def histograms(options: argparse.Namespace) -> dict[str, Any]:
    """Both files read, features, separation powers and Wasserstein distances with errors and floors."""
    from caloforge.evaluation.registry import METRICS

    return _metrics(options, [metric for metric in METRICS if metric.name in HISTOGRAMS])


def fast(options: argparse.Namespace) -> dict[str, Any]:
    """All metrics of the level "fast"."""
    from caloforge.evaluation.registry import metrics_of

    return _metrics(options, metrics_of("fast"))


def _metrics(options: argparse.Namespace, metrics: Sequence[Metric]) -> dict[str, Any]:
    from caloforge.evaluation.pair import Pair

    stages: dict[str, float] = {}
    samples = _samples(options, stages)
    pair = Pair(samples.reference.observed, samples.generated[0].observed, samples.frame)
    for metric in metrics:
        timed(stages, metric.name, partial(metric.compute, pair))
        timed(stages, f"floor of {metric.name}", partial(samples.floors.floors, metric, len(pair.second)))
    return {"stages": stages}


def classifier(options: argparse.Namespace) -> dict[str, Any]:
    """One epoch of the classifier of single cells, against the size of its inputs as a matrix."""
    import numpy as np

    from caloforge.evaluation.classify.recipes import Plan, View, classifier_named
    from caloforge.evaluation.classify.runs import fit
    from caloforge.evaluation.classify.training import Training
    from caloforge.evaluation.pair import Observed
    from caloforge.features import CellRecorder, derive_binning, feature_table
    from caloforge.formats import open_showers

    stages: dict[str, float] = {}
    stages["imports"] = time.process_time()
    plan = Plan(Training(2e-4, 1000, 1), trainings=1, scaled=True, width=512)
    with tempfile.TemporaryDirectory(dir=options.folder) as folder, open_showers(options.files[0]) as first:
        geometry = first.geometry
        assert geometry is not None
        binning = derive_binning(first, geometry, stop=100)
        samples = []
        for path in reversed(options.files):
            record = CellRecorder(Path(folder), path.stem, geometry)
            with open_showers(path) as file:
                read = partial(
                    feature_table, file, geometry, binning=binning, stop=options.count, record=record
                )
                table = timed(stages, f"reading {path.stem}", read)
            samples.append(Observed(table, record.finish()))
        entry = classifier_named("low")
        view = View.of(samples, geometry, plan, "standard")
        examples = entry.examples(samples, view)
        train = partial(fit, entry, examples, view, plan, rng=np.random.default_rng(1))
        timed(stages, "training", train)
        cells = sum(len(sample.cells.cells) for sample in samples if sample.cells)
    matrix = sum(len(sample) for sample in samples) * (geometry.n_cells + 1) * 4 / 1e6
    return {"stages": stages, "matrix_mb": matrix, "sparse_mb": cells * 8 / 1e6}


def timed(stages: dict[str, float], name: str, work: Callable[[], Any]) -> Any:
    """Do something and note how much processor time it took."""
    begin = time.process_time()
    done = work()
    stages[name] = time.process_time() - begin
    return done


JOBS = {"histograms": histograms, "fast": fast, "classifier": classifier}


def machine() -> dict[str, Any]:
    """What the numbers depend on."""
    from caloforge.speed.machine import describe_machine, load

    return {**describe_machine(), "load": load()}


def line(row: dict[str, Any]) -> str:
    """A row for people."""
    parts = ", ".join(f"{name} {seconds:.1f}" for name, seconds in row.get("stages", {}).items())
    numbers = f"{row['seconds']:.1f} s, {row['cpu_seconds']:.1f} s of CPU, at most {row['peak_mb']:.0f} MB"
    matrix = f", as a matrix {row['matrix_mb']:.0f} MB" if "matrix_mb" in row else ""
    return f"{row['job']}, {row['showers']} showers: {numbers}{matrix} ({parts})"


PAGE = """# Speed of evaluations

Made by `benchmarks/evaluation.py`; what is measured is told in `benchmarks/README.md`. {machine}. {load:.1f}
processes ran at once on average when it ended{waiting}.

| | showers of each file | wall clock [s] | processor [s] | peak memory [MB] |
| --- | --- | --- | --- | --- |
{table}

Processor seconds of the parts:

{parts}
"""
TITLES = {
    "histograms": "histograms: separation powers and Wasserstein distances, with errors and floors",
    "fast": "all fast metrics",
    "command": "`caloforge evaluate --metrics fast`, with its report",
    "classifier": "classifier of single cells, one epoch",
}


def page(found: dict[str, Any]) -> str:
    """The results in Markdown."""
    rows, told = found["rows"], found["machine"]
    busy = bool(told["load"]) and told["load"] > told["usable_cores"]
    table, parts = [], []
    for row in rows:
        numbers = ["-" if busy and name == "seconds" else f"{row[name]:.0f}" for name in NUMBERS]
        table.append(f"| {' | '.join([TITLES[row['job']], format(row['showers'], ','), *numbers])} |")
        stages = {name: seconds for name, seconds in row.get("stages", {}).items() if seconds >= 0.05}
        words = ", ".join(f"{name} {seconds:.1f}" for name, seconds in stages.items())
        if "matrix_mb" in row:
            matrix, sparse = row["matrix_mb"], row["sparse_mb"]
            words += f"; its inputs would be {matrix:,.0f} MB as a matrix and are {sparse:,.0f} MB on disk"
        if words:
            parts.append(f"- {TITLES[row['job']]}, {row['showers']:,} showers: {words}.")
    words = f"{told['cpu']}, {told['usable_cores']} cores, {told['memory_gib']} GiB, Python {told['python']}"
    others = ": more than there are cores, so that wall-clock times would tell of the others" if busy else ""
    return PAGE.format(
        machine=words,
        load=told["load"] or 0.0,
        waiting=others,
        table="\n".join(table),
        parts="\n".join(parts),
    )


NUMBERS = ("seconds", "cpu_seconds", "peak_mb")


if __name__ == "__main__":
    main()
