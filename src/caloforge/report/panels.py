"""Equal panels side by side, with places for colour bars, at fixed distances in inches.

matplotlib's constrained layout finds such places too, for the price of drawing every figure several times.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from caloforge.report.style import new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["Panels", "make_panels"]

_LEFT, _GAP, _BOTTOM, _TOP, _BAR, _BAR_GAP, _RIGHT = 0.95, 0.85, 0.85, 0.5, 0.16, 0.15, 0.95


@dataclass(frozen=True)
class Panels:
    """A figure of ``rows`` x ``columns`` panels.

    Attributes:
        figure: The figure.
        axes: By row, then column.
    """

    figure: Figure
    axes: tuple[tuple[Axes, ...], ...]

    def title(self, text: str, row: int, column: int, *, size: float | None = None) -> None:
        """Write above a panel."""
        # at a place that is told, matplotlib need not look for one
        self.axes[row][column].set_title(text, loc="left", y=1.02, fontsize=size)

    def bar(
        self,
        mesh: Any,
        row: int,
        *,
        label: str = "",
        column: int = -1,
        extend: Literal["neither", "both"] = "neither",
    ) -> None:
        """Draw the colour bar of ``mesh`` to the right of a panel; ``extend``: values may lie beyond."""
        place = self.axes[row][column].get_position()
        width, _ = self.figure.get_size_inches()
        left, bar = place.x1 + _BAR_GAP / width, _BAR / width
        bar_axes = self.figure.add_axes((left, place.y0, bar, place.height))
        self.figure.colorbar(mesh, cax=bar_axes, label=label, extend=extend).minorticks_off()


def make_panels(
    columns: int,
    rows: int = 1,
    *,
    size: tuple[float, float] = (3.7, 3.7),
    bars: bool = False,
    polar: bool = False,
    left: float = _LEFT,
    bottom: float = _BOTTOM,
    top: float = _TOP,
    right: float = _BAR + _BAR_GAP + _RIGHT,
) -> Panels:
    """Make empty panels.

    Args:
        columns: Panels side by side.
        rows: Panels on top of each other.
        size: Width and height of one panel [inches].
        bars: Leave room for a colour bar behind every column, not only behind the last.
        polar: Whether the panels are discs.
        left: Room for the labels of the first column [inches].
        bottom: Room for the labels below a panel [inches].
        top: Room for the title above a panel [inches].
        right: Room for the colour bar of the last column [inches].
    """
    gap = _GAP + (_BAR + _BAR_GAP + 0.55 if bars else 0.0)
    width = left + columns * size[0] + (columns - 1) * gap + right
    height = rows * (bottom + size[1] + top)
    figure = new_figure(width, height)
    projection: Any = {"projection": "polar"} if polar else {}
    grid = [
        tuple(
            figure.add_axes(
                (
                    (left + column * (size[0] + gap)) / width,
                    1.0 - (row * (bottom + size[1] + top) + top + size[1]) / height,
                    size[0] / width,
                    size[1] / height,
                ),
                **projection,
            )
            for column in range(columns)
        )
        for row in range(rows)
    ]
    for row in grid:
        for axes in row:
            axes.minorticks_off()
    return Panels(figure, tuple(grid))
