"""What a figure of the report is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["Plot"]


@dataclass(frozen=True)
class Plot:
    """A figure of the report.

    Attributes:
        key: Name of its files.
        section: Heading that it stands under.
        caption: What it shows.
        figure: The picture.
        columns: Panels side by side; a figure with more than one takes the full width of the page.
    """

    key: str
    section: str
    caption: str
    figure: Figure
    columns: int = 1
