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
    for block in blocks:
        if waiting and (_is_full(waiting) or _kind(block) != _kind(waiting[0])):
            yield Showers.concatenate(waiting)
            waiting = []
        waiting.append(block)
    if waiting:
        yield Showers.concatenate(waiting)


def _is_full(blocks: list[Showers]) -> bool:
    return sum(map(len, blocks)) >= _SHOWERS or sum(len(block.energy) for block in blocks) >= _HITS


def _kind(block: Showers) -> tuple[object, ...]:
    """What showers of one array have in common."""
    return block.meta, block.points is None, block.source is None, sorted(block.extras)
