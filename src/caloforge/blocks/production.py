"""What is to be made: showers 0 to n of a request, in numbered blocks."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from caloforge import __version__
from caloforge.formats.native import NativeWriter

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from caloforge.blocks.pool import Task, Worker
    from caloforge.formats.base import WriterFactory
    from caloforge.geometry import Geometry
    from caloforge.showers import Incident, Showers

__all__ = ["Production"]


@dataclass(frozen=True, kw_only=True)
class Production:
    """Showers 0 to ``count`` in blocks; those of a block depend on its range and on ``request`` alone.

    Attributes:
        count: Showers in all.
        size: Showers a block: what a process holds in memory, and what an interruption loses.
        request: Everything that determines the showers, as JSON types; kept beside the blocks, so
            that only the same request goes on with them.
        worker: Picklable; called once in every process. What it returns is called with
            (start, stop) and returns these showers.
        isolate: Use a worker process even for one process, which otherwise works in this process
            with the threads that it has.
        writer: Opens the final file; any format. ``functools.partial(NativeWriter, provenance=...)``
            adds provenance.
        geometry: Given to ``writer``.
        incident: Gives the particles of showers (start, stop), to compare them with those of blocks.
    """

    count: int
    size: int
    request: Mapping[str, Any]
    worker: Worker[Showers]
    isolate: bool = False
    writer: WriterFactory = NativeWriter
    geometry: Geometry | None = None
    incident: Callable[[int, int], Incident] | None = None

    @property
    def blocks(self) -> int:
        """How many blocks there are."""
        return -(-self.count // self.size)

    def block(self, number: int) -> Task:
        """The range (start, stop) of a block, which counts from 0."""
        return number * self.size, min((number + 1) * self.size, self.count)

    def tasks(self) -> list[Task]:
        """The ranges of all blocks in order."""
        return [self.block(number) for number in range(self.blocks)]

    @property
    def text(self) -> str:
        """The request and the program's version as JSON; equal for the same showers in the same blocks."""
        whole = {"caloforge": __version__, **self.request, "count": self.count, "block": self.size}
        return json.dumps(whole, indent=1, sort_keys=True)

    @property
    def fingerprint(self) -> str:
        """SHA-256 of ``text``; every block carries it."""
        return hashlib.sha256(self.text.encode()).hexdigest()
