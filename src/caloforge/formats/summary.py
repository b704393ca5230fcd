"""What a shower file holds, gathered in one pass over its blocks."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from caloforge.formats.base import ShowerReader
    from caloforge.showers import Incident, Showers

__all__ = ["FileSummary", "Spread", "summarise"]


@dataclass
class Spread:
    """Smallest, mean and largest of a quantity, over blocks.

    Attributes:
        count: Values so far.
        low: The smallest.
        high: The largest.
        total: Their sum.
    """

    count: int = 0
    low: float = float("inf")
    high: float = float("-inf")
    total: float = 0.0

    def add(self, values: np.ndarray) -> None:
        """Take a block of values in."""
        if len(values):
            self.count += len(values)
            self.low = min(self.low, float(values.min()))
            self.high = max(self.high, float(values.max()))
            self.total += float(values.sum(dtype=np.float64))

    @property
    def mean(self) -> float:
        """The mean; NaN without values."""
        return self.total / self.count if self.count else float("nan")


@dataclass
class FileSummary:
    """What ``summarise`` found.

    Attributes:
        energy: Incident energies [MeV].
        theta: Angles from the perpendicular [rad].
        phi: Azimuths [rad].
        hits: Hits per shower.
        visible: Sum of a shower's hits over its incident energy.
        hit_energy: Energies of the hits [MeV].
        particles: Showers by particle code.
        empty: Showers without hits.
        kind: "points", "cells" or, without showers, "".
        fast: Sums of what ``caloforge simulate --fast`` noted, by column.
    """

    energy: Spread = field(default_factory=Spread)
    theta: Spread = field(default_factory=Spread)
    phi: Spread = field(default_factory=Spread)
    hits: Spread = field(default_factory=Spread)
    visible: Spread = field(default_factory=Spread)
    hit_energy: Spread = field(default_factory=Spread)
    particles: dict[int, int] = field(default_factory=dict)
    empty: int = 0
    kind: str = ""
    fast: dict[str, float] = field(default_factory=dict)

    def add(self, showers: Showers) -> None:
        """Take a block of showers in."""
        self._add_incident(showers.incident)
        self.kind = "points" if showers.points is not None else "cells"
        self.hits.add(showers.n_hits)
        self.empty += int(np.count_nonzero(showers.n_hits == 0))
        self.visible.add(showers.visible_energy / showers.incident.energy)
        self.hit_energy.add(showers.energy)
        for name, values in showers.extras.items():
            if name.startswith("fast_"):
                self.fast[name] = self.fast.get(name, 0.0) + float(values.sum(dtype=np.float64))

    def _add_incident(self, incident: Incident) -> None:
        self.energy.add(incident.energy)
        self.theta.add(incident.theta)
        self.phi.add(incident.phi)
        for code, count in zip(*np.unique(incident.pdg, return_counts=True), strict=True):
            self.particles[int(code)] = self.particles.get(int(code), 0) + int(count)


def summarise(reader: ShowerReader, *, advance: Callable[[int], None] = lambda _: None) -> FileSummary:
    """Read a file once; memory stays flat.

    Args:
        reader: The open file.
        advance: Called with the number of showers of every block.

    Raises:
        DataError: The file holds showers that cannot be.
        FormatError: The file is damaged.
    """
    summary = FileSummary()
    for block in reader.blocks():
        summary.add(block)
        advance(len(block))
    return summary
