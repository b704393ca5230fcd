"""3DGAN's figures of showers: shapes along x, y and z, moments, measured angle, rare showers (2109.07388)."""

from __future__ import annotations

from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from caloforge.evaluation.papers.bins import energy_bins
from caloforge.evaluation.papers.gan_shapes import SHAPES
from caloforge.evaluation.papers.inclination import inclination_bins
from caloforge.features.projections import has_projections
from caloforge.report.curves import Curve, histogram, mean_in_bins, shower_mean
from caloforge.report.plot import Plot
from caloforge.report.ratio import Axis, ratio_figure
from caloforge.report.samples import common_edges, recorded, recorded_curve, sample_figure
from caloforge.units import DEGREE, GEV

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from caloforge.evaluation.outcome import Evaluation
    from caloforge.evaluation.papers.bins import Bins
    from caloforge.evaluation.papers.inclination import Inclination
    from caloforge.features import FeatureTable

__all__ = ["SECTION", "gan_plots"]

SECTION = "Shower shapes (3DGAN)"
"""Heading of the figures that follow that paper's."""

_BINS = 3
_ANGLE_POINTS = 8
_MOMENTS = {
    "moment2_y": ("second moment in y [mm²]", "Second moment in y: the width of a shower (figure 9)."),
    "moment3_y": ("third moment in y [cm³]", "Third moment in y: the skewness of a shower (figure 13)."),
    "moment2_z": ("second moment in z [mm²]", "Second moment in z: the length of a shower."),
}
_RATES = {
    "early": "Showers that start early: more of their energy in the first 3/25 of the layers than 3 % of "
    "Geant4's have (section 7 of the paper).",
    "late": "Showers that start late: less of their energy in the first 8/25 of the layers (R1) than 3 % of "
    "Geant4's have.",
}


def gan_plots(evaluation: Evaluation) -> Iterator[Plot]:
    """Draw shapes, moments, angles and rates (inside of ``style()``)."""
    table = evaluation.reference.table
    energies = energy_bins(table, _BINS)
    inclination, angles = inclination_bins(table, _BINS)
    if has_projections(evaluation.geometry):
        for number, interval in enumerate(_told(angles, DEGREE, "degrees")):
            chosen = partial(_at_angle, inclination=inclination, bins=angles, number=number)
            words = f"angles of {interval}" if len(angles) > 1 else "all angles"
            yield _shape(evaluation, "y", chosen, f"{number}", words)
        yield _shape(evaluation, "x", lambda showers: showers, "all", "all showers")
    for number, interval in enumerate(_told(energies, GEV, "GeV")):
        chosen = partial(_at_energy, bins=energies, number=number)
        yield _shape(evaluation, "z", chosen, f"{number}", f"energies of {interval}")
    for name, (label, caption) in _MOMENTS.items():
        yield _moment(evaluation, name, label, caption)
    if len(angles) > 1:
        yield _angle(evaluation, inclination)
    for kind, caption in _RATES.items():
        yield from _rate(evaluation, kind, caption)


def _told(bins: Bins, unit: float, name: str) -> list[str]:
    ends = [round(edge / unit, 1) + 0.0 for edge in bins.edges.tolist()]
    return [f"{low:.3g} to {high:.3g} {name}" for low, high in pairwise(ends)]


def _at_angle(table: FeatureTable, *, inclination: Inclination, bins: Bins, number: int) -> FeatureTable:
    return table.select(bins.find(inclination.of_particles(table)) == number)


def _at_energy(table: FeatureTable, *, bins: Bins, number: int) -> FeatureTable:
    return table.select(bins.find(table["energy"]) == number)


def _shape(
    evaluation: Evaluation, axis: str, chosen: Callable[[FeatureTable], FeatureTable], key: str, words: str
) -> Plot:
    """The mean energy along an axis, of some showers; lateral ones in a logarithmic scale for their tails."""
    depth = axis == "z"
    edges = (
        np.arange(evaluation.geometry.n_layers + 1) - 0.5
        if depth
        else evaluation.binning.lateral["xy".index(axis)]
    )
    label = "layer" if depth else f"{axis} [mm]"
    figure = sample_figure(
        evaluation,
        edges,
        lambda table: shower_mean(chosen(table)[SHAPES[axis]]),
        Axis(label, "energy per shower [MeV]", log_y=not depth),
    )
    caption = f"Shape along {axis}: mean energy, {words} (figure 8)."
    return Plot(f"3dgan_shape_{axis}_{key}", SECTION, caption, figure)


def _moment(evaluation: Evaluation, name: str, label: str, caption: str) -> Plot:
    unit = 1e-3 if name.startswith("moment3") else 1.0

    def values(table: FeatureTable) -> NDArray[np.float64]:
        return np.asarray(table[name] * unit)

    edges, log = common_edges(evaluation, values)
    figure = sample_figure(
        evaluation,
        edges,
        lambda table: histogram(values(table), edges),
        Axis(label, "share of showers", log_x=log),
    )
    return Plot(f"3dgan_{name}", SECTION, caption, figure)


def _angle(evaluation: Evaluation, inclination: Inclination) -> Plot:
    """The measured angle against the true one, both with a sign where there is a plane."""
    true = inclination.of_particles(evaluation.reference.table)
    edges = np.unique(np.quantile(true, np.linspace(0, 1, _ANGLE_POINTS + 1))) / DEGREE

    def curve(table: FeatureTable) -> Curve:
        seen = table.select(table["visible"] > 0)
        measured, angle = (f(seen) / DEGREE for f in (inclination.measured, inclination.of_particles))
        return mean_in_bins(measured, angle, edges)

    axis = Axis("angle of incidence [deg]", "measured angle [deg]", points=True, from_zero=False)
    caption = (
        "Mean of the measured angle, from the centres of the layers weighted with their number, against the "
        "angle of incidence (figure 9)."
    )
    return Plot("3dgan_angle", SECTION, caption, sample_figure(evaluation, edges, curve, axis))


def _rate(evaluation: Evaluation, kind: str, caption: str) -> Iterator[Plot]:
    found = recorded(evaluation, f"physics.3dgan_{kind}")
    if not found:
        return
    first = next(iter(found.values()))
    bins = first["energy_bins"]
    edges = np.array([bins[0][0], *(high for _, high in bins)]) / GEV
    curves = {model: _percent(settings["generated_by_energy"]) for model, settings in found.items()}
    axis = Axis("incident energy [GeV]", "share of showers [%]", points=True)
    figure = ratio_figure(edges, _percent(first["reference_by_energy"]), curves, axis)
    yield Plot(f"3dgan_{kind}", SECTION, caption, figure)


def _percent(rates: list[dict[str, float | None]]) -> Curve:
    values, errors = ([rate[key] for rate in rates] for key in ("rate", "error"))
    return recorded_curve(values, errors) / 0.01
