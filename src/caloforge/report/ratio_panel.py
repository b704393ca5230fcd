"""Models over reference: points beyond the axis become arrows, bins without a ratio are hatched."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from caloforge.report.curves import Curve
from caloforge.report.lines import REFERENCE, model_styles

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

__all__ = ["BEYOND", "NOTHING", "draw_band", "draw_ratios", "places_in_bins"]

BEYOND = "ratio beyond the axis"
NOTHING = f"no ratio: too little in {REFERENCE}"

_BAND, _HATCH, _MARK = "#9aa1ab", "#b9bfc8", "#4a515c"
_RANGES = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)
_MEASURED = 0.5
_INSIDE = 0.07
_SPREAD = 0.5
"""Share of a bin over which the points of the models are spread."""


def draw_ratios(
    axes: Axes,
    edges: NDArray[np.floating],
    reference: Curve,
    models: Mapping[str, Curve],
    *,
    points: bool,
    log: bool,
) -> list[Artist]:
    """Draw the ratios and choose the range of their axis.

    Args:
        axes: Where to.
        edges: Bin edges, ``(B + 1,)``.
        reference: What to divide by.
        models: What to divide, by name.
        points: Points with error bars instead of steps.
        log: Whether the bins are those of a logarithmic axis.

    Returns:
        Entries of a legend for what had to be marked.
    """
    relative = reference / reference.values
    known = np.isfinite(relative.values) & (relative.errors < _MEASURED)
    relative = _only(relative, known)
    ratios = {name: _only(curve / reference.values, known) for name, curve in models.items()}
    draw_band(axes, edges, relative)
    axes.axhline(1.0, color="black", linewidth=1.0)
    half = _ratio_range(relative, list(ratios.values()))
    axes.set_ylim(1.0 - half, 1.0 + half)
    places = places_in_bins(edges, len(models), log=log)
    arrows = False
    for ratio, line, place in zip(ratios.values(), model_styles(list(models)).values(), places, strict=True):
        form = "o" if points else "none"
        axes.errorbar(place, ratio.values, ratio.errors, fmt=form, ms=4, color=line.colour, elinewidth=0.9)
        if not points:
            axes.stairs(
                ratio.values, edges, baseline=None, linewidth=1.8, color=line.colour, linestyle=line.dashes
            )
        arrows = _draw_arrows(axes, place, ratio, half, line.colour) or arrows
    hatched = _draw_gaps(axes, edges, ~known, [reference, *models.values()])
    return _legend(arrows=arrows, hatched=hatched)


def draw_band(axes: Axes, edges: NDArray[np.floating], curve: Curve) -> None:
    """Fill between a curve's values plus and minus their errors."""
    low, high = (np.repeat(np.nan_to_num(curve.values + sign * curve.errors), 2) for sign in (-1, 1))
    axes.fill_between(np.repeat(edges, 2)[1:-1], low, high, color=_BAND, alpha=0.55, linewidth=0)


def places_in_bins(edges: NDArray[np.floating], models: int, *, log: bool) -> list[NDArray[np.floating]]:
    """Where the points of each model lie in the bins: beside each other."""
    shares = 0.5 + _SPREAD * ((np.arange(models) + 0.5) / models - 0.5)
    if log:
        return [edges[:-1] ** (1 - share) * edges[1:] ** share for share in shares]
    return [edges[:-1] * (1 - share) + edges[1:] * share for share in shares]


def _only(curve: Curve, where: NDArray[np.bool_]) -> Curve:
    return Curve(np.where(where, curve.values, np.nan), np.where(where, curve.errors, np.nan))


def _ratio_range(relative: Curve, ratios: list[Curve]) -> float:
    """The narrowest standard range that shows nine tenths of the well-measured ratios."""
    measured = relative.errors < 0.15
    off = [np.abs(r.values - 1.0)[measured & np.isfinite(r.values)] for r in ratios]
    flat = np.concatenate([*off, relative.errors[measured]])
    wanted = 1.3 * float(np.quantile(flat, 0.92)) if len(flat) else 1.0
    return next((r for r in _RANGES if r >= wanted), _RANGES[-1]) * 0.98


def _draw_arrows(axes: Axes, place: NDArray[np.floating], ratio: Curve, half: float, colour: str) -> bool:
    """Mark points that lie beyond the axis at its ends; whether there were any."""
    off = np.nan_to_num(ratio.values, nan=1.0) - 1.0
    for marker, sign in (("^", 1), ("v", -1)):
        beyond = sign * off > half
        if beyond.any():
            at = np.full(int(beyond.sum()), 1.0 + sign * half * (1 - _INSIDE))
            axes.plot(place[beyond], at, marker, color=colour, ms=8, mew=0, zorder=5)
    return bool((np.abs(off) > half).any())


def _draw_gaps(
    axes: Axes, edges: NDArray[np.floating], missing: NDArray[np.bool_], curves: Sequence[Curve]
) -> bool:
    """Hatch the bins where something is, but the reference has too little to divide by."""
    filled = np.any([np.nan_to_num(curve.values) != 0 for curve in curves], axis=0)
    gaps = missing & filled
    for low, high in zip(edges[:-1][gaps], edges[1:][gaps], strict=True):
        axes.axvspan(low, high, facecolor="none", edgecolor=_HATCH, hatch="////", linewidth=0, zorder=0)
    return bool(gaps.any())


def _legend(*, arrows: bool, hatched: bool) -> list[Artist]:
    entries: list[Artist] = []
    if arrows:
        entries.append(Line2D([], [], marker="^", linestyle="none", color=_MARK, mew=0, ms=8, label=BEYOND))
    if hatched:
        entries.append(Patch(facecolor="none", edgecolor=_HATCH, hatch="////", linewidth=0, label=NOTHING))
    return entries
