"""Which files the event display can be; importing this costs nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from caloforge.errors import OutputError, bad, shown

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["PAGE", "PICTURES", "check_ending"]

PAGE = ".html"
PICTURES = (".png", ".pdf", ".svg")

_LONGEST = 60


def check_ending(path: Path) -> None:
    """Refuse a file that is neither a page nor a picture.

    Raises:
        OutputError: The ending is another.
    """
    if path.suffix not in {PAGE, *PICTURES}:
        name = path.name if len(path.name) <= _LONGEST else f"…{path.name[-_LONGEST:]}"
        expected = f"one of {', '.join((PAGE, *PICTURES))}"
        raise OutputError(bad("ending of the display's file", got=shown(name), expected=expected))
