from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from caloforge.models.mosaic import native
from caloforge.models.mosaic.fit import FitConfig, fit
from caloforge.models.mosaic.levels import LEVELS, drawn_below, is_real, real_nodes
from caloforge.models.mosaic.plan import Plan, build_plan
from caloforge.models.mosaic.program import PATTERN, SPLIT, SUM
from caloforge.models.mosaic.real_cells import RealCells

if TYPE_CHECKING:
    from caloforge.geometry import Geometry

compiled = pytest.mark.skipif(not native.available(), reason="the engine is not compiled")


@pytest.fixture(scope="module")
def plan(siw: Geometry) -> Plan:
    return build_plan(siw)


def showers(geometry: Geometry, count: int) -> RealCells:
    rng = np.random.default_rng(3)
    counts = rng.integers(100, 130, count).astype(np.int32)
    middle = np.arange(geometry.n_cells).reshape(30, 30, 30)[4:20, 11:19, 11:19].ravel()
    cell = np.concatenate([np.sort(rng.choice(middle, n, replace=False)) for n in counts]).astype(np.int32)
    energy = (0.1 + rng.exponential(0.3, len(cell))).astype(np.float32)
    incident = np.full(count, 3e4, np.float32)
    return RealCells(counts, cell, energy, incident, np.full((count, 1), 2000, np.int16))


def test_nodes_of_real_showers_are_sums_of_their_cells(plan: Plan, siw: Geometry) -> None:
    cells = showers(siw, 5)
    real = real_nodes(plan.program, cells)
    assert (real.hits[:, plan.program.root].sum(axis=1) == cells.counts).all()
    above = np.bincount(cells.shower, np.maximum(cells.energy - np.float32(siw.threshold), 1e-4))
    np.testing.assert_allclose(real.excess[:, plan.program.root].sum(axis=1), above, rtol=1e-5)
    layer = plan.nodes.part(7, 2, plan.nodes.lattice.rings[3])  # a ring of a quadrant of the eighth layer
    inside = [plan.nodes.lattice.find(2, i, j) for i in range(9) for j in range(9) if max(i, j) // 3 == 2]
    found = np.isin(cells.cell - 7 * 900, inside)
    assert (real.hits[:, layer] == np.bincount(cells.shower[found], minlength=5)).all()


def test_steps_above_a_level(plan: Plan) -> None:
    kind = plan.program.kind
    splits = (kind == SPLIT).sum()
    assert is_real(plan, "depth").sum() == 0
    assert is_real(plan, "cells").sum() == splits
    # 28 halvings make 30 layers of two kinds of plates; 20 columns each
    assert is_real(plan, "cuts").sum() == 28 * 20
    assert not is_real(plan, "cells")[(kind == PATTERN) | (kind == SUM)].any()


@compiled
def test_what_is_above_stays_real(plan: Plan, siw: Geometry) -> None:
    cells, program = showers(siw, 12), plan.program
    config = FitConfig(copies=1, local_rows=100, split_rows=100, cell_rows=500)
    tables = fit(plan, siw, cells, config, seed=1).tables
    real = real_nodes(program, cells)
    keys = np.arange(12, dtype=np.uint64)
    apart = {}
    for level in LEVELS:
        above = is_real(plan, level)
        counts, cell, _ = drawn_below(program, tables, real, above, codes=cells.codes, keys=keys)
        layers = np.zeros((12, 30), int)
        np.add.at(layers, (np.repeat(np.arange(12), counts), cell // 900), 1)
        true = np.zeros((12, 30), int)
        np.add.at(true, (cells.shower, cells.cell // 900), 1)
        apart[level] = np.abs(layers - true).sum()
        assert (counts <= cells.counts).all()
    assert apart["cuts"] < 0.1 * apart["depth"]
    assert apart["cells"] < 0.1 * apart["depth"]
