"""Real showers as flat arrays of cells, turned and mirrored."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["RealCells"]


@dataclass(frozen=True)
class RealCells:
    """The cells of ``n`` showers, with ``H`` hits together.

    Attributes:
        counts: Hits of every shower, ``(n,)`` int32.
        cell: Flat cell indices, rising in every shower, ``(H,)`` int32.
        energy: Of the cells [MeV], ``(H,)`` float32.
        incident: Energies of the particles [MeV], ``(n,)`` float32.
        codes: Of the conditions, ``(n, conditions)`` int16.
    """

    counts: NDArray[np.int32]
    cell: NDArray[np.int32]
    energy: NDArray[np.float32]
    incident: NDArray[np.float32]
    codes: NDArray[np.int16]

    def __len__(self) -> int:
        return len(self.counts)

    @property
    def shower(self) -> NDArray[np.int64]:
        """The shower of every hit, ``(H,)``."""
        return np.repeat(np.arange(len(self)), self.counts)

    def turned(self, turns: NDArray[np.integer], choice: NDArray[np.integer]) -> RealCells:
        """Every shower by one of the read-out's symmetries.

        Args:
            turns: Where they take every cell, ``(S, n_cells)``.
            choice: Which one, ``(n,)``.
        """
        shower = self.shower
        cell = turns[choice[shower], self.cell]
        order = np.lexsort((cell, shower))
        moved = cell[order].astype(np.int32)
        return RealCells(self.counts, moved, self.energy[order], self.incident, self.codes)

    def first(self, number: int) -> RealCells:
        """The first ``number`` showers."""
        hits = int(self.counts[:number].sum())
        return RealCells(
            self.counts[:number],
            self.cell[:hits],
            self.energy[:hits],
            self.incident[:number],
            self.codes[:number],
        )

    def copies(self, turns: NDArray[np.integer], number: int, rng: np.random.Generator) -> RealCells:
        """So many of every shower, each turned by chance."""
        made = [self.turned(turns, rng.integers(len(turns), size=len(self))) for _ in range(number)]
        return RealCells(
            *(
                np.concatenate([getattr(copy, name) for copy in made])
                for name in ("counts", "cell", "energy", "incident", "codes")
            )
        )

    def shuffled(self, rng: np.random.Generator) -> RealCells:
        """The same showers in another order."""
        order = rng.permutation(len(self))
        ends = np.cumsum(self.counts, dtype=np.int64)
        counts = self.counts[order]
        inside = np.arange(len(self.cell)) - np.repeat(np.cumsum(counts, dtype=np.int64) - counts, counts)
        hits = np.repeat((ends - self.counts)[order], counts) + inside
        return RealCells(counts, self.cell[hits], self.energy[hits], self.incident[order], self.codes[order])
