"""Figures of the trained models' cards: showers of each model beside those of Geant4, of the same particles.

    python benchmarks/zoo_figures.py siw_photons.h5 cylinder_electrons_ds2.hdf5 ...

Every file serves the shipped models of its read-out that it has the particles for; the last fifth of its
showers counts, which no training saw. Figures are docs/images/zoo/MODEL-TAG.webp.
"""

from __future__ import annotations

import argparse
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

import caloforge
from caloforge.geometry import project
from caloforge.report.style import REFERENCE, new_figure
from caloforge.split import Split
from caloforge.zoo import read_card, shipped_models

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from matplotlib.figure import Figure

FOLDER = Path(__file__).parents[1] / "docs" / "images" / "zoo"
MOST = 500
BLUE, GREY = "#3f90da", "#c9cdd2"
Array = NDArray[np.float64]
logger = logging.getLogger("zoo_figures")


class Panel(NamedTuple):
    """Weights in bins, of showers that are read out.

    Attributes:
        title: Label of the axis.
        values: Where hits or showers are on it, and what each weighs.
        log: Whether bins grow with the value, and both axes are logarithmic.
    """

    title: str
    values: Callable[[caloforge.Showers, caloforge.Geometry], tuple[Array, Array]]
    log: bool = False


def layers(showers: caloforge.Showers, geometry: caloforge.Geometry) -> tuple[Array, Array]:
    return geometry.cell_layer[showers.cells].astype(float), showers.energy / len(showers)


def radii(showers: caloforge.Showers, geometry: caloforge.Geometry) -> tuple[Array, Array]:
    """Distances from the shower's centre of gravity in x and y [mm]."""
    where, sums = geometry.cell_positions[showers.cells][:, :2], np.maximum(showers.visible_energy, 1e-9)
    centre = np.stack(
        [np.bincount(showers.shower, showers.energy * x, len(showers)) / sums for x in where.T], axis=1
    )
    return np.hypot(*(where - centre[showers.shower]).T), showers.energy / len(showers)


def cells(showers: caloforge.Showers, _: caloforge.Geometry) -> tuple[Array, Array]:
    return showers.energy.astype(float), np.full(len(showers.energy), 1 / len(showers))


def response(showers: caloforge.Showers, _: caloforge.Geometry) -> tuple[Array, Array]:
    return 100 * showers.visible_energy / showers.incident.energy, np.full(len(showers), 1 / len(showers))


def hits(showers: caloforge.Showers, _: caloforge.Geometry) -> tuple[Array, Array]:
    return showers.n_hits.astype(float), np.full(len(showers), 1 / len(showers))


def depth(showers: caloforge.Showers, geometry: caloforge.Geometry) -> tuple[Array, Array]:
    sums = np.maximum(showers.visible_energy, 1e-9)
    weighted = showers.energy * geometry.cell_layer[showers.cells]
    return np.bincount(showers.shower, weighted, len(showers)) / sums, np.full(len(showers), 1 / len(showers))


PANELS = (
    Panel("layer: energy [MeV]", layers),
    Panel("distance from the axis [mm]: energy [MeV]", radii),
    Panel("energy of a cell [MeV]: cells", cells, log=True),
    Panel("visible over incident energy [%]", response),
    Panel("hits", hits),
    Panel("mean layer of a shower", depth),
)


def edges(panel: Panel, values: Array, weights: Array) -> Array:
    if panel.log:
        return np.geomspace(values.min(), values.max() * 1.05, 31)
    if panel.values is layers:
        return np.arange(values.max() + 2) - 0.5
    order = np.argsort(values)
    shares = np.cumsum(weights[order]) / weights.sum()
    low, high = np.interp([0.002, 0.998], shares, values[order])
    return np.linspace(0, high, 9) if panel.values is radii else np.linspace(low, high, 19)


def draw(name: str, pair: Sequence[caloforge.Showers], geometry: caloforge.Geometry) -> Figure:
    figure = new_figure(12.0, 7.0, layout="constrained")
    grid = figure.add_gridspec(4, 3, height_ratios=(3, 1, 3, 1))
    for number, panel in enumerate(PANELS):
        row, column = divmod(number, 3)
        top, bottom = (figure.add_subplot(grid[2 * row + part, column]) for part in (0, 1))
        draw_panel(panel, (top, bottom), pair, geometry, name)
    return figure


def draw_panel(panel: Panel, axes: Any, pair: Sequence[caloforge.Showers], geometry: Any, name: str) -> None:
    (top, bottom), sides = axes, [panel.values(showers, geometry) for showers in pair]
    bins = edges(panel, *sides[0])
    real, made = (np.histogram(values, bins, weights=weights)[0] for values, weights in sides)
    # errors of independent entries, of both sides
    spread = [np.sqrt(np.histogram(v, bins, weights=w**2)[0]) for v, w in sides]
    top.stairs(real, bins, fill=True, color=GREY, label=REFERENCE)
    top.stairs(made, bins, color=BLUE, linewidth=1.6, label=name)
    steep = panel.log or panel.values is radii
    top.set(xscale="log" if panel.log else "linear", yscale="log" if steep else "linear")
    top.tick_params(labelbottom=False)
    known = real > 0
    ratio = np.divide(made, real, where=known, out=np.full(len(real), np.nan))
    error = np.divide(np.hypot(*spread), real, where=known, out=np.zeros(len(real)))
    bottom.fill_between((bins[1:] + bins[:-1]) / 2, 1 - error, 1 + error, color=GREY, step="mid", linewidth=0)
    bottom.axhline(1.0, color="black", linewidth=0.7)
    bottom.stairs(ratio, bins, baseline=None, color=BLUE, linewidth=1.6)
    bottom.set(ylim=(0.7, 1.3), xlabel=panel.title, xscale=top.get_xscale())
    if panel.values is layers:
        top.legend(frameon=False, loc="upper left")


def reference(path: Path) -> tuple[caloforge.Showers, caloforge.Geometry]:
    with caloforge.open_showers(path) as reader:
        rows = Split.of(reader.incident()).rows("report", MOST)
        showers = caloforge.Showers.concatenate([reader.read(int(row), int(row) + 1) for row in rows])
        geometry = reader.geometry
    return project(showers, geometry) if showers.cells is None else showers, geometry


def serves(name: str, showers: caloforge.Showers, geometry: caloforge.Geometry) -> bool:
    card = read_card(name)
    particles = set(showers.incident.pdg.tolist())
    leans = float(showers.incident.theta.max()) > 0.01
    return card.geometry == geometry and particles <= set(card.particles) and leans == (card.theta > 0.01)


def main() -> None:
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("files", nargs="+", type=Path)
    parser.add_argument("--model", action="append", help="only this one")
    arguments = parser.parse_args()
    FOLDER.mkdir(parents=True, exist_ok=True)
    for path in arguments.files:
        showers, geometry = reference(path)
        for name in arguments.model or shipped_models():
            if serves(name, showers, geometry):
                made = caloforge.generate(name, showers, seed=1)
                out = FOLDER / f"{name.replace(':', '-')}.webp"
                figure = draw(name, (showers, made), geometry)
                figure.savefig(out, dpi=85, pil_kwargs={"quality": 75})
                logger.info("%s of %s: %s", name, path.name, out.name)


if __name__ == "__main__":
    main()
