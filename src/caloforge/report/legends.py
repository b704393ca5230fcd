"""Legends outside of the axes, where no curve can run into them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from matplotlib.transforms import offset_copy

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.artist import Artist
    from matplotlib.axes import Axes

__all__ = ["above", "below", "columns_for", "legend_height", "row_height"]

_POINT = 1 / 72
_LETTER, _HANDLE, _ROW = 0.5, 3.2, 1.4
"""Mean width of a letter, width of what stands before a name and height of a row, over the font's size."""

_MOST = 3
_TIGHT: Any = {
    "borderaxespad": 0.2,
    "borderpad": 0.2,
    "labelspacing": 0.25,
    "columnspacing": 1.2,
    "handletextpad": 0.6,
}


def columns_for(names: Sequence[str], width: float, size: float) -> int:
    """Columns of a legend that fit into a width [inches] at a font size [points]; at least one."""
    longest = max((len(name) for name in names), default=1)
    return max(1, min(_MOST, len(names), int(width / ((longest * _LETTER + _HANDLE) * size * _POINT))))


def legend_height(names: Sequence[str], width: float, size: float) -> float:
    """Height that the legend of names needs [inches]; ``width`` zero: one name a row."""
    rows = -(-len(names) // columns_for(names, width, size))
    return (rows + 0.4) * row_height(size)


def row_height(size: float) -> float:
    """Height of a row of a legend [inches]."""
    return _ROW * size * _POINT


def above(axes: Axes, width: float, size: float, marks: Sequence[Artist] = ()) -> None:
    """Put the legend above the axes, which are ``width`` inches wide.

    Args:
        axes: Its labelled artists have entries.
        width: Of the axes [inches].
        size: Of the font [points].
        marks: Further entries, in a row of their own; it needs ``row_height`` more.
    """
    handles, names = axes.get_legend_handles_labels()
    lift = row_height(size) if marks else 0.0
    place = {**_TIGHT, "loc": "lower left", "bbox_to_anchor": (0.0, 1.0), "fontsize": size}
    if marks:
        first = axes.legend(marks, [str(mark.get_label()) for mark in marks], ncols=len(marks), **place)
        axes.add_artist(first)
    lifted = offset_copy(axes.transAxes, fig=axes.get_figure(root=True), y=lift)
    columns = columns_for(names, width, size)
    axes.legend(handles, names, ncols=columns, bbox_transform=lifted, **place)


def below(axes: Axes, drop: float, size: float, *, title: str | None = None) -> None:
    """Put the legend, one name a row, ``drop`` heights of the axes below them."""
    place = {**_TIGHT, "loc": "upper left", "bbox_to_anchor": (0.0, -drop), "fontsize": size}
    axes.legend(title=title, title_fontsize=size, alignment="left", **place)
