"""The same events in Geant4 and with a model in it, compared.

    python examples/fast_simulation.py mosaic:siw-ecal-angles --out both-ways

Single photons at several angles and places, pairs of photons of neutral pions, and something like jets, of
which the model takes over what it knows. Jets need the data sets of hadrons: without them they are left out.
Prints a table, writes ``both-ways.png`` and the events themselves; what is there already is not made again.
"""

from __future__ import annotations

import argparse
import io
import logging
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from caloforge.errors import MissingDependencyError
from caloforge.formats import open_showers
from caloforge.geant4 import Simulation
from caloforge.geant4 import simulate as simulate_full
from caloforge.integration import FastSettings, simulate_fast
from caloforge.integration.pairs import find_pairs, pair_masses
from caloforge.integration.profiles import Profiles, profiles
from caloforge.integration.samples import PION_MASS, jets, neutral_pions, single_photons
from caloforge.report.curves import histogram, shower_mean
from caloforge.report.ratio import Axis, ratio_figure
from caloforge.report.style import png, style
from caloforge.units import DEGREE
from caloforge.zoo import load_simulator

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from caloforge.events import Events
    from caloforge.geometry import Geometry

VERTEX = 2400.0  # mm in front of the calorimeter, as far as an end cap is
RINGS = np.arange(0.0, 61.0, 5.0)
MASSES = np.arange(115.0, 156.0, 4.0)
PEAK = (100.0, 170.0)  # MeV
KINDS = ("photons", "pions", "jets")


def events_of(kind: str, count: int, seed: int) -> Events:
    """Photons of 12 to 80 GeV at 0, 20 and 40 degrees; pions of 30 to 45 GeV; jets of 150 GeV."""
    if kind == "photons":
        angles = np.array([0.0, 20.0, 40.0]) * DEGREE
        return single_photons(count, energy=(12e3, 80e3), angles=angles, spread=20.0, seed=seed)
    if kind == "pions":
        return neutral_pions(
            count, energy=(30e3, 45e3), spread=15.0, seed=seed, asymmetry=0.3, distance=VERTEX
        )
    return jets(count, energy=150e3, spread=12.0, seed=seed, distance=VERTEX)


class Runs:
    """Makes the events of one kind, both ways, in files of a folder.

    Args:
        arguments: Of the command line.
        geometry: Of the model.
    """

    def __init__(self, arguments: argparse.Namespace, geometry: Geometry) -> None:
        self.folder: Path = arguments.out
        self.geometry, self.arguments = geometry, arguments
        self.settings = FastSettings(arguments.model)

    def both(self, kind: str, scoring: str, count: int) -> tuple[Path, Path]:
        """Files of Geant4 alone and of both."""
        simulation = Simulation(
            self.geometry,
            events_of(kind, count, self.arguments.seed),
            seed=self.arguments.seed,
            scoring=scoring,  # type: ignore[arg-type]
            readout=scoring == "steps",
            data=self.arguments.geant4_data,
        )
        full, fast = (self.folder / f"{kind}-{scoring}-{way}.h5" for way in ("full", "fast"))
        if not full.exists():
            simulate_full(simulation, out=full, count=count)
        if not fast.exists():
            simulate_fast(simulation, self.settings, out=fast, count=count)
        return full, fast

    def profiles(self, path: Path) -> Profiles:
        """What is compared of a file."""
        with open_showers(path) as reader:
            return profiles(reader.blocks(), self.geometry, edges=RINGS)

    def masses(self, path: Path, response: float) -> np.ndarray:
        """Masses of pairs of reconstructed clusters [MeV], without events of one cluster."""
        with open_showers(path) as reader:
            parts = [
                pair_masses(find_pairs(block, self.geometry), response=response, distance=VERTEX)
                for block in reader.blocks(100)
            ]
        found = np.concatenate(parts)
        return found[np.isfinite(found)]


def figures(kind: str, full: Profiles, fast: Profiles) -> list[Figure]:
    """Response, hits, depth and width of one kind of events."""
    drawn = []
    for name, label in (("weighted", "weighted energy / energy"), ("hits", "cells above threshold")):
        values = [getattr(p, name) / (p.energy if name == "weighted" else 1.0) for p in (full, fast)]
        low, high = np.quantile(np.concatenate(values), [0.005, 0.995])
        edges = np.linspace(low, high + 1e-9 * abs(high), 16)
        axis = Axis(f"{label} ({kind})", "share of the events")
        curves = [histogram(v, edges) for v in values]
        drawn.append(ratio_figure(edges, curves[0], {"with the model": curves[1]}, axis))
    layers = np.arange(full.depth.shape[1] + 1) - 0.5
    for name, edges, label in (("depth", layers, "layer"), ("width", RINGS, "distance to the centre [mm]")):
        curves = [shower_mean(getattr(p, name)) for p in (full, fast)]
        axis = Axis(f"{label} ({kind})", "mean energy [MeV]", log_y=name == "width")
        drawn.append(ratio_figure(edges, curves[0], {"with the model": curves[1]}, axis))
    return drawn


def mass_figure(full: np.ndarray, fast: np.ndarray) -> Figure:
    """Masses of pairs of clusters."""
    axis = Axis("mass of two clusters [MeV]", "share of the events")
    curves = [histogram(values, MASSES) for values in (full, fast)]
    mark = (PION_MASS, "neutral pion")
    return ratio_figure(MASSES, curves[0], {"with the model": curves[1]}, axis, mark=mark)


def mounted(rows: list[list[bytes]]) -> Image.Image:
    """Pictures in rows."""
    images = [[Image.open(io.BytesIO(data)).convert("RGB") for data in row] for row in rows]
    width = max(sum(i.width for i in row) for row in images)
    whole = Image.new("RGB", (width, sum(row[0].height for row in images)), "white")
    top = 0
    for row in images:
        left = 0
        for image in row:
            whole.paste(image, (left, top))
            left += image.width
        top += row[0].height
    return whole.resize((whole.width // 2, whole.height // 2), Image.Resampling.LANCZOS)


def pull(a: np.ndarray, b: np.ndarray) -> str:
    """Mean of b over that of a, less one, with its error."""
    error = np.hypot(a.std() / len(a) ** 0.5 / a.mean(), b.std() / len(b) ** 0.5 / b.mean())
    return f"{100 * (b.mean() / a.mean() - 1):+.1f} ± {100 * error:.1f} %"


def tell(kind: str, full: Profiles, fast: Profiles) -> None:
    """Print the comparison of one kind."""
    response = [p.weighted / p.energy for p in (full, fast)]
    radius = [(p.width @ (0.5 * (RINGS[1:] + RINGS[:-1]))) / p.width.sum(axis=1) for p in (full, fast)]
    depth = [(p.depth @ np.arange(p.depth.shape[1])) / p.depth.sum(axis=1) for p in (full, fast)]
    share = fast.replaced_energy.sum() / fast.energy.sum()
    print(
        f"\n{kind}: {len(full.energy)} events, {fast.replaced.sum():.0f} particles replaced, "
        f"{100 * share:.1f} % of the energy"
    )
    print(f"  response          {response[0].mean():.5f}  {pull(*response)}")
    print(
        f"  its width         {100 * response[0].std() / response[0].mean():.2f} %  "
        f"{100 * response[1].std() / response[1].mean():.2f} %"
    )
    hits = [1e3 * p.hits / p.energy for p in (full, fast)]
    print(f"  hits a GeV        {hits[0].mean():.2f}  {pull(*hits)}")
    print(f"  depth [layers]    {depth[0].mean():.2f}  {pull(*depth)}")
    print(f"  mean radius [mm]  {radius[0].mean():.2f}  {pull(*radius)}")


def arguments_of() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("model", help="a trained model, see `caloforge models`")
    parser.add_argument("--out", type=Path, default=Path("both-ways"))
    parser.add_argument("--events", type=int, default=200, help="of every kind")
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=KINDS)
    parser.add_argument("--timed", type=int, default=40, help="events of every kind for the clock")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--geant4-data", type=Path, default=None)
    return parser.parse_args()


def tell_rates(full: tuple[Profiles, Profiles], fast: tuple[Profiles, Profiles]) -> None:
    """Print events a second of one core, hits from steps in Python, and cells summed in C++."""
    for n, scoring in ((1, "cells summed in C++"), (0, "steps in Python")):
        rates = full[n].rate, fast[n].rate
        print(
            f"  events a second   {rates[0]:.3g} in Geant4, {rates[1]:.3g} with the model "
            f"(x {rates[1] / rates[0]:.3g}), {scoring}"
        )


def tell_masses(masses: list[np.ndarray]) -> None:
    """Print where the mass of two clusters lies, its peak alone."""
    for way, found in zip(("Geant4", "with the model"), masses, strict=True):
        peak = found[(found > PEAK[0]) & (found < PEAK[1])]
        middle, width = (peak.mean(), peak.std()) if len(peak) else (np.nan, np.nan)
        print(
            f"  mass, {way}: {len(found)} pairs of clusters, {len(peak)} in the peak, {middle:.1f} ± "
            f"{width / max(len(peak), 1) ** 0.5:.1f} MeV, width {width:.1f} MeV"
        )


def one_kind(runs: Runs, kind: str) -> list[bytes]:
    """Make, compare and draw the events of one kind."""
    files = runs.both(kind, "steps", runs.arguments.events)
    timed = runs.both(kind, "cells", runs.arguments.timed)
    full, fast = (tuple(map(runs.profiles, pair)) for pair in zip(files, timed, strict=True))
    tell(kind, full[0], fast[0])
    tell_rates(full, fast)
    drawn = figures(kind, full[0], fast[0])
    if kind == "pions":
        response = full[0].weighted.sum() / full[0].energy.sum()
        masses = [runs.masses(path, response) for path in files]
        tell_masses(masses)
        drawn[1] = mass_figure(*masses)  # in the place of the hits
    return [png(figure) for figure in drawn]


def main() -> None:
    """Make the events, compare, draw."""
    logging.basicConfig(level=logging.WARNING)
    arguments = arguments_of()
    arguments.out.mkdir(parents=True, exist_ok=True)
    runs, rows = Runs(arguments, load_simulator(arguments.model).geometry), []
    with style():
        for kind in arguments.kinds:
            try:
                rows.append(one_kind(runs, kind))
            except MissingDependencyError as error:
                print(f"{kind} are left out: {error}")
    picture = mounted(rows).quantize(64, dither=Image.Dither.NONE)
    picture.save(arguments.out / "both-ways.png", optimize=True)


if __name__ == "__main__":
    main()
