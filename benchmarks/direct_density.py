"""What CaloPointFlow's flow says, and what drawing cells makes of it.

python benchmarks/direct_density.py MODEL --data F.h5 --out DIR

Figures 2 and 3 of the paper (NeurIPS ML4PS 2022): Geant4, the direct density of the flow, and showers
whose cells are drawn in each of four ways. numbers.json holds what is printed.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from caloforge.evaluation.sources import open_source
from caloforge.features import read_out
from caloforge.features.regimes import CellQuantiles
from caloforge.models import Particles
from caloforge.models.noise import StreamNoise
from caloforge.models.pointflow.calopointflow import CaloPointFlow
from caloforge.report.curves import shower_mean
from caloforge.report.ratio import Axis, ratio_figure
from caloforge.report.style import png, style
from caloforge.zoo.shipped import load_simulator

if TYPE_CHECKING:
    from collections.abc import Iterator

    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from caloforge.geometry import Geometry
    from caloforge.report.curves import Curve
    from caloforge.showers import Incident, Showers
    from caloforge.simulator import Simulator

BLOCK = 100
DIRECT = "direct density"
PUBLISHED, MENDED = "density, gumbel", "frequency, pareto"
WAYS = (PUBLISHED, "density, pareto", "frequency, gumbel", MENDED)
TAIL = 0.9  # share of Geant4's hits, or energy, in front of what counts as a tail
SOFT = 3.0  # thresholds


@dataclass(frozen=True)
class Hits:
    """Hits of some showers in flat arrays: the shower, x, y [mm], layer, energy [MeV]."""

    showers: int
    shower: NDArray[np.int64]
    x: NDArray[np.float64]
    y: NDArray[np.float64]
    layer: NDArray[np.float64]
    energy: NDArray[np.float64]

    def histogram(self, values: NDArray[np.float64], edges: NDArray[np.float64], weights: bool) -> Curve:
        """Hits, or with ``weights`` energy [MeV], in every bin: mean over showers."""
        bins = len(edges) - 1
        place = np.searchsorted(edges, values, side="right") - 1
        inside = (place >= 0) & (place < bins)
        key = self.shower[inside] * bins + place[inside]
        weight = self.energy[inside] if weights else None
        counts = np.bincount(key, weights=weight, minlength=self.showers * bins)
        return shower_mean(counts.reshape(self.showers, bins))


def main() -> None:
    options = _options()
    simulator = load_simulator(options.model)
    if not isinstance(simulator.model, CaloPointFlow):
        sys.exit(
            f"{options.model} is a model {simulator.model.name}: only calopointflow has a direct density"
        )
    source = open_source(
        "Geant4", options.data, geometry=simulator.geometry, part="report", count=options.count
    )
    incident = source.incident()
    blocks = (source.read(first, first + BLOCK) for first in range(0, len(source), BLOCK))
    reference = _joined([_cells(read_out(b, simulator.geometry), simulator.geometry) for b in blocks])
    samples = {DIRECT: _joined(list(_direct(simulator, incident, options.seed)))}
    for way in WAYS:
        samples[way] = _drawn(simulator, incident, way, options.seed)
    options.out.mkdir(parents=True, exist_ok=True)
    numbers = {name: _numbers(hits, reference, simulator.geometry) for name, hits in samples.items()}
    (options.out / "numbers.json").write_text(json.dumps(numbers, indent=2), encoding="utf-8")
    _print(numbers)
    shown = {name: samples[name] for name in (DIRECT, PUBLISHED, MENDED)}
    with style():
        for name, figure in _figures(shown, reference, simulator.geometry):
            (options.out / f"{name}.png").write_bytes(png(figure))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", help="shipped model or folder")
    parser.add_argument("--data", required=True, help="Geant4 showers; the last fifth is used")
    parser.add_argument("--out", required=True, type=Path, help="folder for pictures and numbers")
    parser.add_argument("--count", type=int, default=1000, help="showers at most")
    parser.add_argument("--seed", type=int, default=1)
    return parser.parse_args()


def _cells(cells: Showers, geometry: Geometry) -> Hits:
    assert cells.cells is not None
    x, y, _ = geometry.cell_positions[cells.cells].T.astype(np.float64)
    layer = geometry.cell_layer[cells.cells].astype(np.float64)
    return Hits(len(cells), cells.shower, x, y, layer, cells.energy.astype(np.float64))


def _direct(simulator: Simulator, incident: Incident, seed: int) -> Iterator[Hits]:
    model = simulator.model
    assert isinstance(model, CaloPointFlow)
    for first in range(0, len(incident), BLOCK):
        rows = np.arange(first, min(first + BLOCK, len(incident)))
        particles = Particles.of(incident[rows[0] : rows[-1] + 1])
        with torch.no_grad():
            cloud = model.direct(particles, StreamNoise(seed, rows))
        x, y, layer, hit = cloud.points.double().numpy().T
        yield Hits(len(rows), np.repeat(np.arange(len(rows)), cloud.counts), x, y, layer, hit)


def _drawn(simulator: Simulator, incident: Incident, way: str, seed: int) -> Hits:
    weights, placement = way.split(", ")
    changed = simulator.with_sampler(weights=weights, placement=placement)
    return _cells(changed(incident, seed=seed, batch_size=BLOCK), simulator.geometry)


def _joined(parts: list[Hits]) -> Hits:
    starts = np.cumsum([0, *(p.showers for p in parts)])
    shower = np.concatenate([p.shower + s for p, s in zip(parts, starts, strict=False)])
    names = ("x", "y", "layer", "energy")
    columns = (np.concatenate([getattr(p, name) for p in parts]) for name in names)
    return Hits(int(starts[-1]), shower, *columns)


def _numbers(sample: Hits, reference: Hits, geometry: Geometry) -> dict[str, float]:
    """Ratios to Geant4: hits, energy, soft hits, and what lies in the tails."""
    ratios = {
        "hits": len(sample.energy) / len(reference.energy),
        "energy": float(sample.energy.sum() / reference.energy.sum()),
    }
    if geometry.threshold:
        limit = SOFT * geometry.threshold
        ratios["soft hits"] = float((sample.energy < limit).sum() / (reference.energy < limit).sum())
    for axis in ("x", "y", "layer"):
        middle = float(np.average(reference.layer, weights=reference.energy)) if axis == "layer" else 0.0
        far, known = (np.abs(getattr(hits, axis) - middle) for hits in (sample, reference))
        for what, weights in (("hits", None), ("energy", reference.energy)):
            edge = _quantile(known, weights)
            parts = [
                float((values >= edge).sum() if weights is None else hits.energy[values >= edge].sum())
                for values, hits in ((far, sample), (known, reference))
            ]
            ratios[f"{what} in the tails of {axis}"] = parts[0] / parts[1]
    return ratios


def _quantile(values: NDArray[np.float64], weights: NDArray[np.float64] | None) -> float:
    order = np.argsort(values)
    share = np.cumsum(np.ones(len(values)) if weights is None else weights[order])
    return float(values[order][np.searchsorted(share, TAIL * share[-1])])


def _print(numbers: dict[str, dict[str, float]]) -> None:
    print("relative to Geant4".ljust(28) + "".join(name.rjust(20) for name in numbers))
    for key in next(iter(numbers.values())):
        print(key.ljust(28) + "".join(f"{values[key]:20.3f}" for values in numbers.values()))


def _figures(samples: dict[str, Hits], reference: Hits, geometry: Geometry) -> Iterator[tuple[str, Figure]]:
    x, y = (_lateral_edges(geometry.cell_positions[:, k].astype(np.float64)) for k in (0, 1))
    layers = np.arange(geometry.n_layers + 1.0)
    for name, edges, label in (
        ("x", x, "x [mm]"),
        ("y", y, "y [mm]"),
        ("layer", layers, "layer"),
    ):
        for weights, what in ((False, "hits"), (True, "energy [MeV]")):
            axis = Axis(x=label, y=f"{what} per shower", log_y=True)
            figure = _figure(samples, reference, name, edges, axis, weights=weights)
            yield f"profile_{name}_{'energy' if weights else 'hits'}", figure
    quantiles = CellQuantiles()
    quantiles.add(reference.energy)
    low, high = quantiles.edges()
    names = (f"below {low:g} MeV", f"{low:g} to {high:g} MeV", f"above {high:g} MeV")
    ends = np.array([0.0, low, high, np.inf])
    for weights, what in ((False, "hits"), (True, "energy [MeV]")):
        curves = {n: h.histogram(_regime(h, ends), np.arange(4.0), weights) for n, h in samples.items()}
        truth = reference.histogram(_regime(reference, ends), np.arange(4.0), weights)
        axis = Axis(x="cell energy", y=f"{what} per shower", names=names)
        yield f"regimes_{'energy' if weights else 'hits'}", ratio_figure(np.arange(4.0), truth, curves, axis)
    spectrum = np.geomspace(reference.energy.min() * 0.5, reference.energy.max() * 2, 60)
    axis = Axis(x="cell energy [MeV]", y="hits per shower", log_x=True, log_y=True)
    yield "spectrum", _figure(samples, reference, "energy", spectrum, axis, weights=False)


def _lateral_edges(centres: NDArray[np.float64]) -> NDArray[np.float64]:
    """Between the columns of cells, or even ones where there are too many columns."""
    columns = np.unique(centres.round(3))
    if not 1 < len(columns) < 64:
        half = float(np.abs(centres).max()) * 1.05
        return np.linspace(-half, half, 32)
    middles = 0.5 * (columns[1:] + columns[:-1])
    return np.concatenate([[2 * columns[0] - middles[0]], middles, [2 * columns[-1] - middles[-1]]])


def _regime(hits: Hits, ends: NDArray[np.float64]) -> NDArray[np.float64]:
    return (np.searchsorted(ends, hits.energy, side="right") - 1).astype(np.float64)


def _figure(
    samples: dict[str, Hits],
    reference: Hits,
    column: str,
    edges: NDArray[np.float64],
    axis: Axis,
    *,
    weights: bool,
) -> Figure:
    curves = {n: h.histogram(getattr(h, column), edges, weights) for n, h in samples.items()}
    return ratio_figure(edges, reference.histogram(getattr(reference, column), edges, weights), curves, axis)


if __name__ == "__main__":
    main()
