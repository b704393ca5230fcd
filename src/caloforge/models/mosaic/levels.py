"""Which level of the tree costs what: real hits and energies above it, drawn ones from it on."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np

from caloforge.models.mosaic.program import PATTERN, SPLIT, SUM
from caloforge.models.mosaic.real_roots import LEAST_EXCESS
from caloforge.models.mosaic.reference import shares
from caloforge.models.mosaic.schedule import waves
from caloforge.models.mosaic.state import Put, State

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from caloforge.models.mosaic.plan import Plan
    from caloforge.models.mosaic.program import Program
    from caloforge.models.mosaic.real_cells import RealCells
    from caloforge.models.mosaic.schedule import Group
    from caloforge.models.mosaic.tables import Tables

__all__ = ["LEVELS", "Level", "RealNodes", "drawn_below", "is_real", "real_nodes"]

Level = Literal["depth", "cuts", "cells"]
LEVELS: tuple[Level, ...] = ("depth", "cuts", "cells")
"""Columns halved in depth, rings cut into blocks, patterns of cells; a level is drawn with all below it."""


class RealNodes(NamedTuple):
    """Hits and energies above threshold [MeV] of all nodes, ``(B, nodes)``; those of sums are left empty."""

    hits: NDArray[np.int32]
    excess: NDArray[np.float32]


def real_nodes(program: Program, cells: RealCells) -> RealNodes:
    """What real showers have in every node that steps share out or end in.

    Args:
        program: Of the read-out.
        cells: ``B`` showers.
    """
    hits = np.zeros((len(cells), program.nodes), np.int32)
    excess = np.zeros((len(cells), program.nodes), np.float32)
    place = cells.shower, program.cell[cells.cell]
    hits[place] = 1
    excess[place] = np.maximum(cells.energy - np.float32(program.threshold), LEAST_EXCESS)
    for step in np.flatnonzero(program.kind != SUM)[::-1]:
        child = program.child[program.child_start[step] : program.child_start[step + 1]]
        hits[:, program.parent[step]] = hits[:, child].sum(axis=1)
        excess[:, program.parent[step]] = excess[:, child].sum(axis=1)
    return RealNodes(hits, excess)


def is_real(plan: Plan, level: Level) -> NDArray[np.bool_]:
    """Which steps lie above a level, ``(T,)``."""
    program = plan.program
    if level == "depth":
        return np.zeros(program.steps, np.bool_)
    above: NDArray[np.bool_] = program.kind == SPLIT
    if level == "cuts":
        cuts = np.array([table.name.startswith(("cut ", "few cut ")) for table in plan.tables])
        above[above] = ~cuts[program.few[above]]
    return above


def drawn_below(
    program: Program,
    tables: Tables,
    real: RealNodes,
    above: NDArray[np.bool_],
    *,
    codes: NDArray[np.int16],
    keys: NDArray[np.uint64],
) -> tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.float32]]:
    """Showers of real roots and of real results of some steps; the others draw, as in ``reference.generate``.

    Args:
        program: Of the read-out.
        tables: Fitted to it.
        real: What the real showers have.
        above: Steps that have their real results, ``(T,)``; with a step those above it.
        codes: Of the conditions, ``(B, conditions)``.
        keys: Of the showers, ``(B,)``.

    Returns:
        Hits of every shower, their cells, their energies [MeV].
    """
    state = State(program, codes)
    state.put(_given(real, program.root))
    for wave in waves(program):
        puts = [put for group in wave for put in _puts(program, tables, state, group, above, real, keys)]
        for put in puts:
            state.put(put)
    return state.cells(program.cell)


def _puts(  # noqa: PLR0917 - those of a step, and where from
    program: Program,
    tables: Tables,
    state: State,
    group: Group,
    above: NDArray[np.bool_],
    real: RealNodes,
    keys: NDArray[np.uint64],
) -> list[Put]:
    given = above[group.step] & (group.kind in {SPLIT, PATTERN})
    puts = []
    if not given.all():
        puts.append(shares(program, tables, state, _rows(group, ~given), keys))
    if given.any():
        child = np.unique(group.child[given])
        puts.append(_given(real, child[child > 0]))
    return puts


def _given(real: RealNodes, nodes: NDArray[np.int32]) -> Put:
    shower, column = np.indices((len(real.hits), len(nodes))).reshape(2, -1)
    node = nodes[column]
    return Put(shower, node, real.hits[shower, node], real.excess[shower, node])


def _rows(group: Group, some: NDArray[np.bool_]) -> Group:
    names = [field.name for field in fields(group) if field.name != "kind"]
    return replace(group, **{name: getattr(group, name)[some] for name in names})
