"""How figures look: mplhep's style, no pyplot state."""

from __future__ import annotations

import io
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal

import matplotlib as mpl
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["new_figure", "pdf", "png", "style"]

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
