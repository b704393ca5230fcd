"""Groups of neighbouring layers, halved until each holds one."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Node", "splits_of"]


@dataclass(frozen=True)
class Node:
    """Layers ``start`` to ``stop`` (without it)."""

    start: int
    stop: int

    @property
    def middle(self) -> int:
        """Where it is split."""
        return (self.start + self.stop) // 2

    @property
    def length(self) -> int:
        """Its layers."""
        return self.stop - self.start

    @property
    def halves(self) -> tuple[Node, Node]:
        """The layers in front of the middle, and those behind."""
        return Node(self.start, self.middle), Node(self.middle, self.stop)


def splits_of(n_layers: int) -> tuple[Node, ...]:
    """The nodes that are split, level by level and from front to back: one fewer than layers."""
    found, level = [], [Node(0, n_layers)]
    while level := [node for node in level if node.length > 1]:
        found += level
        level = [half for node in level for half in node.halves]
    return tuple(found)
