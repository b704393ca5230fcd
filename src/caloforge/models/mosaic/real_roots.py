"""Real showers' sums over large parts of the read-out: what a new shower starts from."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from caloforge.geometry import cell_symmetries
from caloforge.models.mosaic.lattice import blocks_of
from caloforge.models.mosaic.tables import Roots

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from caloforge.geometry import Geometry
    from caloforge.models.mosaic.nodes import Nodes
    from caloforge.models.mosaic.plan import Plan
    from caloforge.models.mosaic.real_cells import RealCells

__all__ = ["LEAST_EXCESS", "real_roots"]

LEAST_EXCESS = 1e-4
"""Energy above threshold that every hit has at least [MeV]."""


def real_roots(plan: Plan, geometry: Geometry, cells: RealCells, *, nearest: int) -> Roots:
    """Sums of real showers, in the order of their incident energies.

    Args:
        plan: Of the read-out.
        geometry: The read-out.
        cells: The showers.
        nearest: How many one is drawn from.
    """
    root = _root_of_cells(plan.nodes)[cells.cell]
    place = cells.shower * len(plan.program.root) + root
    shape = len(cells), len(plan.program.root)
    size = shape[0] * shape[1]
    excess = np.maximum(cells.energy - np.float32(geometry.threshold), LEAST_EXCESS)
    hits = np.bincount(place, minlength=size).reshape(shape)
    above = np.bincount(place, excess, minlength=size).reshape(shape)
    order = np.argsort(cells.incident, kind="stable")
    return Roots(
        energy=cells.incident[order],
        hits=hits[order].astype(np.int32),
        excess=above[order].astype(np.float32),
        turn=_turns(plan.nodes, geometry),
        nearest=nearest,
    )


def _root_of_cells(nodes: Nodes) -> NDArray[np.int64]:
    """The root column of every cell of the read-out, by its place among the roots."""
    lattice = nodes.lattice
    column = np.empty(lattice.cells, np.int64)
    for ring, tree in enumerate(lattice.rings):
        for sector in range(lattice.sectors):
            cells = [lattice.find(sector, *cell) for block in blocks_of(tree) for cell in block.cells]
            column[cells] = ring * nodes.sectors + sector
    widths = [interval.stop - interval.start for interval in nodes.intervals.roots]
    interval = np.repeat(np.arange(len(widths)), widths)
    return (interval[:, None] * (nodes.rings * nodes.sectors) + column).ravel()


def _turns(nodes: Nodes, geometry: Geometry) -> NDArray[np.int32]:
    """Symmetries as permutations of the root columns, ``(S, R)``."""
    sectors = nodes.lattice.turns_of_sectors(cell_symmetries(geometry)[:, : nodes.lattice.cells])
    first = np.arange(len(nodes.intervals.roots) * nodes.rings) * nodes.sectors
    turns: NDArray[np.int32] = (
        (first[:, None] + sectors[:, None, :]).reshape(len(sectors), -1).astype(np.int32)
    )
    return turns
