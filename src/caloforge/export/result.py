"""What an export came to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from caloforge.export.parity import Latency, Parity

__all__ = ["Export"]


@dataclass(frozen=True)
class Export:
    """What an export came to.

    Attributes:
        target: What was written.
        nodes: Operators of every graph.
        parity: How well its showers agree with the model's.
        latency: How long a shower takes.
        notes: What there is to know besides.
    """

    target: str
    nodes: tuple[int, ...] = ()
    parity: Parity | None = None
    latency: Latency | None = None
    notes: tuple[str, ...] = ()

    @property
    def rows(self) -> list[tuple[str, str]]:
        """A table of it: names and values."""
        found: list[tuple[str, str]] = []
        if self.nodes:
            found.append(("graphs", " + ".join(f"{number} nodes" for number in self.nodes)))
        if self.parity is not None:
            found.append(("parity", str(self.parity)))
        if self.latency is not None:
            found.append(("one shower", str(self.latency)))
        return [*found, *(("note", note) for note in self.notes)]

    def as_dict(self) -> dict[str, Any]:
        """The same as plain values."""
        return {
            "target": self.target,
            "nodes": list(self.nodes),
            "parity": None if self.parity is None else vars(self.parity),
            "latency_ms": None if self.latency is None else vars(self.latency),
            "notes": list(self.notes),
        }
