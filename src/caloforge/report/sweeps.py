"""The picture of a sweep: what points are judged by, against everything that was varied."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.ticker import FixedFormatter, FixedLocator, NullLocator

from caloforge.report.lines import REFERENCE, model_styles
from caloforge.report.style import new_figure, png, style
from caloforge.sweeps import judged_by
from caloforge.sweeps.groups import groups_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from caloforge.sweeps import Judged, Row, Sweep
    from caloforge.sweeps.groups import Group

__all__ = ["sweep_figure", "sweep_picture"]

_WIDTH, _HEIGHT = 6.0, 5.2  # inches of a panel
_COLUMNS = 3
_MOST_TICKS = 6
_MOST_LINES = 8  # configurations of the other keys that get a colour each
_RATIO = 3.0  # from there on an axis of numbers is logarithmic
_UNEVEN = 5.0  # times the smallest gap that the largest one may have
_AREA_TICKS = (0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 0.998, 0.999)
_BAD = 0.9  # areas from there on are told apart on an axis of their odds
_GREY = "#717581"


def sweep_picture(sweep: Sweep, rows: Sequence[Row]) -> bytes | None:
    """A PNG, or None while nothing is judged."""
    judged = judged_by(rows)
    if judged is None or not judged.values:
        return None
    with style():
        return png(sweep_figure(sweep, rows, judged))


def sweep_figure(sweep: Sweep, rows: Sequence[Row], judged: Judged) -> Figure:
    """A panel for each key: a dot for every seed; lines join the means of what differs in this key alone."""
    keys = sweep.keys
    columns = min(len(keys), _COLUMNS)
    lines = -(-len(keys) // columns)
    figure = new_figure(_WIDTH * columns, _HEIGHT * lines, layout="constrained")
    groups = groups_of(rows, judged)
    first: Axes | None = None
    for place, (key, name) in enumerate(keys.items()):
        panel = figure.add_subplot(lines, columns, place + 1, sharey=first)
        first = first or panel
        _panel(panel, key, keys, groups, judged)
        panel.set_xlabel(name)
        if place % columns == 0:
            panel.set_ylabel(judged.title)
    if first is not None and judged.errors and max(judged.values.values()) > _BAD:
        _show_odds(first, judged)
    return figure


def _show_odds(panel: Axes, judged: Judged) -> None:
    """Areas near one and the floor on one axis: that of the odds, which is straight near one half."""
    low, high = panel.get_ylim()
    inside = [tick for tick in _AREA_TICKS if low < tick < max(judged.values.values())]
    panel.set_yscale("logit")
    panel.set_ylim(max(low, _AREA_TICKS[0]), min(high, max(1 - (1 - max(judged.values.values())) / 2, 0.95)))
    panel.yaxis.set_major_locator(FixedLocator(inside))
    panel.yaxis.set_major_formatter(FixedFormatter([f"{tick:g}" for tick in inside]))
    panel.yaxis.set_minor_locator(NullLocator())


def _panel(panel: Axes, key: str, names: dict[str, str], groups: list[Group], judged: Judged) -> None:
    places = _places(panel, [group.values[key] for group in groups if key in group.values])
    families: dict[str, list[Group]] = {}
    for group in groups:
        if key in group.values:
            families.setdefault(_others(group, key, names), []).append(group)
    styles: dict[str, Any] = dict(model_styles(sorted(families)))
    coloured = 1 < len(families) <= _MOST_LINES
    for name in sorted(families):
        colour = styles[name].colour if coloured or len(families) == 1 else _GREY
        _family(panel, families[name], key, places, judged, colour=colour, label=name if coloured else "")
    if judged.floor is not None:
        value, error = judged.floor
        panel.axhline(value, color="black", ls="--", lw=1.3, label=f"{REFERENCE} against {REFERENCE}")
        panel.axhspan(value - error, value + error, color="black", alpha=0.1, lw=0)
    if panel.get_legend_handles_labels()[1]:
        panel.legend(loc="lower left", bbox_to_anchor=(0.0, 1.0), ncols=2, fontsize=12, borderaxespad=0.2)


def _others(group: Group, key: str, names: dict[str, str]) -> str:
    """What the other keys are."""
    return ", ".join(f"{names[other]} {value}" for other, value in group.values.items() if other != key)


def _family(
    panel: Axes,
    groups: list[Group],
    key: str,
    places: dict[str, float],
    judged: Judged,
    *,
    colour: str,
    label: str,
) -> None:
    """The configurations that differ in one key."""
    ordered = sorted(groups, key=lambda group: places[group.values[key]])
    where = [places[group.values[key]] for group in ordered]
    spread = [group.scatter or np.nan for group in ordered]
    means = [group.mean for group in ordered]
    panel.errorbar(where, means, yerr=spread, color=colour, capsize=4, lw=1.5, label=label or None)
    for place, group in zip(where, ordered, strict=True):
        values = [judged.values[number] for number in group.numbers]
        panel.plot([place] * len(values), values, "o", color=colour, ms=6, alpha=0.7)


def _places(panel: Axes, values: list[str]) -> dict[str, float]:
    """Where values are on the axis: numbers at their place, if that keeps them apart; others side by side."""
    numbers = _numbers(values)
    low, high = (min(numbers.values()), max(numbers.values())) if numbers else (0.0, 0.0)
    if low > 0 and high / low >= _RATIO and _even(np.log(list(numbers.values()))):
        panel.set_xscale("log")
        return _ticked(panel, numbers)
    if numbers and _even(np.array(list(numbers.values()))):
        return _ticked(panel, numbers)
    ordered = sorted(set(values), key=lambda value: (numbers.get(value, 0.0), value))
    return _ticked(panel, {value: float(place) for place, value in enumerate(ordered)})


def _ticked(panel: Axes, places: dict[str, float]) -> dict[str, float]:
    """Values as they were typed at their places, of many some."""
    ordered = sorted(places, key=lambda value: places[value])
    shown = ordered[:: -(-len(ordered) // _MOST_TICKS)]
    panel.xaxis.set_major_locator(FixedLocator([places[value] for value in shown]))
    panel.xaxis.set_major_formatter(FixedFormatter(shown))
    panel.xaxis.set_minor_locator(NullLocator())
    return places


def _numbers(values: list[str]) -> dict[str, float]:
    """The numbers that different values are; empty when one is none."""
    try:
        numbers = {value: float(value) for value in values}
    except ValueError:
        return {}
    finite = np.isfinite(list(numbers.values())).all()
    return numbers if finite and len(set(numbers.values())) == len(numbers) else {}


def _even(values: NDArray[np.float64]) -> bool:
    """Whether no two neighbours are much nearer than others."""
    gaps = np.diff(np.sort(values))
    return len(gaps) < 2 or bool(gaps.max() <= _UNEVEN * gaps.min())
