from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from caloforge.errors import GeometryError
from caloforge.geometry import (
    BoxGrid,
    Geometry,
    Layer,
    PolarGrid,
    cell_symmetries,
    find_rings,
    load_geometry,
    symmetry_turns,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from caloforge.geometry.grids import Grid

GRIDS: dict[str, Grid] = {
    "even": BoxGrid(nx=6, ny=6, pitch=(5.0, 5.0)),
    "odd": BoxGrid(nx=7, ny=7, pitch=(5.0, 5.0)),
    "polar": PolarGrid(r_edges=(0.0, 2.0, 5.0, 11.0), n_alpha=8),
    "one angle": PolarGrid(r_edges=(0.0, 2.0, 5.0), n_alpha=1),
}
EVERY_GRID = pytest.mark.parametrize("name", GRIDS)
UNEQUAL: dict[str, Grid] = {
    "oblong": BoxGrid(nx=6, ny=4, pitch=(5.0, 5.0)),
    "oblong cells": BoxGrid(nx=6, ny=6, pitch=(5.0, 4.0)),
    "off centre": BoxGrid(nx=6, ny=6, pitch=(5.0, 5.0), centre=(1.0, 0.0)),
}


def geometry_of(*grids: Grid) -> Geometry:
    """A calorimeter with a layer of every grid."""
    return Geometry(name="test", layers=tuple(Layer(grid=grid, id=i) for i, grid in enumerate(grids)))


def positions(geometry: Geometry) -> NDArray[np.float64]:
    return geometry.cell_positions[:, :2].astype(np.float64)


@EVERY_GRID
def test_every_cell_is_in_one_ring_of_its_layer(name: str) -> None:
    geometry = geometry_of(GRIDS[name], GRIDS[name], GRIDS[name])
    rings = find_rings(geometry)
    cells = rings.cells[rings.cells >= 0]
    np.testing.assert_array_equal(np.sort(cells), np.arange(geometry.n_cells))
    np.testing.assert_array_equal((rings.cells >= 0).sum(1), rings.size)
    for number, row in enumerate(rings.cells):
        mine = row[row >= 0]
        assert (rings.ring[mine] == number).all()
        assert (mine // GRIDS[name].n_cells == rings.layer[number]).all()
        distance = np.linalg.norm(positions(geometry)[mine], axis=1)
        np.testing.assert_allclose(distance, rings.radius[number], rtol=1e-5)
    assert len(rings.size) == 3 * rings.per_layer
    by_layer = rings.radius.reshape(3, -1)
    assert (np.diff(by_layer, axis=1) > -1e-6).all()


def test_rings_of_polar_grids_are_their_radii() -> None:
    rings = find_rings(geometry_of(GRIDS["polar"], GRIDS["polar"]))
    assert rings.per_layer == 3
    assert rings.size.tolist() == [8] * 6
    np.testing.assert_array_equal(rings.ring, np.concatenate([np.tile([0, 1, 2], 8), np.tile([3, 4, 5], 8)]))


def test_rings_of_squares() -> None:
    even, odd = (find_rings(geometry_of(GRIDS[name])) for name in ("even", "odd"))
    # (1,1) (1,3) (3,3) (1,5) (3,5) (5,5) in half pitches
    assert even.size.tolist() == [4, 8, 4, 8, 8, 4]
    np.testing.assert_allclose(even.radius, 2.5 * np.sqrt([2, 10, 18, 26, 34, 50]), rtol=1e-6)
    # (0,0) (0,1) (1,1) (0,2) (1,2) (2,2) (0,3) (1,3) (2,3) (3,3) in pitches
    assert odd.size.tolist() == [1, 4, 4, 4, 8, 4, 4, 8, 8, 4]
    assert odd.radius[0] == 0


def test_cells_of_one_distance_are_two_rings_where_no_turn_joins_them() -> None:
    rings = find_rings(geometry_of(BoxGrid(nx=14, ny=14, pitch=(2.0, 2.0))))
    same = np.flatnonzero(np.isclose(rings.radius, np.sqrt(1 + 49)))  # (1, 7) and (5, 5) half pitches
    assert rings.size[same].tolist() == [8, 4]


@EVERY_GRID
def test_symmetries_turn_the_calorimeter_into_itself(name: str) -> None:
    geometry = geometry_of(GRIDS[name], GRIDS[name])
    maps, turns = cell_symmetries(geometry), symmetry_turns(geometry)
    rings = find_rings(geometry)
    size = 8 if isinstance(GRIDS[name], BoxGrid) else 2 * GRIDS[name].shape[0]
    assert len(maps) == len(turns) == size
    assert len(np.unique(maps, axis=0)) == (size if geometry.n_cells > 4 else 1)
    np.testing.assert_array_equal(maps[0], np.arange(geometry.n_cells))
    for cells, turn in zip(maps, turns, strict=True):
        np.testing.assert_array_equal(np.sort(cells), np.arange(geometry.n_cells))
        np.testing.assert_array_equal(rings.ring[cells], rings.ring)
        if name != "one angle":  # whose only cell of a radius has no place
            expected = positions(geometry) @ turn.T.astype(np.float64)
            np.testing.assert_allclose(positions(geometry)[cells], expected, atol=1e-4)


@pytest.mark.parametrize("name", UNEQUAL)
def test_only_squares_have_rings(name: str) -> None:
    geometry = geometry_of(UNEQUAL[name])
    with pytest.raises(GeometryError, match="box grid"):
        find_rings(geometry)
    assert cell_symmetries(geometry).tolist() == [list(range(geometry.n_cells))]
    assert symmetry_turns(geometry).tolist() == [[[1, 0], [0, 1]]]


def test_only_equal_layers_have_rings() -> None:
    geometry = geometry_of(GRIDS["even"], GRIDS["odd"])
    with pytest.raises(GeometryError, match="different grids"):
        find_rings(geometry)
    assert cell_symmetries(geometry).tolist() == [list(range(geometry.n_cells))]
    assert len(symmetry_turns(geometry)) == 1


@pytest.mark.parametrize("name", ["siw-ecal", "calochallenge-2"])
def test_rings_of_real_calorimeters(name: str) -> None:
    geometry = load_geometry(name)
    rings = find_rings(geometry)
    maps = cell_symmetries(geometry)
    assert rings.size.sum() == geometry.n_cells
    assert (rings.ring[maps] == rings.ring).all()
