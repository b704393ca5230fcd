"""How a model's time per shower depends on the number of hits, and on the number of cells.

python benchmarks/hit_scaling.py pyramid:siw-ecal caloclouds-2-cm:siw-ecal \
  --data-set-2 cylinder_electrons_ds2.hdf5 --data-set-3 cylinder_electrons_ds3.hdf5 \
  --out hit-scaling.json --page docs/hit-scaling.md

Models are names of shipped ones or folders; a name without a tag is the preset `small`, untrained.
Each is timed at several energies, so with several numbers of hits, in one thread. The same networks are
then built for the read-outs of data sets 2 and 3, with 6480 and 40 500 cells: with their trained weights
where models of both are given, otherwise with fresh ones whose preprocessing has seen Geant4's showers,
which is enough for the time.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from caloforge.formats import NativeWriter, open_showers
from caloforge.geometry import load_geometry
from caloforge.models import build_model, model_names
from caloforge.report.lines import model_styles
from caloforge.report.style import new_figure, png, style
from caloforge.showers import Incident
from caloforge.simulator import Simulator, TrainedRange
from caloforge.speed.machine import describe_machine
from caloforge.training import TrainingData, load_config
from caloforge.units import GEV
from caloforge.zoo import load_simulator
from tables import table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from caloforge.models import ModelConfig

READ_OUTS = ("cylinder-ds2", "cylinder-ds3")
PREPARE, POINTS, ENERGIES, WIDE, LEVER = 200, 64, 6, 20.0, 1.5
PAGE = """# Time per shower against hits and cells

Made by `benchmarks/hit_scaling.py`: CPU time in one thread, batches of {batch}, on {cpu}. The number of hits
is changed by the incident energy, {energies} energies in the trained range. Hits are what the network makes:
points of a point cloud, cells of a model of cells.

![Time against hits, and what finer cells do to both]({picture})

## Hits

Straight line through the times: ms = a + b × hits, where the hits vary enough. *Off* is the largest distance
from it: with fresh weights some networks make as many hits at all energies.

{hits}
## Cells

The same networks for electrons in the read-outs of data sets 2 and 3, and how much more of everything
there is in the finer one, at the same energies. A time that followed the cells would grow as they do.

{cells}"""


@dataclass(frozen=True)
class Timed:
    """One simulator at several energies.

    Attributes:
        name: Of the model.
        geometry: Its read-out.
        cells: Of the read-out.
        trained: Whether its weights were trained.
        energy: Incident energies [GeV], ``(E,)``.
        hits: Mean number of hits, ``(E,)``.
        ms: Mean CPU time of a shower, ``(E,)``.
        error: Standard deviation of the repetitions, ``(E,)``.
        line: Offset [ms] and slope [ms per hit]; None where the hits hardly vary.
    """

    name: str
    geometry: str
    cells: int
    trained: bool
    energy: list[float]
    hits: list[float]
    ms: list[float]
    error: list[float]
    line: tuple[float, float] | None

    @property
    def label(self) -> str:
        """For tables and legends."""
        return f"{self.name}, {self.geometry}" + ("" if self.trained else ", untrained")

    def fit(self) -> list[str]:
        """Offset, slope and largest distance from the line, for the table."""
        if self.line is None:
            return ["–", "–", "–"]
        offset, slope = self.line
        off = np.max(np.abs(offset + slope * np.array(self.hits) - self.ms) / np.array(self.ms))
        return [f"{offset:.3g}", f"{1e3 * slope:.3g}", f"{100 * off:.0f} %"]


def energies_of(low: float, high: float) -> list[float]:
    """Energies over a range, evenly in the logarithm where it is wide."""
    spread = np.geomspace if high > WIDE * low else np.linspace
    return [float(e) for e in spread(low, high, ENERGIES)]


def measure(name: str, simulator: Simulator, options: argparse.Namespace, *, trained: bool) -> Timed:
    """Time a simulator at several energies."""
    energies = energies_of(*simulator.trained.energy)
    rows = []
    for energy in energies:
        rows.append(measure_at(simulator, energy, options))
        print(f"{name}, {simulator.geometry.name}, {energy / GEV:.3g} GeV: {rows[-1][1]:.4g} ms", flush=True)
    hits, ms, error = (list(column) for column in zip(*rows, strict=True))
    line = None
    if max(hits) > LEVER * min(hits):
        slope, offset = np.polyfit(hits, ms, 1, w=1 / np.array(ms))
        line = (float(offset), float(slope))
    geometry = simulator.geometry
    gev = [energy / GEV for energy in energies]
    return Timed(name, geometry.name, geometry.n_cells, trained, gev, hits, ms, error, line)


def measure_at(
    simulator: Simulator, energy: float, options: argparse.Namespace
) -> tuple[float, float, float]:
    """Mean hits, mean and standard deviation of the CPU ms per shower, at one energy."""
    incident = Incident.of([energy] * options.batch_size, pdg=simulator.trained.particles[0])
    hits = simulator.sample(incident, seed=1, batch_size=options.batch_size).n_hits.mean()  # and warm up
    times = []
    for repetition in range(options.repetitions):
        begin = time.process_time()
        simulator(incident, seed=2 + repetition, batch_size=options.batch_size)
        times.append(1e3 * (time.process_time() - begin) / options.batch_size)
    return float(hits), float(np.mean(times)), float(np.std(times, ddof=1))


def fresh(name: str, config: ModelConfig, geometry_name: str, file: Path) -> Simulator:
    """Networks for a read-out: fresh weights, preprocessing fitted to a file."""
    geometry = load_geometry(geometry_name)
    with tempfile.TemporaryDirectory() as folder:
        few = Path(folder) / "few.h5"
        with open_showers(file, geometry=geometry) as reader, NativeWriter(few, geometry=geometry) as writer:
            energy = reader.incident().energy
            writer.append(reader.read(0, min(PREPARE, len(reader))))
        data = TrainingData.prepare([few], geometry, Path(folder) / "cache", seed=1)
        model = build_model(name, config, geometry, seed=1)
        rows, rng = data.rows("train"), np.random.default_rng(1)
        batch = data.batch(rows, points=POINTS, cells=model.trains_on == "cells", rng=rng)
        model.prepare(batch, torch.Generator().manual_seed(1))
        particles = data.particles
    ends = (float(energy.min()), float(energy.max()))
    return Simulator(model.eval(), TrainedRange(energy=ends, theta=0.0, particles=particles))


def config_of(name: str, given: dict[str, Simulator]) -> ModelConfig:
    """Sizes of the networks: those of the first trained model, else of the preset ``small``."""
    known = [simulator.model.config for simulator in given.values()]
    return known[0] if known else load_config(f"{name}/small").model


def pair_of(
    name: str, given: dict[str, Simulator], files: Sequence[Path | None], options: argparse.Namespace
) -> list[Timed]:
    """The networks of a model in both read-outs; empty when there are neither weights nor showers."""
    known = [given.get(read_out) for read_out in READ_OUTS]
    if all(simulator is not None for simulator in known):
        return [measure(name, s, options, trained=True) for s in known if s is not None]
    if any(file is None for file in files):
        return []
    config, found = config_of(name, given), zip(READ_OUTS, files, strict=True)
    made = [fresh(name, config, read_out, file) for read_out, file in found if file is not None]
    return [measure(name, simulator, options, trained=False) for simulator in made]


def geant4_hits(files: Sequence[Path | None]) -> list[float]:
    """Mean hits of Geant4's showers in both files."""
    means = []
    for read_out, file in zip(READ_OUTS, files, strict=True):
        if file is not None:
            with open_showers(file, geometry=load_geometry(read_out)) as reader:
                means.append(float(reader.read(0, min(PREPARE, len(reader))).n_hits.mean()))
    return means


def hit_table(timed: list[Timed]) -> str:
    """Every simulator's line."""
    rows = [
        [
            t.label,
            f"{min(t.hits):.0f} to {max(t.hits):.0f}",
            f"{min(t.ms):.3g} to {max(t.ms):.3g}",
            *t.fit(),
        ]
        for t in timed
    ]
    return "\n".join(table(["", "hits", "ms", "a [ms]", "b [µs per hit]", "off"], rows))


def ratios(pair: list[Timed]) -> tuple[float, float, float]:
    """Of hits, of time and of cells: data set 3 over data set 2, means over the energies."""
    coarse, fine = pair
    hits, ms = (np.mean(getattr(fine, k)) / np.mean(getattr(coarse, k)) for k in ("hits", "ms"))
    return float(hits), float(ms), fine.cells / coarse.cells


def cell_table(pairs: list[list[Timed]], geant4: list[float]) -> str:
    """What finer cells do."""
    rows = [
        [pair[0].name + ("" if pair[0].trained else ", untrained"), *(f"× {r:.2f}" for r in ratios(pair))]
        for pair in pairs
    ]
    if len(geant4) == len(READ_OUTS):
        cells = [load_geometry(name).n_cells for name in READ_OUTS]
        rows.append(["Geant4", f"× {geant4[1] / geant4[0]:.2f}", "–", f"× {cells[1] / cells[0]:.2f}"])
    return "\n".join(table(["", "hits", "time", "cells"], rows))


def draw(timed: list[Timed], pairs: list[list[Timed]]) -> bytes:
    """Times against hits, and ratios of the two read-outs."""
    with style():
        figure = new_figure(15.0, 6.5, layout="constrained")
        axes = figure.subplots(1, 2, width_ratios=(3, 2))
        for t, look in zip(timed, model_styles([t.label for t in timed]).values(), strict=True):
            axes[0].errorbar(t.hits, t.ms, t.error, fmt="o", color=look.colour, label=t.label)
            if t.line is not None:
                along = np.linspace(min(t.hits), max(t.hits))
                fitted = t.line[0] + t.line[1] * along
                axes[0].plot(along, fitted, color=look.colour, linestyle=look.dashes)
        axes[0].set(xlabel="hits", ylabel="CPU ms per shower", xscale="log", yscale="log")
        axes[0].legend(fontsize=12)
        for k, what in enumerate(("hits", "time", "cells")):
            values = [ratios(pair)[k] for pair in pairs]
            axes[1].bar(np.arange(len(pairs)) + 0.27 * (k - 1), values, 0.25, label=what)
        axes[1].set_xticks(range(len(pairs)), [pair[0].name for pair in pairs], fontsize=12)
        axes[1].minorticks_off()
        axes[1].set(ylabel="data set 3 over data set 2")
        axes[1].axhline(1.0, color="black", linewidth=1)
        axes[1].legend(fontsize=12)
        return png(figure)


def main() -> None:
    """Read the command line, measure, write the page."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("models", nargs="+", help="model:tag, or a folder")
    parser.add_argument("--data-set-2", type=Path, help="Geant4's showers in cylinder-ds2")
    parser.add_argument("--data-set-3", type=Path, help="Geant4's showers in cylinder-ds3")
    parser.add_argument("--batch-size", type=int, default=20)
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--out", type=Path, required=True, help="JSON file")
    parser.add_argument("--page", type=Path, help="Markdown page; its picture goes to images/ beside")
    options = parser.parse_args()
    torch.set_num_threads(1)
    given: dict[str, dict[str, Simulator]] = {}
    for word in options.models:
        if word in model_names():
            given.setdefault(word, {})
            continue
        simulator = load_simulator(word)
        given.setdefault(simulator.model.name, {})[simulator.geometry.name] = simulator
    files = (options.data_set_2, options.data_set_3)
    pairs = [pair for name, known in given.items() if (pair := pair_of(name, known, files, options))]
    done = {(t.name, t.geometry) for pair in pairs for t in pair if t.trained}
    timed = [
        measure(name, simulator, options, trained=True)
        for name, known in given.items()
        for place, simulator in known.items()
        if (name, place) not in done
    ]
    timed += [t for pair in pairs for t in pair]
    geant4, machine = geant4_hits(files), describe_machine()
    content = {
        "machine": machine,
        "batch_size": options.batch_size,
        "repetitions": options.repetitions,
        "timed": [asdict(t) for t in timed],
        "ratios": {
            pair[0].name: dict(zip(("hits", "time", "cells"), ratios(pair), strict=True)) for pair in pairs
        },
        "geant4_hits": geant4,
    }
    options.out.write_text(json.dumps(content, indent=2), encoding="utf-8")
    hits, cells = hit_table(timed), cell_table(pairs, geant4)
    print(f"{hits}\n{cells}")
    if options.page:
        picture = options.page.parent / "images" / f"{options.page.stem}.png"
        picture.parent.mkdir(parents=True, exist_ok=True)
        picture.write_bytes(draw(timed, pairs))
        text = PAGE.format(
            batch=options.batch_size, cpu=machine["cpu"], energies=ENERGIES,
            picture=f"images/{picture.name}", hits=hits, cells=cells,
        )  # fmt: skip
        options.page.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
