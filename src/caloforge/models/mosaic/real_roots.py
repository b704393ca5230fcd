"""Real showers' sums over large parts of the read-out: what a new shower starts from."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from caloforge.geometry import cell_symmetries
from caloforge.models.mosaic.lattice import blocks_of
from caloforge.models.mosaic.powers import fit_powers
from caloforge.models.mosaic.tables import POWER_UNIT, Roots

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from caloforge.geometry import Geometry
    from caloforge.models.mosaic.nodes import Nodes
    from caloforge.models.mosaic.plan import Plan
    from caloforge.models.mosaic.real_cells import RealCells

__all__ = ["LEAST_EXCESS", "real_roots"]

LEAST_EXCESS = 1e-4
"""Energy above threshold that every hit has at least [MeV]."""


_WINDOW_UNIT = 128 / np.log(2)  # codes of a factor of e


def real_roots(
    plan: Plan,
    geometry: Geometry,
    cells: RealCells,
    *,
    window: float,
    nearest: int,
    turns: NDArray[np.integer] | None = None,
    scale: NDArray[np.integer] | None = None,
) -> Roots:
    """Sums of real showers, in the order of their incident energies.

    Args:
        plan: Of the read-out.
        geometry: The read-out.
        cells: The showers.
        window: Showers whose incident energy differs by less than this part of it are drawn from.
        nearest: So many of them are enough.
        turns: Symmetries of the showers, where they take every cell, ``(S, n_cells)``; by default those of
            the read-out.
        scale: What a code of each condition counts beside one of the energy, times that of the energy,
            ``(C,)``; by default all the same.
    """
    turns = cell_symmetries(geometry) if turns is None else turns
    scale = np.ones(plan.program.conditions, np.int32) if scale is None else scale
    root = _root_of_cells(plan.nodes)[cells.cell]
    place = cells.shower * len(plan.program.root) + root
    shape = len(cells), len(plan.program.root)
    size = shape[0] * shape[1]
    excess = np.maximum(cells.energy - np.float32(geometry.threshold), LEAST_EXCESS)
    hits = np.bincount(place, minlength=size).reshape(shape)
    above = np.bincount(place, excess, minlength=size).reshape(shape)
    order = np.argsort(cells.incident, kind="stable")
    turn = _turns(plan.nodes, turns)
    sums = above + geometry.threshold * hits
    hit_power, energy_power = (_powers(cells.incident, of, turn) for of in (hits, sums))
    return Roots(
        energy=cells.incident[order],
        codes=cells.codes[order],
        hits=hits[order].astype(np.int32),
        excess=above[order].astype(np.float32),
        turn=turn,
        hit_power=np.round(POWER_UNIT * hit_power).astype(np.int32),
        energy_power=np.round(POWER_UNIT * (energy_power - 1)).astype(np.int32),
        scale=scale.astype(np.int32),
        window=round(_WINDOW_UNIT * window * int(scale[0])),
        nearest=nearest,
    )


def _powers(
    incident: NDArray[np.float32], values: NDArray[np.floating | np.integer], turn: NDArray[np.int32]
) -> NDArray[np.float64]:
    """Powers of the incident energy that go with root columns; those that symmetries swap have the same."""
    return fit_powers(incident, values[:, turn].mean(axis=1))


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


def _turns(nodes: Nodes, turns: NDArray[np.integer]) -> NDArray[np.int32]:
    """Symmetries as permutations of the root columns, ``(S, R)``."""
    sectors = nodes.lattice.turns_of_sectors(turns[:, : nodes.lattice.cells])
    first = np.arange(len(nodes.intervals.roots) * nodes.rings) * nodes.sectors
    columns: NDArray[np.int32] = (
        (first[:, None] + sectors[:, None, :]).reshape(len(sectors), -1).astype(np.int32)
    )
    return columns
