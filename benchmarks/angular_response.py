"""Measured angles and visible energies of showers at single angles and energies: figure 2 of 2309.16584.

python benchmarks/angular_response.py --point 50-30.h5=model50-30.h5 ... --out docs/images/bibae-response.png

Every point is a file of Geant4 showers of one energy and angle, and one of generated showers of the same
particles and read-out. The table has, of both: mean and spread of the angle between the principal axis and
the depth, mean and resolution of the visible energy (mu90, sigma90 / mu90), and the place of the peak of
single particles in the spectrum of the cells. Errors are those of resampled showers.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from caloforge.evaluation.papers.intervals import core
from caloforge.evaluation.papers.mip import spectrum_peak
from caloforge.features import derive_binning, feature_table
from caloforge.formats import open_showers
from caloforge.report.lines import REFERENCE, model_styles
from caloforge.report.style import new_figure, png, style
from caloforge.units import DEGREE, GEV
from tables import table

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    from caloforge.features import Binning, FeatureTable

RESAMPLES = 200
BINS = 20


@dataclass(frozen=True)
class Point:
    """Showers of one energy and angle.

    Attributes:
        energy: Of the particles [GeV].
        theta: Their angle from the perpendicular [degrees].
        samples: Observables, by name: Geant4 and the model.
        peaks: The peak of the cells' spectrum [MeV], by name.
    """

    energy: float
    theta: float
    samples: dict[str, FeatureTable]
    peaks: dict[str, float]

    @property
    def angle(self) -> float:
        """As the paper counts angles, from the front face [degrees]."""
        return 90 - self.theta

    @property
    def name(self) -> str:
        """Energy and angle."""
        return f"{self.energy:.0f} GeV, {self.angle:.0f}°"


def read(entry: str, model: str) -> Point:
    """Observables of ``GEANT4=GENERATED``."""
    first, _, second = entry.partition("=")
    samples, peaks = {}, {}
    binning: Binning | None = None
    for name, path in ((REFERENCE, first), (model, second)):
        with open_showers(Path(path)) as reader:
            if reader.geometry is None:
                msg = f"{path} does not tell its geometry"
                raise SystemExit(msg)
            binning = binning or derive_binning(reader, reader.geometry)
            samples[name] = feature_table(reader, reader.geometry, binning=binning)
            found = spectrum_peak(binning.spectrum, samples[name].total("spectrum"))
            peaks[name] = np.nan if found is None else found.position
    known = samples[REFERENCE]
    return Point(float(known["energy"].mean() / GEV), float(known["theta"].mean() / DEGREE), samples, peaks)


def with_error(values: NDArray[np.floating], rng: np.random.Generator) -> dict[str, tuple[float, float]]:
    """Mean, standard deviation, mu90 and sigma90 / mu90, each with its error."""
    draws = values[
        np.concatenate(
            [np.arange(len(values))[None], rng.integers(len(values), size=(RESAMPLES, len(values)))]
        )
    ]
    cores = core(draws)
    numbers = {
        "mean": draws.mean(1),
        "spread": draws.std(1),
        "mu90": cores[:, 0],
        "resolution": 100 * cores[:, 1] / cores[:, 0],
    }
    return {name: (float(column[0]), float(column[1:].std())) for name, column in numbers.items()}


def rows(points: list[Point]) -> list[tuple[str, ...]]:
    """The table: a row for every point and sample."""
    found = []
    for point in points:
        for name, sample in point.samples.items():
            rng = np.random.default_rng(0)
            angle = with_error(sample["axis_theta"] / DEGREE, rng)
            energy = with_error(sample["visible"] / GEV, rng)
            cells = [angle["mean"], angle["spread"], energy["mu90"], energy["resolution"]]
            told = [f"{value:.3g} ± {error:.1g}" for value, error in cells]
            found.append((point.name, name, *told, f"{point.peaks[name]:.4f}"))
    return found


def draw(points: list[Point]) -> bytes:
    """Angles on the left, visible energies on the right: Geant4 filled, the model as lines."""
    common = (np.median([p.energy for p in points]), np.median([p.theta for p in points]))
    columns = (
        ("axis_theta", DEGREE, "angle of the principal axis [°]", "{p.angle:.0f}°"),
        ("visible", GEV, "visible energy [GeV]", "{p.energy:.0f} GeV"),
    )
    shown = (
        [p for p in points if abs(p.energy - common[0]) < 1],
        [p for p in points if abs(p.theta - common[1]) < 1],
    )
    with style():
        figure = new_figure(11.0, 4.2, layout="constrained")
        for place, ((column, unit, title, told), some) in enumerate(zip(columns, shown, strict=True)):
            axes = figure.add_subplot(1, 2, place + 1)
            for point in some:
                top = draw_point(axes, point, column, unit)
                middle = np.median(point.samples[REFERENCE][column] / unit)
                axes.text(middle, 1.05 * top, told.format(p=point), ha="center", va="bottom")
            axes.margins(y=0.15)
            axes.set_xlabel(title)
            axes.set_ylabel("density")
        handles = dict(zip(*reversed(axes.get_legend_handles_labels()), strict=True))
        axes.legend(handles.values(), handles.keys(), loc="upper right")
        return png(figure)


def draw_point(axes: Axes, point: Point, column: str, unit: float) -> float:
    """Histograms of one column of the showers of a point; the height of the tallest."""
    look = model_styles([name for name in point.samples if name != REFERENCE])
    whole = np.concatenate([sample[column] for sample in point.samples.values()]) / unit
    edges = np.linspace(*np.quantile(whole, [0.002, 0.998]), BINS + 1)
    top = 0.0
    for name, sample in point.samples.items():
        options: dict[str, Any] = {"histtype": "stepfilled", "alpha": 0.4, "color": "grey"}
        if name != REFERENCE:
            options = {"histtype": "step", "color": look[name].colour, "ls": look[name].dashes}
        heights, *_ = axes.hist(sample[column] / unit, bins=edges, density=True, label=name, **options)
        top = max(top, float(np.max(heights)))
    return top


def main() -> None:
    """Write the picture, print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--point", action="append", required=True, metavar="GEANT4=GENERATED")
    parser.add_argument("--name", default="BIB-AE", help="of the model")
    parser.add_argument("--out", type=Path, required=True, metavar="PNG")
    options = parser.parse_args()
    points = [read(entry, options.name) for entry in options.point]
    options.out.write_bytes(draw(points))
    head = (
        "photons, the paper's angle",
        "showers",
        "angle [°]",
        "spread",
        "visible, mu90 [GeV]",
        "sigma90 / mu90 [%]",
        "peak [MeV]",
    )
    print("\n".join(table(head, rows(points))))


if __name__ == "__main__":
    main()
