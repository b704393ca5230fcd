"""Are the errors right? Geant4 against Geant4, many times: pulls of all metrics, whose width should be 1.

python benchmarks/pulls.py siw_photons.h5 --geometry siw-ecal --count 200 --repeats 200
python benchmarks/pulls.py showers.hdf5 --geometry cylinder-ds2 --shared --metrics separation wasserstein

Every repeat draws two samples of ``--count`` showers from the file, and floors from the others. The pull of a
classifier is (value - 0.5) / error, that of another metric (value - floor) / (error and floor's error in
quadrature). With ``--shared`` the two samples have like particles, neighbours in energy, as showers that were
generated for the reference's particles; the floors are matched then.
"""

from __future__ import annotations

import argparse
import time
from collections import defaultdict
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import numpy as np

from caloforge.evaluation.floors import FloorMaker
from caloforge.evaluation.matching import neighbour_pairs
from caloforge.evaluation.pair import Frame, Observed, Pair
from caloforge.evaluation.registry import METRICS, Metric
from caloforge.evaluation.sources import open_reader
from caloforge.features import CellRecorder, derive_binning, feature_table
from caloforge.geometry import load_geometry
from tables import table

if TYPE_CHECKING:
    from collections.abc import Iterator

GUESS = 0.5
Row = tuple[float, float, float]  # value, expectation, error


def load(path: Path, geometry: str, folder: Path, seed: int) -> tuple[Observed, Frame]:
    """All showers of a file."""
    cells = load_geometry(geometry)
    with open_reader(path, cells) as reader:
        binning = derive_binning(reader, cells)
        record = CellRecorder(folder, "all", cells)
        features = feature_table(reader, cells, binning=binning, record=record)
    return Observed(features, record.finish()), Frame(cells, binning, features, seed, workers=1)


def draw(whole: Observed, count: int, rng: np.random.Generator, *, shared: bool) -> tuple[Observed, ...]:
    """Two samples, and the showers that are left."""
    if shared:
        both = np.array(neighbour_pairs(whole.table, len(whole) // 2, rng))  # as near as there are
        first, second = both[:, rng.permutation(both.shape[1])[:count]]
    else:
        first, second = rng.permutation(len(whole))[: 2 * count].reshape(2, count)
    rest = rng.permutation(np.setdiff1d(np.arange(len(whole)), np.concatenate([first, second])))
    return whole.select(first), whole.select(second), whole.select(rest)


def compare(
    metric: Metric, samples: tuple[Observed, ...], frame: Frame, *, shared: bool
) -> Iterator[tuple[str, Row]]:
    """Every value with its expectation and their error."""
    first, second, spare = samples
    chance = metric.group == "classifier"
    # what is told about a classifier beside its area takes as long as the area
    pair = Pair(first, second, frame, shared=shared, is_floor=chance)
    floors = {} if chance else FloorMaker(frame, first, spare).floors(metric, len(second), shared=shared)
    for value in metric.values(pair):
        if value.value is None or not value.error:
            continue
        if chance and value.name.startswith("auc."):
            yield value.name, (value.value, GUESS, value.error)
        elif (floor := floors.get(value.name)) is not None:
            yield value.name, (value.value, floor.value, float(np.hypot(value.error, floor.error or 0.0)))


def main() -> None:
    """Read the command line, draw, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("file", type=Path)
    parser.add_argument("--geometry", required=True)
    parser.add_argument("--count", type=int, default=200, help="showers of each sample")
    parser.add_argument("--repeats", type=int, default=200)
    parser.add_argument("--metrics", nargs="+", default=["boosted"], choices=[m.name for m in METRICS])
    parser.add_argument("--shared", action="store_true", help="both samples have like particles")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    found: dict[str, list[Row]] = defaultdict(list)
    begin = time.monotonic()
    with TemporaryDirectory() as folder:
        whole, frame = load(options.file, options.geometry, Path(folder), options.seed)
        for repeat in range(options.repeats):
            rng = np.random.default_rng([options.seed, repeat])
            samples = draw(whole, options.count, rng, shared=options.shared)
            own = replace(frame, reference=samples[0].table, seed=repeat)
            for metric in (m for m in METRICS if m.name in options.metrics):
                for name, row in compare(metric, samples, own, shared=options.shared):
                    found[name].append(row)
    print("\n".join(lines(found)))
    print(f"{time.monotonic() - begin:.0f} s")


def lines(found: dict[str, list[Row]]) -> list[str]:
    """One metric a line: mean value, mean expectation, mean error, and mean and width of the pulls."""
    rows = []
    for name, entries in found.items():
        value, expected, error = np.array(entries).T
        pulls, number = (value - expected) / error, len(entries)
        rows.append(
            [
                f"`{name}`",
                str(number),
                f"{value.mean():.4g} ± {value.std() / np.sqrt(number):.2g}",
                f"{expected.mean():.4g}",
                f"{error.mean():.2g}",
                f"{pulls.mean():.2f} ± {pulls.std() / np.sqrt(number):.2f}",
                f"{pulls.std():.2f} ± {pulls.std() / np.sqrt(2 * number):.2f}",
            ]
        )
    return table(["", "repeats", "value", "expected", "error", "mean pull", "width"], rows)


if __name__ == "__main__":
    main()
