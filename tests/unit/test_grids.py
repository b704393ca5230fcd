from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from caloforge.geometry import BoxGrid, PolarGrid
from strategies import box_grids, grids, polar_grids

Grid = BoxGrid | PolarGrid


@given(grids())
def test_every_centre_lies_in_its_cell(grid: Grid) -> None:
    centres = grid.centres()
    assert centres.shape == (grid.n_cells, 2)
    np.testing.assert_array_equal(grid.find(*centres.T), np.arange(grid.n_cells))


@given(grids(), st.integers(0, 2**32 - 1))
def test_extents_are_those_of_the_cells(grid: Grid, seed: int) -> None:
    """Positions within (beyond) half the extents from the centre are inside (outside) of the cell."""
    shift = np.random.default_rng(seed).choice([-0.49, 0.49], (grid.n_cells, 2)) * grid.extents()
    np.testing.assert_array_equal(grid.find(*moved(grid, shift).T), np.arange(grid.n_cells))
    beyond = np.array([0.51, 0.0]) * grid.extents()
    assert not np.any(grid.find(*moved(grid, beyond).T) == np.arange(grid.n_cells))


def moved(grid: Grid, shift: np.ndarray) -> np.ndarray:
    """Cell centres moved along x and y, or along r and alpha."""
    centres = grid.centres()
    if isinstance(grid, BoxGrid):
        return centres + shift
    r = np.hypot(*centres.T) + shift[:, 0]
    alpha = np.arctan2(centres[:, 1], centres[:, 0]) + shift[:, 1]
    return np.column_stack([r * np.cos(alpha), r * np.sin(alpha)])


def test_outside_of_the_box() -> None:
    grid = BoxGrid(nx=2, ny=3, pitch=(1.0, 2.0), centre=(10.0, 0.0))
    x = np.array([8.99, 9.0, 10.99, 11.0, 10.0, 10.0, 10.0])
    y = np.array([0.0, 0.0, 0.0, 0.0, -3.01, -3.0, 3.0])
    np.testing.assert_array_equal(grid.find(x, y), [-1, 1, 4, -1, -1, 3, -1])


def test_far_positions_are_outside_without_a_warning() -> None:
    far = np.array([1e30, -1e30, 1e36, 0.0], dtype=np.float32)
    grid = BoxGrid(nx=2, ny=2, pitch=(0.1, 0.1))
    np.testing.assert_array_equal(grid.find(far, far), [-1, -1, -1, 3])
    np.testing.assert_array_equal(PolarGrid(r_edges=(0, 1), n_alpha=1).find(far, far), [-1, -1, -1, 0])


def test_box_runs_fastest_in_y() -> None:
    grid = BoxGrid(nx=2, ny=3, pitch=(1.0, 1.0))
    np.testing.assert_allclose(grid.centres()[:4], [[-0.5, -1], [-0.5, 0], [-0.5, 1], [0.5, -1]])


def test_polar_runs_fastest_in_r_and_starts_at_minus_pi() -> None:
    grid = PolarGrid(r_edges=(0.0, 2.0, 6.0), n_alpha=4)
    alpha = np.arctan2(*grid.centres().T[::-1])
    np.testing.assert_allclose(np.hypot(*grid.centres().T), [1, 4] * 4)
    np.testing.assert_allclose(alpha, np.repeat([-0.75, -0.25, 0.25, 0.75], 2) * np.pi)


def test_polar_edges() -> None:
    grid = PolarGrid(r_edges=(1.0, 2.0), n_alpha=2)
    x = np.array([0.0, 0.99, 1.0, 1.99, 2.0, -1.5, -1.5])
    y = np.array([0.0, 0.0, 0.0, 0.0, 0.0, 0.0, -0.0])
    # the cut at pi belongs to the last bin from above and to the first from below
    np.testing.assert_array_equal(grid.find(x, y), [-1, -1, 1, 1, -1, 1, 0])


@given(box_grids(), st.integers(1, 5))
def test_refined_box_has_its_cells_inside_of_the_coarse_ones(grid: BoxGrid, factor: int) -> None:
    fine = grid.refined(factor)
    assert fine.n_cells == grid.n_cells * factor**2
    parents = np.bincount(grid.find(*fine.centres().T), minlength=grid.n_cells)
    np.testing.assert_array_equal(parents, factor**2)


@given(polar_grids(), st.integers(1, 4))
def test_refined_polar_has_its_cells_inside_of_the_coarse_ones(grid: PolarGrid, factor: int) -> None:
    fine = grid.refined(factor)
    assert fine.r_edges[0] == grid.r_edges[0]
    assert fine.r_edges[-1] == grid.r_edges[-1]
    parents = np.bincount(grid.find(*fine.centres().T), minlength=grid.n_cells)
    np.testing.assert_array_equal(parents, factor**2)


@pytest.mark.parametrize("edges", [(0.0, 1.0, 1.0), (2.0, 1.0), (-1.0, 1.0), (1.0,)])
def test_radial_edges_must_rise(edges: tuple[float, ...]) -> None:
    with pytest.raises(ValidationError):
        PolarGrid(r_edges=edges, n_alpha=3)


@pytest.mark.parametrize("fields", [{"nx": 0, "ny": 1}, {"nx": 1, "ny": -1}, {"nx": 1, "ny": 1, "nz": 1}])
def test_box_needs_cells(fields: dict[str, int]) -> None:
    with pytest.raises(ValidationError):
        BoxGrid(pitch=(1.0, 1.0), **fields)


@pytest.mark.parametrize("pitch", [(0.0, 1.0), (1.0, -1.0)])
def test_box_pitch_is_positive(pitch: tuple[float, float]) -> None:
    with pytest.raises(ValidationError):
        BoxGrid(nx=1, ny=1, pitch=pitch)
