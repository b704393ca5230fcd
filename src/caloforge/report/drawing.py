"""All figures of a report, drawn one after the other."""

from __future__ import annotations

import base64
import struct
from typing import TYPE_CHECKING, NamedTuple

from caloforge.report.cells import cell_plots
from caloforge.report.classifiers import classifier_plots
from caloforge.report.correlations import correlation_plots
from caloforge.report.costs import cost_plots
from caloforge.report.deviations import deviation_plots
from caloforge.report.downstream import downstream_plots
from caloforge.report.events import event_plots, odd_plots
from caloforge.report.gan import gan_plots
from caloforge.report.images import image_plots
from caloforge.report.kinds import kind_plots
from caloforge.report.observables import observable_plots
from caloforge.report.physics import physics_plots
from caloforge.report.projections import projection_plots
from caloforge.report.response import response_plots
from caloforge.report.style import pdf, png, style

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from caloforge.evaluation.outcome import Evaluation
    from caloforge.report.plot import Plot

__all__ = ["Picture", "all_plots", "draw_all"]

_MAKERS: tuple[Callable[[Evaluation], Iterator[Plot]], ...] = (
    observable_plots,
    cell_plots,
    physics_plots,
    response_plots,
    gan_plots,
    kind_plots,
    projection_plots,
    deviation_plots,
    correlation_plots,
    classifier_plots,
    downstream_plots,
    cost_plots,
    image_plots,
)


class Picture(NamedTuple):
    """A figure as the page shows it.

    Attributes:
        key: Name of its files.
        section: Heading that it stands under.
        caption: What it shows.
        uri: The PNG as the address of an image.
        columns: Panels side by side.
        width: In pixels.
        height: In pixels.
    """

    key: str
    section: str
    caption: str
    uri: str
    columns: int
    width: int
    height: int


def all_plots(evaluation: Evaluation) -> Iterator[Plot]:
    """All figures, in the order of the page; save each before asking for the next one."""
    with style():
        for make in _MAKERS:
            yield from make(evaluation)
    yield from odd_plots(evaluation)  # has its own style, as the next
    yield from event_plots(evaluation)


def draw_all(evaluation: Evaluation, folder: Path, *, vectors: bool = True) -> Iterator[Picture]:
    """Draw all figures, write each as PNG and with ``vectors`` as PDF, and give it to the page."""
    for plot in all_plots(evaluation):
        yield _write(plot, folder, vectors=vectors)


def _write(plot: Plot, folder: Path, *, vectors: bool) -> Picture:
    content = png(plot.figure)
    (folder / f"{plot.key}.png").write_bytes(content)
    if vectors:
        (folder / f"{plot.key}.pdf").write_bytes(pdf(plot.figure))
    plot.figure.clear()  # its parts refer to each other, and would stay in memory for long
    uri = "data:image/png;base64," + base64.b64encode(content).decode("ascii")
    width, height = struct.unpack(">II", content[16:24])  # of the PNG's header
    return Picture(plot.key, plot.section, plot.caption, uri, plot.columns, width, height)
