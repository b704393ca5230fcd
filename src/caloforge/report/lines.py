"""Names, colours and lines of samples: colour-blind readers can tell them apart."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["REFERENCE", "Line", "model_styles"]

REFERENCE = "Geant4"

_COLOURS = ("#3f90da", "#bd1f01", "#ffa90e", "#832db6", "#a96b59", "#e76300", "#717581", "#92dadd")
_LINES = ("-", (0, (5, 1.5)), (0, (1.2, 1.2)), (0, (5, 1.5, 1.2, 1.5)))


class Line(NamedTuple):
    """Colour and dashes of a model."""

    colour: str
    dashes: Any


def model_styles(names: Sequence[str]) -> dict[str, Line]:
    """Colour and line of every model; the same in all figures."""
    return {name: Line(_COLOURS[i % len(_COLOURS)], _LINES[i % len(_LINES)]) for i, name in enumerate(names)}
