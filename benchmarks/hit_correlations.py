"""Correlations between the hits of single cells: Geant4's, a model's, and their difference, as a picture.

python benchmarks/hit_correlations.py --reference photons.h5 --generated Pyramid=pyramid.h5 \
  --part report --out docs/images/hit-correlations.png

The Calorimeter Pyramid's figure: Pearson coefficients of hit or not, between all pairs of some cells. They
are those of some layers (--layers 10:12) whose hits vary most in the reference, in the order of layer and
distance from the axis. The noise of two samples of Geant4 stands beside the models' differences. Below are
the numbers of hits in the rings (or blocks of 5 x 5 square cells) that have any, and of hit neighbours.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from caloforge.evaluation.papers.pyramid import coefficients
from caloforge.evaluation.sources import Source, geometry_of, open_reader, open_source
from caloforge.features import read_out
from caloforge.geometry import load_geometry
from caloforge.geometry.neighbours import cell_groups, neighbours
from caloforge.report.lines import REFERENCE, model_styles
from caloforge.report.style import new_figure, png, style

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from caloforge.geometry import Geometry

BLOCK = 100
FLOOR = "other Geant4 showers"


@dataclass(frozen=True)
class Hits:
    """What is counted of one sample.

    Attributes:
        showers: Their number.
        single: Showers in which each cell is hit, ``(n_cells,)``.
        joint: Showers in which two of the chosen cells are hit, ``(K, K)``; empty without chosen ones.
        groups: Rings or blocks with 1, 2, ... hits, over all showers.
        pairs: Hit neighbours in a layer for each hit, of every shower.
    """

    showers: int
    single: NDArray[np.float64]
    joint: NDArray[np.float64]
    groups: NDArray[np.int64]
    pairs: NDArray[np.float64]

    def matrix(self) -> NDArray[np.float64]:
        """Pearson coefficients of the chosen cells, ``(K, K)``."""
        single = np.diag(self.joint)
        return coefficients(self.joint, single[:, None], single[None, :], self.showers)


def count(source: Source, geometry: Geometry, chosen: NDArray[np.int64]) -> Hits:
    """Count the hits of a sample, block by block."""
    group, groups = cell_groups(geometry)
    beside = [index for name, index in neighbours(geometry).items() if "layer" not in name]
    largest = int(np.bincount(group).max())
    single, joint = np.zeros(geometry.n_cells), np.zeros((len(chosen), len(chosen)))
    inside, pairs = np.zeros(largest + 1, np.int64), []
    for start in range(0, len(source), BLOCK):
        showers = read_out(source.read(start, start + BLOCK), geometry)
        # one column more than cells, never hit, is where the neighbour -1 points to
        image = np.zeros((len(showers), geometry.n_cells + 1), np.bool_)
        image[showers.shower, showers.cells] = True
        single += image[:, :-1].sum(axis=0)
        picked = image[:, chosen].astype(np.float64)
        joint += picked.T @ picked
        key = showers.shower * groups + group[showers.cells]
        filled = np.bincount(key)
        inside += np.bincount(filled[filled > 0], minlength=largest + 1)
        near = sum(image[:, :-1] & image[:, index] for index in beside)
        pairs.append(near.sum(axis=1) / np.maximum(showers.n_hits, 1))
    return Hits(len(source), single, joint, inside[1:], np.concatenate(pairs))


def choose(first: Hits, geometry: Geometry, layers: tuple[int, int], cells: int) -> NDArray[np.int64]:
    """The cells of some layers whose hits vary most, by layer and distance from the axis."""
    rate = first.single / first.showers
    wanted = (geometry.cell_layer >= layers[0]) & (geometry.cell_layer <= layers[1])
    variance = np.where(wanted, rate * (1 - rate), 0.0)
    found = np.argsort(-variance, kind="stable")[:cells]
    found = found[variance[found] > 0]
    radius = np.linalg.norm(geometry.cell_positions[found, :2], axis=1)
    return found[np.lexsort((radius, geometry.cell_layer[found]))]


def open_all(options: argparse.Namespace) -> tuple[Geometry, Source, Source | None, dict[str, Source]]:
    """The reference, other showers of its file, and the models."""
    geometry = load_geometry(options.geometry) if options.geometry else None
    reference = open_source(REFERENCE, options.reference, geometry=geometry, part=options.part)
    found = geometry_of(reference, geometry)
    spare = reference.spare(len(reference))
    if reference.rows is None:  # those just before it
        first = reference.start
        spare = [(reference.showers, max(first - len(reference), 0), first)] if first else []
    other = Source(FLOOR, *spare[0]) if spare else None
    models = {}
    for entry in options.generated:
        name, _, path = entry.partition("=")
        model = open_reader(path, found)
        models[name] = Source(name, model, 0, min(len(model), len(reference)))
    return found, reference, other, models


def draw(samples: dict[str, Hits], layers: NDArray[np.int64], limit: float) -> bytes:
    """Matrices above, numbers of hits in groups and of hit neighbours below."""
    first = samples[REFERENCE].matrix()
    titles = [REFERENCE, *(f"{name} − {REFERENCE}" for name in samples if name != REFERENCE)]
    pictures = [first, *(h.matrix() - first for name, h in samples.items() if name != REFERENCE)]
    edges = np.flatnonzero(np.diff(layers)) + 0.5
    with style():
        figure = new_figure(5.6 * len(pictures), 11.0, layout="constrained")
        grid = figure.add_gridspec(2, 2 * len(pictures))
        for k, (title, values) in enumerate(zip(titles, pictures, strict=True)):
            axes = figure.add_subplot(grid[0, 2 * k : 2 * k + 2])
            shown = np.where(np.eye(len(values), dtype=bool), np.nan, values)
            bound = 1.0 if k == 0 else limit
            mesh = axes.imshow(shown, cmap="RdBu_r", vmin=-bound, vmax=bound, interpolation="nearest")
            axes.set_title(title, fontsize=15)
            axes.minorticks_off()
            for edge in edges:
                axes.axhline(edge, color="black", linewidth=0.4)
                axes.axvline(edge, color="black", linewidth=0.4)
            axes.set(xlabel="cell", ylabel="cell")
            figure.colorbar(mesh, ax=axes, shrink=0.8)
        below = [
            figure.add_subplot(grid[1, : len(pictures)]),
            figure.add_subplot(grid[1, len(pictures) :]),
        ]
        _histograms(below, samples)
        return png(figure)


def _histograms(axes: Sequence, samples: dict[str, Hits]) -> None:  # type: ignore[type-arg]
    looks = model_styles([name for name in samples if name not in (REFERENCE, FLOOR)])
    ends = np.quantile(samples[REFERENCE].pairs, [0.0, 1.0])
    bins = np.linspace(ends[0] - 0.1, ends[1] + 0.1, 41)
    for name, hits in samples.items():
        colour, dashes = looks.get(name, ("black" if name == REFERENCE else "grey", "-"))
        line = {"color": colour, "linestyle": dashes, "label": name, "linewidth": 1.8}
        axes[0].stairs(hits.groups / hits.showers, np.arange(len(hits.groups) + 1) + 0.5, **line)
        axes[1].stairs(np.histogram(hits.pairs, bins)[0] / hits.showers, bins, **line)
    axes[0].set(xlabel="hits in a ring or block", ylabel="rings or blocks per shower", yscale="log")
    axes[1].set(xlabel="hit neighbours per hit", ylabel="share of the showers")
    for part in axes:
        part.legend(fontsize=13)


def numbers(samples: dict[str, Hits]) -> dict[str, dict[str, float]]:
    """RMS difference of the coefficients and mean hit neighbours per hit of every sample."""
    first = samples[REFERENCE].matrix()
    above = np.triu_indices(len(first), k=1)
    return {
        name: {
            "showers": hits.showers,
            "rms_difference": float(np.sqrt(np.mean(np.square(hits.matrix() - first)[above]))),
            "neighbours_per_hit": float(hits.pairs.mean()),
            "hits_per_hit_group": float(hits.groups @ np.arange(1, len(hits.groups) + 1) / hits.groups.sum()),
        }
        for name, hits in samples.items()
    }


def main() -> None:
    """Read the command line, count, draw."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--reference", type=Path, required=True)
    parser.add_argument("--part", default="report", help="of the reference; others make the floor")
    parser.add_argument("--generated", action="append", default=[], metavar="NAME=FILE")
    parser.add_argument("--geometry", help="where the reference does not tell")
    parser.add_argument("--layers", default="", metavar="A:B", help="default: all layers")
    parser.add_argument("--cells", type=int, default=150, help="at most so many")
    parser.add_argument("--limit", type=float, default=0.2, help="end of the colours of differences")
    parser.add_argument("--out", type=Path, required=True, help="PNG; a JSON file of the same name is beside")
    options = parser.parse_args()
    geometry, reference, other, models = open_all(options)
    low, _, high = options.layers.partition(":")
    layers = (int(low or 0), int(high or low or geometry.n_layers - 1))
    chosen = choose(count(reference, geometry, np.empty(0, np.int64)), geometry, layers, options.cells)
    given = {REFERENCE: reference, **({FLOOR: other} if other is not None else {}), **models}
    samples = {name: count(source, geometry, chosen) for name, source in given.items()}
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_bytes(draw(samples, geometry.cell_layer[chosen], options.limit))
    found = {"cells": len(chosen), "layers": list(layers), "samples": numbers(samples)}
    print(json.dumps(found, indent=2))
    options.out.with_suffix(".json").write_text(json.dumps(found, indent=2), encoding="utf-8")


if __name__ == "__main__":
    main()
