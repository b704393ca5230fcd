"""Kinds of particles side by side in every sample: do models tell them apart as Geant4 does?"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from caloforge.evaluation.papers.gan_kinds import kinds_of
from caloforge.particles import particle_name
from caloforge.report.curves import Curve, energy_bins, histogram, mean_in_bins
from caloforge.report.gan import SECTION
from caloforge.report.lines import REFERENCE, model_styles
from caloforge.report.panels import make_panels
from caloforge.report.plot import Plot
from caloforge.report.samples import common_edges
from caloforge.units import GEV

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from caloforge.evaluation.outcome import Evaluation
    from caloforge.features import FeatureTable

__all__ = ["kind_plots"]

_HISTOGRAMS = {
    "first_part": (
        "energy share of the first 8/25 (R1)",
        "Energy share of the first 8/25 of the layers, by kind of particle (figure 11 of 3DGAN).",
    ),
    "cog_z": (
        "mean depth [mm]",
        "First moment in depth, by kind of particle (figure 15 of 3DGAN).",
    ),
}
_SIZE, _LEGEND = (3.9, 3.4), 13


def kind_plots(evaluation: Evaluation) -> Iterator[Plot]:
    """Draw the kinds of every sample, where there are several (inside of ``style()``)."""
    kinds = kinds_of(evaluation.reference.table)
    if len(kinds) < 2:
        return
    for name, (label, caption) in _HISTOGRAMS.items():
        yield _histogram(evaluation, kinds, name, label, caption)
    edges = energy_bins(evaluation.reference.table)
    if not len(edges):
        return
    figure = _side_by_side(
        evaluation,
        kinds,
        edges / GEV,
        lambda table: mean_in_bins(table["fraction"], table["energy"], edges),
        ("incident energy [GeV]", "visible / incident energy"),
        points=True,
    )
    caption = "Sampling fraction against the incident energy, by kind of particle (figure 11 of 3DGAN)."
    yield _plot(evaluation, "kinds_fraction", caption, figure)


def _histogram(evaluation: Evaluation, kinds: list[int], name: str, label: str, caption: str) -> Plot:
    def values(table: FeatureTable) -> NDArray[np.float64]:
        return np.asarray(table[name], np.float64)

    edges, log = common_edges(evaluation, values)

    def curve(table: FeatureTable) -> Curve:
        return histogram(values(table), edges)

    figure = _side_by_side(evaluation, kinds, edges, curve, (label, "share of showers"), log=log)
    return _plot(evaluation, f"kinds_{name}", caption, figure)


def _plot(evaluation: Evaluation, key: str, caption: str, figure: Figure) -> Plot:
    return Plot(f"3dgan_{key}", SECTION, caption, figure, columns=1 + len(evaluation.generated))


def _side_by_side(
    evaluation: Evaluation,
    kinds: list[int],
    edges: NDArray[np.floating],
    curve: Callable[[FeatureTable], Curve],
    labels: tuple[str, str],
    *,
    points: bool = False,
    log: bool = False,
) -> Figure:
    """A panel for every sample, a line for every kind, the same axes in all."""
    samples = (evaluation.reference, *evaluation.generated)
    panels = make_panels(len(samples), size=_SIZE, right=0.3)
    names = [particle_name(kind) for kind in kinds]
    highest = 0.0
    for column, (axes, sample) in enumerate(zip(panels.axes[0], samples, strict=True)):
        panels.title(REFERENCE if column == 0 else sample.name, 0, column)
        for kind, (name, line) in zip(kinds, model_styles(names).items(), strict=True):
            found = curve(sample.table.select(sample.table["pdg"] == kind))
            highest = max(highest, float(np.nanmax(found.values, initial=0.0)))
            if points:
                middles = 0.5 * (edges[1:] + edges[:-1])
                axes.errorbar(middles, found.values, found.errors, fmt="o-", color=line.colour, label=name)
            else:
                axes.stairs(
                    found.values, edges, baseline=None, color=line.colour, ls=line.dashes, lw=2, label=name
                )
    for column, axes in enumerate(panels.axes[0]):
        _dress(axes, edges, highest, labels, log=log, first=column == 0)
    return panels.figure


def _dress(
    axes: Axes,
    edges: NDArray[np.floating],
    highest: float,
    labels: tuple[str, str],
    *,
    log: bool,
    first: bool,
) -> None:
    if log:
        axes.set_xscale("log")
    axes.set_xlim(edges[0], edges[-1])
    axes.set_ylim(0.0, 1.08 * highest or 1.0)
    axes.set_xlabel(labels[0])
    if first:
        axes.set_ylabel(labels[1])
        axes.legend(fontsize=_LEGEND)
