"""Hits, energies and codes of the nodes of a block of showers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from caloforge.models.mosaic.codes import constant_codes, deposit_step, energy_code, hit_code
from caloforge.models.mosaic.program import CONSTANTS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from caloforge.models.mosaic.program import Program
    from caloforge.models.mosaic.schedule import Group

__all__ = ["Items", "Put", "State"]


@dataclass(frozen=True, eq=False)
class Items:
    """``m`` steps of showers that have something to share out.

    Attributes:
        group: What the steps are of.
        shower: Place in the block, ``(m,)``.
        row: Step in the group, ``(m,)``.
        hits: Of the parents, ``(m,)``.
        excess: Energies above threshold of the parents [MeV], ``(m,)``.
    """

    group: Group
    shower: NDArray[np.int64]
    row: NDArray[np.int64]
    hits: NDArray[np.int32]
    excess: NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Put:
    """What nodes get, ``(m,)`` each.

    Attributes:
        shower: Place in the block.
        node: Of the shower.
        hits: 0 leaves the node as it is.
        excess: Energy above threshold [MeV].
    """

    shower: NDArray[np.int64]
    node: NDArray[np.int32]
    hits: NDArray[np.int32]
    excess: NDArray[np.float32]


class State:
    """``B`` showers, all nodes empty at first.

    Args:
        program: Of ``nodes`` nodes.
        conditions: Codes of the incident particles, ``(B, conditions)``.

    Attributes:
        hits: ``(B, nodes)`` int32.
        excess: ``(B, nodes)`` float32.
        codes: Energies, hits, conditions, constants, ``(B, places)`` int16.
    """

    def __init__(self, program: Program, conditions: NDArray[np.int16]) -> None:
        showers, nodes = len(conditions), program.nodes
        self._nodes, self._threshold = nodes, np.float32(program.threshold)
        self._step = deposit_step(program.threshold)
        self.hits = np.zeros((showers, nodes), dtype=np.int32)
        self.excess = np.zeros((showers, nodes), dtype=np.float32)
        self.codes = np.zeros((showers, program.places), dtype=np.int16)
        self.codes[:, 2 * nodes : 2 * nodes + program.conditions] = conditions
        self.codes[:, -CONSTANTS:] = constant_codes(CONSTANTS)

    def items(self, group: Group) -> Items:
        """The steps of a group whose parents have hits."""
        hits = self.hits[:, group.parent]
        shower, row = np.nonzero(hits)
        return Items(group, shower, row, hits[shower, row], self.excess[shower, group.parent[row]])

    def put(self, put: Put) -> None:
        """Set nodes, and their codes."""
        some = put.hits > 0
        shower, node, hits, excess = put.shower[some], put.node[some], put.hits[some], put.excess[some]
        self.hits[shower, node] = hits
        self.excess[shower, node] = excess
        self.codes[shower, node] = energy_code(excess + self._threshold * hits.astype(np.float32), self._step)
        self.codes[shower, self._nodes + node] = hit_code(hits)

    def cells(
        self, cell: NDArray[np.int32]
    ) -> tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.float32]]:
        """Cells with hits: how many in every shower, which ones, with what energy [MeV].

        Args:
            cell: The node of every cell.
        """
        hit = self.hits[:, cell] > 0
        shower, place = np.nonzero(hit)
        energy = self.excess[shower, cell[place]] + self._threshold
        return hit.sum(axis=1, dtype=np.int32), place.astype(np.int32), energy
