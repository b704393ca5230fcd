"""Cells that touch: hits beside hits are more frequent than the trees of patterns find out by themselves."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from caloforge.models.mosaic.lattice import Block

__all__ = ["TOUCHES", "Near", "near", "touching"]

_SAME, _SIDE, _CORNER = 0, 1, 2  # steps to both sides of the grid, squared, from one to the other
_OWN, _BEFORE = 0, 3  # the layer

TOUCHES = (_OWN + _SIDE, _OWN + _CORNER, _BEFORE + _SAME, _BEFORE + _SIDE, _BEFORE + _CORNER)
"""Ways in which cells touch: a side, a corner; in the layer before the same cell, a side, a corner."""


def touching(
    places: Sequence[tuple[int, int]], block: Block, first: int, ways: Sequence[int]
) -> Iterator[tuple[int, int, int]]:
    """Which of some cells touch which of a block.

    Args:
        places: Of the cells, in the block's frame, one after the other in the context.
        block: The block.
        first: Where they begin in the context.
        ways: Those of ``TOUCHES`` that are meant.

    Yields:
        Place in the context, place among the block's cells, way.
    """
    layer = ways[0] // _BEFORE * _BEFORE
    for number, (i, j) in enumerate(places):
        for child, (a, b) in enumerate(block.cells):
            apart = max(abs(i - a), abs(j - b)), abs(i - a) + abs(j - b)
            if apart[0] <= 1 and layer + apart[1] in ways:
                yield first + number, child, layer + apart[1]


class Near(NamedTuple):
    """What lies around a block: places beside it, those of its window, and which of both touch which cell.

    Attributes:
        around: In its own layer.
        window: In the layer before.
        touches: Place in ``around`` and ``window`` on end, place among the block's cells, way.
    """

    around: tuple[tuple[int, int], ...]
    window: tuple[tuple[int, int], ...]
    touches: tuple[tuple[int, int, int], ...]


@lru_cache(maxsize=1024)  # the same in all layers and sectors
def near(block: Block) -> Near:
    """What lies around a block."""
    window = tuple(block.window(1))
    around = tuple(place for place in window if place not in block.cells)
    own, before = touching(around, block, 0, TOUCHES[:2]), touching(window, block, len(around), TOUCHES[2:])
    return Near(around, window, (*own, *before))
