"""Event displays, the cells' spectrum and hits at single energies: figures of L2LFlows' papers.

python benchmarks/l2lflows.py --reference report.h5 --generated L2LFlows=l2lflows.h5 \
  --out docs/images/l2lflows

The generated files have the particles of the reference (`caloforge generate --like`). Single energies are
20, 50 and 80 GeV, give or take --window: both have the same ones. Figures 3 and 4 of the overview of 2023
(NeurIPS, "Three Frontiers") are PREFIX-events.png and PREFIX-hits.png; PREFIX.json has the numbers.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from caloforge.evaluation.sources import geometry_of, open_reader, open_source
from caloforge.features import read_out
from caloforge.report.display import save_display
from caloforge.report.lines import REFERENCE, model_styles
from caloforge.report.style import new_figure, png, style
from caloforge.units import GEV

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    from caloforge.geometry import Geometry
    from caloforge.report.scene import Panel
    from caloforge.showers import Showers

ENERGIES = (20.0, 50.0, 80.0)
QUANTILES = (0.1, 0.5, 0.9, 0.99)


@dataclass(frozen=True)
class Sample:
    """Cells above threshold of one sample.

    Attributes:
        showers: All of it.
        energy: Incident energies [GeV].
    """

    showers: Showers
    energy: NDArray[np.float64]

    def near(self, energy: float, window: float) -> NDArray[np.int64]:
        """Showers of about an energy [GeV]."""
        return np.flatnonzero(abs(self.energy - energy) < window)


def read(options: argparse.Namespace) -> tuple[Geometry, dict[str, Sample]]:
    """The reference and the models, as they are read out."""
    reference = open_source(options.reference, options.reference, geometry=None, part="all")
    geometry = geometry_of(reference, None)
    samples = {REFERENCE: reference.showers.read(0, len(reference))}
    for entry in options.generated:
        name, _, path = entry.partition("=")
        reader = open_reader(path, geometry)
        samples[name] = reader.read(0, len(reader))
    cells = {name: read_out(showers, geometry) for name, showers in samples.items()}
    return geometry, {name: Sample(c, c.incident.energy / GEV) for name, c in cells.items()}


def spectrum(axes: Axes, samples: dict[str, Sample]) -> None:
    """Cells per shower against their energy."""
    top = max(float(s.showers.energy.max()) for s in samples.values())
    low = min(float(s.showers.energy.min()) for s in samples.values())
    bins = np.geomspace(low, top, 51)
    for name, look in _looks(samples).items():
        number = np.histogram(samples[name].showers.energy, bins)[0] / len(samples[name].showers)
        axes.stairs(number, bins, label=name, **look)
    axes.set(xlabel="energy of a cell [MeV]", ylabel="cells per shower", xscale="log", yscale="log")
    axes.legend(fontsize=13)


def hits(axes: Axes, samples: dict[str, Sample], window: float) -> None:
    """Cells above threshold of showers of about one energy."""
    every = samples[REFERENCE].showers.n_hits
    bins = np.linspace(0.9 * every.min(), 1.05 * every.max(), 51)
    for name, look in _looks(samples).items():
        for energy in ENERGIES:
            rows = samples[name].near(energy, window)
            label = name if energy == ENERGIES[0] else None
            axes.stairs(np.histogram(samples[name].showers.n_hits[rows], bins)[0], bins, label=label, **look)
    axes.set(xlabel="cells above threshold", ylabel="showers")
    axes.set_title(f"{', '.join(f'{e:g}' for e in ENERGIES)} GeV ± {window:g} GeV", fontsize=15)
    axes.legend(fontsize=13)


def numbers(samples: dict[str, Sample], window: float) -> dict[str, dict[str, float]]:
    """Hits at single energies with errors, and quantiles of the cells' energies [MeV]."""
    found: dict[str, dict[str, float]] = {}
    for name, sample in samples.items():
        found[name] = {f"quantile {q:g}": float(np.quantile(sample.showers.energy, q)) for q in QUANTILES}
        for energy in ENERGIES:
            count = sample.showers.n_hits[sample.near(energy, window)]
            if len(count) > 1:
                error = count.std(ddof=1) / np.sqrt(len(count))
                of_width = count.std(ddof=1) / np.sqrt(2 * len(count))
                values = (count.mean(), error, count.std(ddof=1), of_width)
                keys = ("mean hits", "mean hits, error", "spread of hits", "spread of hits, error")
                found[name] |= {f"{e} at {energy:g} GeV": float(v) for e, v in zip(keys, values, strict=True)}
    return found


def events(geometry: Geometry, samples: dict[str, Sample]) -> list[Panel]:
    """The shower of each sample whose energy is nearest to 50 GeV."""
    panels: list[Panel] = []
    for name, sample in samples.items():
        row = int(abs(sample.energy - ENERGIES[1]).argmin())
        panels.append((f"{name}, {sample.energy[row]:.1f} GeV", sample.showers[np.array([row])], geometry))
    return panels


def _looks(samples: dict[str, Sample]) -> dict[str, dict[str, object]]:
    models = model_styles([name for name in samples if name != REFERENCE])
    looks: dict[str, dict[str, object]] = {REFERENCE: {"color": "grey", "fill": True, "alpha": 0.4}}
    looks |= {n: {"color": m.colour, "linestyle": m.dashes, "linewidth": 1.8} for n, m in models.items()}
    return looks


def main() -> None:
    """Read the command line, draw."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--reference", type=Path, required=True)
    parser.add_argument("--generated", action="append", default=[], metavar="NAME=FILE")
    parser.add_argument("--window", type=float, default=4.0, help="GeV on either side")
    parser.add_argument("--out", type=Path, required=True, metavar="PREFIX")
    options = parser.parse_args()
    geometry, samples = read(options)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    save_display(
        events(geometry, samples), options.out.with_name(f"{options.out.name}-events.png"), dpi=70, force=True
    )
    with style():
        figure = new_figure(12.0, 5.5, layout="constrained")
        left, right = figure.subplots(1, 2)
        spectrum(left, samples)
        hits(right, samples, options.window)
        options.out.with_name(f"{options.out.name}-hits.png").write_bytes(png(figure))
    found = numbers(samples, options.window)
    options.out.with_suffix(".json").write_text(json.dumps(found, indent=2), encoding="utf-8")
    print(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
