"""How figures look: mplhep's style, colours that colour-blind readers can tell apart, no pyplot state."""

from __future__ import annotations

import io
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import matplotlib as mpl
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["REFERENCE", "Line", "model_styles", "new_figure", "pdf", "png", "style"]

REFERENCE = "Geant4"

_COLOURS = ("#3f90da", "#bd1f01", "#ffa90e", "#832db6", "#a96b59", "#e76300", "#717581", "#92dadd")
_LINES = ("-", (0, (5, 1.5)), (0, (1.2, 1.2)), (0, (5, 1.5, 1.2, 1.5)))
_OVERRIDES = {
    "font.size": 17,
    "axes.linewidth": 1.3,
    "xtick.major.size": 8,
    "xtick.minor.size": 4,
    "ytick.major.size": 8,
    "ytick.minor.size": 4,
    "legend.fontsize": 15,
    "axes.titlesize": 17,
    "figure.facecolor": "white",
    "axes.facecolor": "white",
    "image.cmap": "viridis",
    "pdf.fonttype": 42,
}
_DPI, _WIDE_DPI, _WIDE = 120, 96, 12.0
"""Dots per inch of the page's pictures; fewer for those wider than so many inches."""

_MESH_DPI = 150
_COMPRESSION = 4


class Line(NamedTuple):
    """Colour and dashes of a model."""

    colour: str
    dashes: Any


@contextmanager
def style() -> Iterator[None]:
    """Use the style of the report for all figures made and saved inside of the ``with`` block."""
    import mplhep

    sheet: Any = {**{k: v for k, v in mplhep.style.ROOT.items() if v is not None}, **_OVERRIDES}
    with mpl.rc_context(sheet):
        yield


def new_figure(width: float, height: float, *, layout: Literal["constrained"] | None = None) -> Figure:
    """An empty figure [inches] that pyplot does not know; ``layout`` costs as much as drawing it twice."""
    figure = Figure(figsize=(width, height), layout=layout)
    FigureCanvasAgg(figure)
    return figure


def model_styles(names: Sequence[str]) -> dict[str, Line]:
    """Colour and line of every model; the same in all figures."""
    return {name: Line(_COLOURS[i % len(_COLOURS)], _LINES[i % len(_LINES)]) for i, name in enumerate(names)}


def png(figure: Figure) -> bytes:
    """A figure as a picture, the same bytes every time."""
    buffer = io.BytesIO()
    dpi = _WIDE_DPI if figure.get_figwidth() > _WIDE else _DPI
    figure.savefig(buffer, format="png", dpi=dpi, pil_kwargs={"compress_level": _COMPRESSION})
    return buffer.getvalue()


def pdf(figure: Figure) -> bytes:
    """A figure as vectors (what is ``rasterized`` as pixels), the same bytes every time."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="pdf", dpi=_MESH_DPI, metadata={"CreationDate": None})
    return buffer.getvalue()
