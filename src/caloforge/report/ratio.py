"""Reference and models in one panel, their ratio below."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from caloforge.report.legends import above, legend_height, row_height
from caloforge.report.lines import REFERENCE, model_styles
from caloforge.report.ratio_panel import draw_band, draw_ratios, places_in_bins
from caloforge.report.style import new_figure

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from caloforge.report.curves import Curve

__all__ = ["Axis", "ratio_figure"]

_GREY = "#d3d7dc"
_WIDTH, _TOP, _RATIO, _GAP = 7.4, 3.9, 1.3, 0.1
_LEFT, _RIGHT, _BOTTOM = 1.15, 0.26, 0.72
_LEGEND = 12.5
"""Sizes in inches; the legend's in points."""


@dataclass(frozen=True)
class Axis:
    """Labels and scales of a figure.

    Attributes:
        x: Label with unit.
        y: Label with unit.
        log_x: Whether x is logarithmic.
        log_y: Whether y is logarithmic.
        points: Whether values are points with error bars instead of steps.
        from_zero: Whether a linear y axis starts at zero.
        names: Of the bins, in place of numbers.
    """

    x: str
    y: str
    log_x: bool = False
    log_y: bool = False
    points: bool = False
    from_zero: bool = True
    names: tuple[str, ...] = ()


def ratio_figure(
    edges: NDArray[np.floating],
    reference: Curve,
    models: Mapping[str, Curve],
    axis: Axis,
    *,
    mark: tuple[float, str] | None = None,
) -> Figure:
    """Draw the reference as a filled band, models as lines, and models over reference below.

    Args:
        edges: Bin edges, ``(B + 1,)``.
        reference: Values of the reference, ``(B,)``.
        models: Values of the models, by name.
        axis: Labels and scales.
        mark: A place on the x axis to mark, and its label.
    """
    figure, top, bottom = _empty([REFERENCE, *models])
    _draw_values(top, edges, reference, models, axis)
    marks = draw_ratios(bottom, edges, reference, models, points=axis.points, log=axis.log_x)
    if mark is not None:
        _draw_mark(top, bottom, mark)
    _dress(top, bottom, edges, [reference, *models.values()], axis)
    above(top, _WIDTH - _LEFT - _RIGHT, _LEGEND, marks)
    return figure


def _empty(names: Sequence[str]) -> tuple[Figure, Axes, Axes]:
    """Two axes of fixed sizes with room for the legend above, and a row of it for what is marked."""
    inches = _WIDTH - _LEFT - _RIGHT
    legend = legend_height(names, inches, _LEGEND) + row_height(_LEGEND)
    height = _BOTTOM + _RATIO + _GAP + _TOP + legend
    figure = new_figure(_WIDTH, height)
    left, width = _LEFT / _WIDTH, inches / _WIDTH
    bottom = figure.add_axes((left, _BOTTOM / height, width, _RATIO / height))
    top = figure.add_axes((left, (_BOTTOM + _RATIO + _GAP) / height, width, _TOP / height), sharex=bottom)
    top.tick_params(axis="x", which="both", labelbottom=False)
    return figure, top, bottom


def _draw_values(
    axes: Axes, edges: NDArray[np.floating], reference: Curve, models: Mapping[str, Curve], axis: Axis
) -> None:
    base = None if axis.log_y or not axis.from_zero else 0.0
    if not axis.points:
        fill = np.nan_to_num(reference.values)
        axes.stairs(
            fill, edges, baseline=base if base is not None else _lowest(reference), fill=True, color=_GREY
        )
    axes.stairs(reference.values, edges, baseline=None, color="black", linewidth=1.3, label=REFERENCE)
    draw_band(axes, edges, reference)
    places = places_in_bins(edges, len(models), log=axis.log_x)
    lines = model_styles(list(models)).values()
    for (name, curve), line, place in zip(models.items(), lines, places, strict=True):
        if axis.points:
            axes.errorbar(place, curve.values, curve.errors, fmt="o", ms=6, color=line.colour, label=name)
        else:
            axes.stairs(
                curve.values,
                edges,
                baseline=None,
                linewidth=2.2,
                label=name,
                color=line.colour,
                linestyle=line.dashes,
            )


def _draw_mark(top: Axes, bottom: Axes, mark: tuple[float, str]) -> None:
    for axes in (top, bottom):
        axes.axvline(mark[0], color="#555555", linestyle=":", linewidth=1.3)
    top.text(
        mark[0],
        0.03,
        f" {mark[1]}",
        transform=top.get_xaxis_transform(),
        fontsize=14,
        color="#333333",
        va="bottom",
    )


def _dress(top: Axes, bottom: Axes, edges: NDArray[np.floating], curves: list[Curve], axis: Axis) -> None:
    if axis.log_x:
        bottom.set_xscale("log")
    top.set_xlim(edges[0], edges[-1])
    if axis.names:
        bottom.set_xticks(range(len(axis.names)), axis.names)
        bottom.tick_params(axis="x", which="minor", bottom=False, top=False)
        top.tick_params(axis="x", which="minor", bottom=False, top=False)
    values = np.concatenate(
        [c.values + sign * c.errors for c in curves for sign in ((-1, 1) if axis.points else (0,))]
    )
    values = values[np.isfinite(values)]
    if axis.log_y:
        positive = values[values > 0]
        low, high = (positive.min(), positive.max()) if len(positive) else (0.1, 1.0)
        top.set_yscale("log")
        top.set_ylim(0.5 * low, high * (high / low) ** 0.04 * 1.3)
    elif len(values):
        low = 0.0 if axis.from_zero else float(values.min())
        span = max(float(values.max()) - low, 1e-12)
        top.set_ylim(low if axis.from_zero else low - 0.1 * span, low + 1.06 * span)
    top.set_ylabel(axis.y)
    bottom.set_ylabel("ratio", loc="center")
    bottom.set_xlabel(axis.x)


def _lowest(curve: Curve) -> float:
    positive = curve.values[np.isfinite(curve.values) & (curve.values > 0)]
    return float(positive.min()) * 1e-3 if len(positive) else 1e-9
