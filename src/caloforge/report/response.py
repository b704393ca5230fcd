"""Response against the incident energy and angle."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from caloforge.report.curves import Curve, energy_bins, histogram, mean_in_bins
from caloforge.report.plot import Plot
from caloforge.report.ratio import Axis, ratio_figure
from caloforge.report.samples import all_tables, recorded, recorded_curve, sample_figure
from caloforge.units import DEGREE, GEV

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from caloforge.evaluation.outcome import Evaluation
    from caloforge.features import FeatureTable

__all__ = ["response_plots"]

_SECTION, _ANGLES = "Response", "Angles"
_ENERGY = "incident energy [GeV]"
_THETA = "angle of incidence [deg]"
_STRAIGHT = 1e-3
_CORES = {
    "linearity": (
        "mu90",
        r"$\mu_{90}$ of visible / incident energy",
        "Linearity: mean of visible over incident energy in the shortest interval with 90 % of the showers.",
    ),
    "resolution": (
        "sigma90",
        r"$\sigma_{90}\,/\,\mu_{90}$",
        "Resolution: standard deviation of the same showers, over their mean.",
    ),
}
_MEANS = {
    "fraction_by_energy": (
        "fraction",
        1.0,
        "mean visible / incident energy",
        "Sampling fraction: mean of the visible over the incident energy.",
    ),
    "hits_by_energy": ("hits", 1.0, "mean number of hits", "Mean number of hits."),
    "depth_by_energy": ("cog_z", 1.0, "mean depth [mm]", "First moment in depth: the centre of gravity."),
    "length_by_energy": (
        "moment2_z",
        1.0,
        r"mean second moment in z [mm$^2$]",
        "Second moment in depth: how long the showers are.",
    ),
    "width_by_energy": (
        "moment2_x",
        1.0,
        r"mean second moment in x [mm$^2$]",
        "Second moment in x: how wide the showers are.",
    ),
    "skewness_by_energy": (
        "moment3_z",
        1e-3,
        r"mean third moment in z [cm$^3$]",
        "Third moment in depth: the tail towards the back.",
    ),
}


def response_plots(evaluation: Evaluation) -> Iterator[Plot]:
    """Draw what depends on the incident particle (inside of ``style()``)."""
    yield from _cores(evaluation)
    yield from _means(evaluation)
    if float(np.max(evaluation.reference.table["theta"], initial=0.0)) > _STRAIGHT:
        yield from _angles(evaluation)


def _cores(evaluation: Evaluation) -> Iterator[Plot]:
    for key, (number, label, caption) in _CORES.items():
        found = recorded(evaluation, f"physics.gettinghigh_{key}")
        if not found:
            continue
        first = next(iter(found.values()))
        edges = np.array([first["bins"][0][0], *(high for _, high in first["bins"])]) / GEV
        curves = {
            model: recorded_curve(s["generated"][number], s["generated"][f"{number}_error"])
            for model, s in found.items()
        }
        reference = recorded_curve(first["reference"][number], first["reference"][f"{number}_error"])
        axis = Axis(_ENERGY, label, _is_wide(edges), points=True, from_zero=key == "resolution")
        yield Plot(key, _SECTION, caption, ratio_figure(edges, reference, curves, axis))


def _means(evaluation: Evaluation) -> Iterator[Plot]:
    edges = energy_bins(evaluation.reference.table)
    if not len(edges):
        return
    for key, (name, unit, label, caption) in _MEANS.items():
        curve = partial(_mean, name=name, unit=unit, edges=edges)
        axis = Axis(_ENERGY, label, _is_wide(edges), points=True, from_zero=False)
        yield Plot(key, _SECTION, caption, sample_figure(evaluation, edges / GEV, curve, axis))


def _angles(evaluation: Evaluation) -> Iterator[Plot]:
    edges = np.unique(np.quantile(evaluation.reference.table["theta"], np.linspace(0, 1, 9)))
    if len(edges) < 2:
        return
    entries: dict[str, tuple[str, Callable[[FeatureTable], NDArray[np.float64]], str]] = {
        "fraction_by_angle": (
            "visible / incident energy",
            lambda t: t["fraction"],
            "Sampling fraction against the angle of incidence.",
        ),
        "measured_angle": (
            "measured angle [deg]",
            lambda t: t["axis_theta"] / DEGREE,
            "Mean angle of the shower's principal axis against the angle of incidence.",
        ),
    }
    for key, (label, values, caption) in entries.items():
        curve = partial(_by_angle, values=values, edges=edges)
        axis = Axis(_THETA, label, points=True, from_zero=False)
        yield Plot(key, _ANGLES, caption, sample_figure(evaluation, edges / DEGREE, curve, axis))
    yield from _residuals(evaluation)


def _residuals(evaluation: Evaluation) -> Iterator[Plot]:
    """Difference of the axis to the true direction, as a histogram."""
    seen = [np.abs(_residual(table)) for table in all_tables(evaluation)]
    reach = 1.1 * max(float(np.quantile(angles, 0.97)) for angles in seen)
    edges = np.linspace(-reach, reach, 31)
    figure = sample_figure(
        evaluation,
        edges,
        lambda table: histogram(_residual(table), edges),
        Axis("measured − true angle [deg]", "share of showers"),
    )
    caption = "Angle of the principal axis minus the true one: bias and resolution of the direction."
    yield Plot("angle_residual", _ANGLES, caption, figure)


def _residual(table: FeatureTable) -> NDArray[np.float64]:
    seen = table["visible"] > 0
    return np.asarray((table["axis_theta"] - table["theta"])[seen] / DEGREE)


def _mean(table: FeatureTable, *, name: str, unit: float, edges: NDArray[np.floating]) -> Curve:
    return mean_in_bins(table[name] * unit, table["energy"], edges)


def _by_angle(
    table: FeatureTable,
    *,
    values: Callable[[FeatureTable], NDArray[np.float64]],
    edges: NDArray[np.floating],
) -> Curve:
    seen = table["visible"] > 0
    return mean_in_bins(values(table)[seen], table["theta"][seen], edges)


def _is_wide(edges: NDArray[np.floating]) -> bool:
    return bool(edges[0] > 0 and edges[-1] > 20 * edges[0])
