"""Mean shower images of the reference and of every model, and their ratios."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.colors import LogNorm

from caloforge.geometry import BoxGrid
from caloforge.report.lines import REFERENCE
from caloforge.report.panels import make_panels
from caloforge.report.plot import Plot

if TYPE_CHECKING:
    from collections.abc import Iterator

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from caloforge.evaluation.outcome import Evaluation, SampleData

__all__ = ["image_plots"]

_DECADES = 5.0
_ARCS = 12
_RATIO_DECADES = {"lateral": 4.0, "depth": 3.5}


def image_plots(evaluation: Evaluation) -> Iterator[Plot]:
    """Draw the mean images (inside of ``style()``)."""
    box = any(isinstance(layer.grid, BoxGrid) for layer in evaluation.geometry.layers)
    layers = np.arange(evaluation.geometry.n_layers + 1) - 0.5
    first, second = evaluation.binning.lateral
    section, columns = "Images", 1 + len(evaluation.generated)
    figure = _row(evaluation, "lateral", first, second, ("x [mm]", "y [mm]"), polar=not box)
    caption = "Mean energy per cell, all layers together; below, the ratio to the reference."
    yield Plot("image_lateral", section, caption, figure, columns)
    labels = ("layer", "x [mm]" if box else "r [mm]")
    figure = _row(evaluation, "depth", layers, first if box else second, labels, polar=False)
    caption = "Mean energy against depth and lateral position; below, the ratio to the reference."
    yield Plot("image_depth", section, caption, figure, columns)


def _row(
    evaluation: Evaluation,
    kind: str,
    horizontal: NDArray[np.floating],
    vertical: NDArray[np.floating],
    labels: tuple[str, str],
    *,
    polar: bool,
) -> Figure:
    samples = (evaluation.reference, *evaluation.generated)
    pictures = [_picture(sample, kind) for sample in samples]
    if polar:  # arcs, which would be drawn straight, from many short pieces
        pictures = [np.repeat(picture, _ARCS, axis=1) for picture in pictures]
        horizontal = np.linspace(horizontal[0], horizontal[-1], (len(horizontal) - 1) * _ARCS + 1)
    top = max(float(p.max()) for p in pictures)
    colours = LogNorm(top * 10.0**-_DECADES, top)
    panels = make_panels(len(samples), 2, polar=polar)
    for column, (sample, picture) in enumerate(zip(samples, pictures, strict=True)):
        top_axes, low_axes = (row[column] for row in panels.axes)
        panels.title(REFERENCE if column == 0 else sample.name, 0, column)
        mesh = top_axes.pcolormesh(
            horizontal, vertical, np.maximum(picture, 1e-30), norm=colours, rasterized=True
        )
        if column == 0:
            _label(low_axes, f"ratio to {REFERENCE}\n(where there is\nenough energy)")
            continue
        ratio = _ratio(picture, pictures[0], top * 10.0 ** -_RATIO_DECADES[kind])
        shades = low_axes.pcolormesh(
            horizontal, vertical, ratio, cmap="RdBu_r", vmin=0.5, vmax=1.5, rasterized=True
        )
    for axes in [*panels.axes[0], *panels.axes[1][1:]]:
        _dress(axes, labels, polar=polar)
    panels.bar(mesh, 0, label="MeV per shower")
    panels.bar(shades, 1, label="ratio", extend="both")
    return panels.figure


def _label(axes: Axes, text: str) -> None:
    axes.axis("off")
    axes.text(
        0.97, 0.5, text, transform=axes.transAxes, ha="right", va="center", fontsize=15, color="#444444"
    )


def _picture(sample: SampleData, kind: str) -> NDArray[np.floating]:
    """Mean image with the vertical axis first, as pcolormesh wants it."""
    sums: NDArray[np.floating] = getattr(sample.images, kind)
    mean = sums / max(sample.images.count, 1)
    return mean.T if kind == "lateral" else mean


def _ratio(
    picture: NDArray[np.floating], reference: NDArray[np.floating], least: float
) -> NDArray[np.floating]:
    ratio = np.full_like(reference, np.nan)
    np.divide(picture, reference, out=ratio, where=reference > least)
    return ratio


def _dress(axes: Axes, labels: tuple[str, str], *, polar: bool) -> None:
    axes.grid(visible=False)
    if polar:
        axes.set_xticks([])
        axes.set_yticks([])
        return
    axes.set_xlabel(labels[0])
    axes.set_ylabel(labels[1])
