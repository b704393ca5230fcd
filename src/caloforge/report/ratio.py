"""Reference and models in one panel, their ratio below."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from caloforge.report.style import REFERENCE, model_styles, new_figure

if TYPE_CHECKING:
    from collections.abc import Mapping

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from caloforge.report.curves import Curve

__all__ = ["Axis", "ratio_figure"]

_GREY, _BAND = "#d3d7dc", "#9aa1ab"
_RANGES = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)
_MEASURED = 0.5
_SIZE = (7.4, 6.2)
_PLACE = {
    "height_ratios": [3, 1],
    "hspace": 0.06,
    "left": 0.155,
    "right": 0.965,
    "top": 0.975,
    "bottom": 0.115,
}
_SPREAD = 0.5
"""Share of a bin over which the points of the models are spread."""


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
    figure = new_figure(*_SIZE)
    top, bottom = figure.subplots(2, 1, sharex=True, gridspec_kw=_PLACE)
    _draw_values(top, edges, reference, models, axis)
    _draw_ratios(bottom, edges, reference, models, axis)
    if mark is not None:
        _draw_mark(top, bottom, mark)
    _dress(top, bottom, edges, [reference, *models.values()], axis)
    return figure


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
    _band(axes, edges, reference.values, reference.errors, alpha=0.55)
    places = _places(edges, len(models), log=axis.log_x)
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


def _draw_ratios(
    axes: Axes, edges: NDArray[np.floating], reference: Curve, models: Mapping[str, Curve], axis: Axis
) -> None:
    relative = reference / reference.values
    _band(axes, edges, relative.values, relative.errors, alpha=0.55)
    axes.axhline(1.0, color="black", linewidth=1.0)
    places = _places(edges, len(models), log=axis.log_x)
    measured = np.where(relative.errors < _MEASURED, reference.values, 0.0)
    ratios = {name: curve / measured for name, curve in models.items()}
    for ratio, line, place in zip(ratios.values(), model_styles(list(models)).values(), places, strict=True):
        form = "o" if axis.points else "none"
        axes.errorbar(place, ratio.values, ratio.errors, fmt=form, ms=4, color=line.colour, elinewidth=0.9)
        if not axis.points:
            axes.stairs(
                ratio.values, edges, baseline=None, linewidth=1.8, color=line.colour, linestyle=line.dashes
            )
    half = _ratio_range(relative, list(ratios.values()))
    axes.set_ylim(1.0 - half, 1.0 + half)


def _ratio_range(relative: Curve, ratios: list[Curve]) -> float:
    """The narrowest standard range that shows nine tenths of the well-measured ratios."""
    measured = relative.errors < 0.15
    off = [np.abs(r.values - 1.0)[measured & np.isfinite(r.values)] for r in ratios]
    flat = np.concatenate([*off, relative.errors[measured]])
    wanted = 1.3 * float(np.quantile(flat, 0.92)) if len(flat) else 1.0
    return next((r for r in _RANGES if r >= wanted), _RANGES[-1]) * 0.98


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
    columns = 1 if len(curves) < 4 else 2
    room = (0.15 if axis.points else 0.13) * -(-len(curves) // columns)
    values = np.concatenate(
        [c.values + sign * c.errors for c in curves for sign in ((-1, 1) if axis.points else (0,))]
    )
    values = values[np.isfinite(values)]
    if axis.log_y:
        positive = values[values > 0]
        low, high = (positive.min(), positive.max()) if len(positive) else (0.1, 1.0)
        top.set_yscale("log")
        top.set_ylim(0.5 * low, high * (high / low) ** (0.8 * room) * 1.5)
    elif len(values):
        low = 0.0 if axis.from_zero else float(values.min())
        span = max(float(values.max()) - low, 1e-12)
        top.set_ylim(low if axis.from_zero else low - 0.1 * span, low + (1.05 + room) * span)
    top.legend(loc="upper right", ncols=columns)
    top.set_ylabel(axis.y)
    bottom.set_ylabel("ratio", loc="center")
    bottom.set_xlabel(axis.x)


def _band(
    axes: Axes,
    edges: NDArray[np.floating],
    values: NDArray[np.floating],
    errors: NDArray[np.floating],
    *,
    alpha: float,
) -> None:
    low, high = (np.repeat(np.nan_to_num(values + sign * errors), 2) for sign in (-1, 1))
    axes.fill_between(np.repeat(edges, 2)[1:-1], low, high, color=_BAND, alpha=alpha, linewidth=0)


def _lowest(curve: Curve) -> float:
    positive = curve.values[np.isfinite(curve.values) & (curve.values > 0)]
    return float(positive.min()) * 1e-3 if len(positive) else 1e-9


def _places(edges: NDArray[np.floating], models: int, *, log: bool) -> list[NDArray[np.floating]]:
    """Where the points of each model lie in the bins: beside each other."""
    shares = 0.5 + _SPREAD * ((np.arange(models) + 0.5) / models - 0.5)
    if log:
        return [edges[:-1] ** (1 - share) * edges[1:] ** share for share in shares]
    return [edges[:-1] * (1 - share) + edges[1:] * share for share in shares]
