"""Small blocks together: a file takes many showers at once much faster than one by one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from caloforge.showers import Showers

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = ["gathered"]

_SHOWERS, _HITS = 4096, 1 << 16  # the chunks of caloforge's own format


def gathered(blocks: Iterable[Showers]) -> Iterator[Showers]:
    """The same showers in fewer blocks; those of different kinds stay apart.

    Memory holds a block more than a chunk of the file at most.
    """
    waiting: list[Showers] = []
    showers = hits = 0
    for block in blocks:
        full = showers >= _SHOWERS or hits >= _HITS
        if waiting and (full or _kind(block) != _kind(waiting[0])):
            yield Showers.concatenate(waiting)
            waiting, showers, hits = [], 0, 0
        waiting.append(block)
        showers, hits = showers + len(block), hits + len(block.energy)
    if waiting:
        yield Showers.concatenate(waiting)


def _kind(block: Showers) -> tuple[object, ...]:
    """What showers of one array have in common."""
    return block.meta, block.points is None, block.source is None, sorted(block.extras)
