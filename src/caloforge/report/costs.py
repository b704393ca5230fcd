"""The figures of the costs: time per shower, and quality against time."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

from caloforge.report.legends import above, legend_height
from caloforge.report.lines import model_styles
from caloforge.report.plot import Plot
from caloforge.report.style import new_figure
from caloforge.report.tables import model_results

if TYPE_CHECKING:
    from collections.abc import Iterator

    from matplotlib.axes import Axes

    from caloforge.evaluation.outcome import Evaluation

__all__ = ["cost_plots"]

_SECTION = "Cost"
_TIME = re.compile(r"cost\.time_batch_(\d+)_threads_(\d+)")
_AREAS = ("auc.low", "auc.high", "auc.boosted_hits")
_SIZE, _LEGEND = (7.4, 6.2), 13.0


def cost_plots(evaluation: Evaluation) -> Iterator[Plot]:
    """Draw times where the models' files tell any (inside of ``style()``)."""
    yield from _times(evaluation)
    yield from _trade(evaluation)


def _times(evaluation: Evaluation) -> Iterator[Plot]:
    models = [sample.name for sample in evaluation.generated]
    found = {
        name: [results.get(name) for results in model_results(evaluation)]
        for name in sorted(
            {n for results in model_results(evaluation) for n in results if _TIME.fullmatch(n)}, key=_order
        )
    }
    if not found:
        return
    styles = model_styles(models)
    figure = new_figure(*_SIZE)
    width = 0.76 * _SIZE[0]
    axes = figure.add_axes((0.2, 0.13, 0.76, 0.85 - legend_height(models, width, _LEGEND) / _SIZE[1]))
    height = 0.8 / len(models)
    for number, (model, line) in enumerate(styles.items()):
        rows = [(place, r[number]) for place, r in enumerate(found.values()) if r[number] is not None]
        known = [(place, r.value, r.error or 0.0) for place, r in rows if r is not None and r.value]
        if known:
            places, values, errors = (np.array(column) for column in zip(*known, strict=True))
            axes.barh(
                places - 0.4 + (number + 0.5) * height,
                values,
                height,
                xerr=errors,
                color=line.colour,
                label=model,
            )
    _log_scale(axes)
    axes.set_yticks(range(len(found)), [_words(name) for name in found])
    axes.tick_params(axis="y", which="both", length=0)
    axes.invert_yaxis()
    axes.set_xlabel("CPU time per shower [ms]")
    above(axes, width, _LEGEND)
    caption = "Time per shower, by batch size and threads, of the benchmark that the model's card recorded."
    yield Plot("time", _SECTION, caption, figure)


def _trade(evaluation: Evaluation) -> Iterator[Plot]:
    """The best-known area against the time of one shower: bottom left is where one wants to be."""
    results = model_results(evaluation)
    area = next((a for a in _AREAS if any(a in r and r[a].value is not None for r in results)), None)
    time = "cost.time_batch_1_threads_1"
    points = {
        sample.name: (r[time], r[area])
        for sample, r in zip(evaluation.generated, results, strict=True)
        if area in r and time in r and r[area].value is not None and r[time].value
    }
    if area is None or len(points) < 2:
        return
    styles = model_styles([sample.name for sample in evaluation.generated])
    figure = new_figure(*_SIZE)
    width = 0.81 * _SIZE[0]
    axes = figure.add_axes((0.155, 0.13, 0.81, 0.85 - legend_height(list(points), width, _LEGEND) / _SIZE[1]))
    for model, (cost, quality) in points.items():
        axes.errorbar(
            [cost.value or np.nan],
            [quality.value or np.nan],
            [quality.error or 0.0],
            [cost.error or 0.0],
            fmt="o",
            ms=9,
            color=styles[model].colour,
            label=model,
        )
    axes.axhline(0.5, color="#9aa1ab", linewidth=1.2)
    _log_scale(axes)
    axes.set_ylim(0.45, 1.03)
    axes.set_xlabel("CPU time of one shower, one thread [ms]")
    axes.set_ylabel("AUC")
    above(axes, width, _LEGEND)
    title = next(iter(points.values()))[1].title
    caption = (
        f"Quality against speed: AUC ({title}) and time of one shower on one thread. Better is lower left."
    )
    yield Plot("quality_by_time", _SECTION, caption, figure)


def _log_scale(axes: Axes) -> None:
    """Times span about two decades: 1, 2 and 5 are labelled."""
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())


def _order(name: str) -> tuple[int, int]:
    match = _TIME.fullmatch(name)
    return (0, 0) if match is None else (int(match[1]), int(match[2]))


def _words(name: str) -> str:
    size, threads = _order(name)
    return f"batch {size}\n{threads} thread{'s' if threads > 1 else ''}"
