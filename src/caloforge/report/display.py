"""The event display: one shower or several side by side, to turn in a browser or as a picture.

A panel is a label, one shower and its geometry. ``figures_3d`` and ``html_page`` make the interactive form,
``draw_event`` the picture, ``save_display`` a file of either.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from caloforge.files import replacing
from caloforge.report.endings import PAGE, check_ending
from caloforge.report.interactive import figures_3d, html_page
from caloforge.report.still import draw_event

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from caloforge.report.scene import Panel

__all__ = ["draw_event", "figures_3d", "html_page", "save_display"]


def save_display(
    panels: Sequence[Panel], path: Path, *, energy_cut: float = 0.0, dpi: int = 150, force: bool = False
) -> None:
    """Write the display: ``.html`` to turn and zoom, ``.png``, ``.pdf`` or ``.svg`` as a picture.

    Args:
        panels: For every picture its label, one shower and the geometry.
        path: The file; its ending decides.
        energy_cut: Leave out hits below it [MeV].
        dpi: Dots per inch of a PNG.
        force: Replace the file when it exists.

    Raises:
        DataError: There is no panel, or one has not exactly one shower.
        GeometryError: Cells belong to another geometry.
        OutputError: The ending is another, the file exists, or it cannot be written.
    """
    check_ending(path)
    with replacing(path, force=force) as part:
        if path.suffix == PAGE:
            page = html_page(panels, energy_cut=energy_cut, title=path.stem)
            part.write_text(page, encoding="utf-8")
        else:
            figure = draw_event(panels, energy_cut=energy_cut)
            figure.savefig(part, format=path.suffix[1:], dpi=dpi)
