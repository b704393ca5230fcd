"""Mosaic's lattices, intervals and the plan of splits."""

from __future__ import annotations

import numpy as np
import pytest

from caloforge.geometry import Geometry, cell_symmetries, load_geometry
from caloforge.models.mosaic.intervals import Intervals
from caloforge.models.mosaic.lattice import blocks_of, lattice_of
from caloforge.models.mosaic.plan import MOST_EXACT, Plan, build_plan
from caloforge.models.mosaic.program import COPY, PATTERN, SPLIT, SUM

BOXES, RINGS = "siw-ecal", "cylinder-ds2"


@pytest.fixture(scope="module", params=[BOXES, RINGS])
def geometry(request: pytest.FixtureRequest) -> Geometry:
    return load_geometry(request.param)


@pytest.fixture(scope="module")
def plan(geometry: Geometry) -> Plan:
    return build_plan(geometry)


@pytest.mark.parametrize(
    ("name", "sectors", "cells"),
    [
        (BOXES, 4, [1, 8, 27, 45, 144]),  # the corner; 3 x 3 less it; 36, 81, 225 less what is inside
        (RINGS, 4, [4, 4, 4, 8, 16]),  # four angles times one, one, one, two, four rings
        ("cylinder-ds3", 10, [5, 5, 5, 10, 15, 15, 15, 15, 5]),
    ],
)
def test_rings_of_a_sector(name: str, sectors: int, cells: list[int]) -> None:
    lattice = lattice_of(load_geometry(name))
    assert lattice.sectors == sectors
    assert [sum(len(b.cells) for b in blocks_of(ring)) for ring in lattice.rings] == cells


def test_every_cell_of_a_layer_is_in_one_block(geometry: Geometry) -> None:
    lattice = lattice_of(geometry)
    blocks = [block for ring in lattice.rings for block in blocks_of(ring)]
    cells = [lattice.find(q, *cell) for q in range(lattice.sectors) for b in blocks for cell in b.cells]
    assert sorted(cells) == list(range(lattice.cells))


@pytest.mark.parametrize(
    ("sector", "place", "cell"),
    [
        (3, (0, 0), (15, 15)),
        (0, (0, 0), (14, 14)),
        (1, (2, 1), (17, 13)),
        (3, (-1, 4), (14, 19)),  # beyond the axis in x
        (2, (0, -2), (14, 13)),
    ],
)
def test_places_of_quadrants(sector: int, place: tuple[int, int], cell: tuple[int, int]) -> None:
    lattice = lattice_of(load_geometry(BOXES))
    assert lattice.find(sector, *place) == cell[0] * 30 + cell[1]
    assert lattice.find(sector, 15, 0) == -1


def test_angles_go_round_and_rings_end() -> None:
    lattice = lattice_of(load_geometry(RINGS))  # 16 angles, 9 rings, rings run fastest
    assert lattice.find(0, 2, -1) == 15 * 9 + 2
    assert lattice.find(3, 0, 4) == 0
    assert lattice.find(1, 8, 0) == 4 * 9 + 8
    assert lattice.find(1, 9, 0) == lattice.find(1, -1, 0) == -1


@pytest.mark.parametrize(("name", "turns"), [(BOXES, 8), (RINGS, 8), ("cylinder-ds3", 20)])
def test_turns_that_take_sectors_to_sectors(name: str, turns: int) -> None:
    geometry = load_geometry(name)
    lattice = lattice_of(geometry)
    found = lattice.turns_of_sectors(cell_symmetries(geometry)[:, : lattice.cells])
    assert found.shape == (turns, lattice.sectors)
    assert (np.sort(found, axis=1) == np.arange(lattice.sectors)).all()


def test_thick_and_thin_absorbers_are_halved_apart() -> None:
    intervals = Intervals.of(load_geometry(BOXES))
    assert [(i.start, i.stop) for i in intervals.roots] == [(0, 20), (20, 30)]
    assert [(i.start, i.stop) for i in intervals.levels[1]] == [(0, 10), (10, 20), (20, 25), (25, 30)]
    assert [(i.start, i.stop) for i in intervals.layer] == [(n, n + 1) for n in range(30)]
    assert len(intervals.all) == 2 * 30 - 2  # every halving makes two of one


def test_long_roots_are_parted_evenly() -> None:
    intervals = Intervals.of(load_geometry(BOXES), longest=8)
    assert [(i.start, i.stop) for i in intervals.roots] == [(0, 6), (6, 13), (13, 20), (20, 25), (25, 30)]


def test_steps_draw_every_node_once(plan: Plan) -> None:
    program = plan.program
    drawn = [
        program.child[program.child_start[step] : program.child_start[step + 1]]
        for step in range(program.steps)
        if program.kind[step] != SUM
    ]
    children = np.concatenate([*drawn, program.root])
    assert len(np.unique(children)) == len(children)
    assert np.isin(program.cell, children).all()


def test_parents_come_before_their_children(plan: Plan) -> None:
    program, known = plan.program, set(plan.program.root.tolist())
    for step in range(program.steps):
        children = program.child[program.child_start[step] : program.child_start[step + 1]].tolist()
        if program.kind[step] == SUM:
            assert known.issuperset(children)
            known.add(int(program.parent[step]))
        else:
            assert int(program.parent[step]) in known
            known.update(children)


def test_room_adds_up(plan: Plan, geometry: Geometry) -> None:
    program = plan.program
    assert program.capacity[program.root].sum() == geometry.n_cells
    assert (program.capacity[program.cell] == 1).all()
    for step in np.flatnonzero(program.kind != SUM)[::50]:
        children = program.child[program.child_start[step] : program.child_start[step + 1]]
        assert program.capacity[children].sum() == program.capacity[program.parent[step]]


def test_steps_ask_as_many_places_as_their_tables_have(plan: Plan) -> None:
    program = plan.program
    places, children = np.diff(program.context_start), np.diff(program.child_start)
    for step in np.flatnonzero(program.kind < COPY):
        for number in (program.few[step], program.many[step]):
            table = plan.tables[number]
            assert (table.context, table.children) == (places[step], children[step])
            assert table.kind == program.kind[step]
    assert program.context.max() < program.places


def test_hits_are_drawn_one_by_one_as_far_as_there_are_trees(plan: Plan) -> None:
    program = plan.program
    split = program.kind == SPLIT
    assert program.exact[split].max() <= MOST_EXACT
    full = program.capacity[program.parent] <= program.exact
    assert (program.few[split & full] >= 0).all()
    assert program.capacity[program.parent[program.kind == PATTERN]].max() <= 16


def test_sectors_of_leaning_showers_are_told_where_they_share_tables() -> None:
    geometry = load_geometry("siw-ecal")
    upright, leaning = (build_plan(geometry, leaning=leaning) for leaning in (False, True))
    longer = {
        one.name: other.context - one.context
        for one, other in zip(upright.tables, leaning.tables, strict=True)
    }
    shared = {f"{kind} {ring} " for kind in ("cells", "cut", "few cut") for ring in (3, 4)}
    expected = {name for name in longer if name.startswith(tuple(shared))}
    assert {name for name, more in longer.items() if more == 2} == expected
    assert set(longer.values()) == {0, 2}
    program, nodes = leaning.program, leaning.nodes
    constants = 2 * nodes.count + program.conditions
    name = next(n for n, table in enumerate(leaning.tables) if table.name.startswith("cells 3 sector 1"))
    told = {
        tuple(program.context[program.context_start[s + 1] - 2 : program.context_start[s + 1]] - constants)
        for s in np.flatnonzero(program.few == name)
    }
    assert told == {(1, 1), (2, 0), (3, 1)}
