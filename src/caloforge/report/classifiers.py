"""The figures of the classifiers: ROC curves, areas against the number of showers, log-posteriors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from caloforge.report.legends import below, legend_height
from caloforge.report.lines import model_styles
from caloforge.report.panels import make_panels
from caloforge.report.plot import Plot
from caloforge.report.samples import array
from caloforge.report.style import new_figure

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from matplotlib.axes import Axes

    from caloforge.evaluation.outcome import Evaluation
    from caloforge.evaluation.results import MetricResult

__all__ = ["classifier_plots"]

_SECTION = "Classifiers"
_COLUMNS = 4
_TITLE_SIZE, _SMALL, _LINE = 15, 12.0, 34
_AXIS, _DROP = 0.75, 0.2
"""Inches below a panel for its numbers and title; the same over the height of the panel."""


def classifier_plots(evaluation: Evaluation) -> Iterator[Plot]:
    """Draw what the classifiers recorded (inside of ``style()``)."""
    yield from _curves(evaluation)
    yield from _sizes(evaluation)
    yield from _posteriors(evaluation)


def _with(evaluation: Evaluation, key: str) -> dict[str, dict[str, MetricResult]]:
    """Classifiers that recorded ``key``: by name, then by model."""
    found: dict[str, dict[str, MetricResult]] = {}
    for sample in evaluation.generated:
        for result in evaluation.results[sample.name]:
            if result.group == "classifier" and result.value is not None and key in result.settings:
                found.setdefault(result.name, {})[sample.name] = result
    return found


def _panels(found: Mapping[str, Mapping[str, MetricResult]]) -> tuple[Any, list[Axes]]:
    columns = min(len(found), _COLUMNS)
    rows = -(-len(found) // columns)
    longest = max((list(results) for results in found.values()), key=len)
    legend = legend_height([*longest, "AUC"], 0.0, _SMALL)  # one name a row
    panels = make_panels(columns, rows, top=0.8, right=0.3, bottom=_AXIS + legend)
    flat = [axes for row in panels.axes for axes in row]
    for axes in flat[len(found) :]:
        axes.axis("off")
    for number, results in enumerate(found.values()):
        title = next(iter(results.values())).title
        panels.title(_short(title), number // columns, number % columns, size=_TITLE_SIZE)
    return panels.figure, flat[: len(found)]


def _short(title: str) -> str:
    """At most two lines of a title above a panel."""
    words, lines = title.split(), [""]
    for word in words:
        if len(lines[-1]) + len(word) > _LINE and len(lines) < 2:
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}".strip()
    return "\n".join(lines)


def _curves(evaluation: Evaluation) -> Iterator[Plot]:
    found = _with(evaluation, "roc")
    if not found:
        return
    styles = model_styles([sample.name for sample in evaluation.generated])
    figure, panels = _panels(found)
    for axes, results in zip(panels, found.values(), strict=True):
        axes.plot([0, 1], [0, 1], color="#9aa1ab", linewidth=1.2)
        for model, result in results.items():
            line, curve = styles[model], result.settings["roc"]
            label = f"{model}: {result.value:.3f}"
            axes.plot(
                curve["false_positive"],
                curve["true_positive"],
                color=line.colour,
                linestyle=line.dashes,
                linewidth=2.2,
                label=label,
            )
        axes.set_xlim(0, 1)
        axes.set_ylim(0, 1.01)
        axes.set_xlabel("generated taken for Geant4")
        axes.set_ylabel("Geant4 recognised")
        below(axes, _DROP, _SMALL, title="AUC")
    caption = (
        "ROC curves of the classifiers that tell generated from Geant4 showers, one training each. "
        "On the diagonal a classifier guesses: that is where a perfect model lies."
    )
    yield Plot("roc", _SECTION, caption, figure, columns=min(len(found), _COLUMNS))


def _sizes(evaluation: Evaluation) -> Iterator[Plot]:
    found = _with(evaluation, "by_size")
    if not found:
        return
    styles = model_styles([sample.name for sample in evaluation.generated])
    figure, panels = _panels(found)
    for axes, results in zip(panels, found.values(), strict=True):
        axes.axhline(0.5, color="#9aa1ab", linewidth=1.2)
        for model, result in results.items():
            line, sizes = styles[model], result.settings["by_size"]
            axes.errorbar(
                sizes["showers"],
                array(sizes["auc"]),
                np.nan_to_num(array(sizes["error"])),
                color=line.colour,
                linestyle=line.dashes,
                marker="o",
                label=model,
            )
        axes.set_ylim(0.35, 1.03)
        axes.set_xlabel("showers of each kind")
        axes.set_ylabel("AUC")
        below(axes, _DROP, _SMALL)
    caption = (
        "AUC against the number of showers that the classifier got. Where it still rises, the number in the "
        "table is a lower bound: more showers would tell more."
    )
    yield Plot("auc_by_size", _SECTION, caption, figure, columns=min(len(found), _COLUMNS))


def _posteriors(evaluation: Evaluation) -> Iterator[Plot]:
    """Bars of the mean log-probabilities that a classifier between the models gives them."""
    styles = model_styles([sample.name for sample in evaluation.generated])
    for name, rows in _with(evaluation, "chance").items():
        first = next(iter(rows.values()))
        height = 1.7 + 0.6 * len(rows)
        figure = new_figure(7.4, height)
        axes = figure.add_axes((0.24, 1.0 / height, 0.72, 1 - 1.25 / height))
        axes.barh(
            list(rows),
            [result.value or 0.0 for result in rows.values()],
            xerr=[result.error or 0.0 for result in rows.values()],
            color=[styles[model].colour for model in rows],
        )
        axes.invert_yaxis()
        axes.minorticks_off()
        axes.axvline(first.settings["chance"], color="black", linewidth=1.2, linestyle="--")
        axes.set_xlabel("mean log-posterior on Geant4 showers")
        caption = (
            f"A classifier between the models is asked about Geant4 showers ({first.title}). Further right: "
            "more like Geant4 than the other models; dashed: all models alike."
        )
        yield Plot(name.replace(".", "_"), _SECTION, caption, figure)
