from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from caloforge.errors import DataError, GeometryError
from caloforge.formats import open_showers
from caloforge.geometry import (
    BoxGrid,
    Geometry,
    Layer,
    PolarGrid,
    Slab,
    place,
    project,
    to_dense,
    to_points,
)
from caloforge.showers import Incident, ShowerMeta, Showers
from strategies import cell_showers, geometries, point_showers

if TYPE_CHECKING:
    from pathlib import Path


@given(st.data())
def test_cells_to_centres_and_back(data: st.DataObject) -> None:
    geometry = data.draw(geometries())
    showers = data.draw(cell_showers(geometry))
    points = to_points(showers, geometry)
    assert points.cells is None
    back = project(points, geometry)
    np.testing.assert_array_equal(back.offsets, showers.offsets)
    np.testing.assert_array_equal(back.cells, showers.cells)
    np.testing.assert_array_equal(back.energy, showers.energy)


@given(st.data(), st.integers(0, 2**32 - 1))
def test_cells_to_anywhere_inside_and_back(data: st.DataObject, seed: int) -> None:
    geometry = data.draw(geometries())
    showers = data.draw(cell_showers(geometry))
    points = to_points(showers, geometry, rng=np.random.default_rng(seed))
    assert points.meta.pitch == 0.0
    back = project(points, geometry)
    np.testing.assert_array_equal(back.offsets, showers.offsets)
    np.testing.assert_array_equal(back.cells, showers.cells)


@given(st.data())
def test_dense_holds_every_cell(data: st.DataObject) -> None:
    geometry = data.draw(geometries())
    showers = data.draw(cell_showers(geometry))
    dense = to_dense(showers, geometry)
    assert dense.shape == (len(showers), *geometry.dense_shape)
    flat = dense.reshape(len(showers), -1)
    np.testing.assert_array_equal(flat[showers.shower, showers.cells], showers.energy)
    np.testing.assert_allclose(flat.sum(1), showers.visible_energy, rtol=1e-5)


SQUARES = BoxGrid(nx=8, ny=8, pitch=(4.0, 4.0))
RINGS = PolarGrid(r_edges=(0, 5, 50), n_alpha=3)
WIDE = Geometry(
    name="wide",
    layers=tuple(Layer(grid=g, id=i) for i, g in enumerate([SQUARES, SQUARES, SQUARES, RINGS])),
)


def scaled_up(geometry: Geometry, thickness: float) -> Geometry:
    """The same grids on layers that are thick."""
    slab = Slab(material="Si", thickness=thickness, sensitive=True)
    layers = tuple(Layer(slabs=(slab,), grid=layer.grid, id=layer.id) for layer in geometry.layers)
    return geometry.model_copy(update={"layers": layers})


@given(point_showers(width=30.0, depth=30.0))
def test_energy_is_conserved_inside_of_the_window(showers: Showers) -> None:
    geometry = scaled_up(WIDE, 10.0)
    cells = project(showers, geometry)
    expected = showers.visible_energy * showers.meta.sampling_fraction / geometry.sampling_fraction
    np.testing.assert_allclose(cells.visible_energy, expected, rtol=1e-5)
    assert np.all(cells.n_hits <= showers.n_hits)


@given(point_showers(width=60.0, depth=60.0))
def test_what_lies_outside_is_lost(showers: Showers) -> None:
    geometry = scaled_up(WIDE, 10.0)
    assert showers.points is not None
    x, y, z = showers.points.T
    box = (np.abs(x) < 16) & (np.abs(y) < 16) & (z < 30)
    disc = (np.hypot(x, y) < 50) & (z >= 30) & (z < 40)
    kept = project(showers.keep(box | disc), geometry)
    cells = project(showers, geometry)
    np.testing.assert_array_equal(cells.cells, kept.cells)
    np.testing.assert_array_equal(cells.energy, kept.energy)


@given(point_showers())
def test_cells_are_sorted_and_distinct(showers: Showers) -> None:
    cells = project(showers, scaled_up(WIDE, 10.0))
    for i in range(len(cells)):
        own = cells[i : i + 1].cells
        assert own is not None
        assert np.all(np.diff(own) > 0)


def cloud(points: list[tuple[float, float, float]], energy: list[float], **meta: float) -> Showers:
    return Showers(
        incident=Incident.of(1000.0, phi=0.25),
        offsets=np.array([0, len(points)]),
        energy=np.array(energy),
        points=np.array(points),
        meta=ShowerMeta(**meta),  # type: ignore[arg-type]
    )


def test_threshold_acts_on_the_sum_of_a_cell(siw: Geometry) -> None:
    showers = cloud([(1, 1, 2), (2, 2, 2), (1, -1, 2), (-1, 1, 2)], [0.06, 0.06, 0.06, 0.1])
    cells = project(showers, siw)
    np.testing.assert_array_equal(cells.cells, [14 * 30 + 15, 15 * 30 + 15])
    np.testing.assert_allclose(cells.energy, [0.1, 0.12], rtol=1e-6)
    assert cells.meta == ShowerMeta("siw-ecal", siw.fingerprint, 1.0, 0.0, 0.1)


def test_energies_change_to_the_scale_of_the_geometry(siw: Geometry) -> None:
    calibrated = siw.model_copy(update={"sampling_fraction": 0.02})
    cells = project(cloud([(1, 1, 2)], [3.0], sampling_fraction=0.04), calibrated)
    np.testing.assert_allclose(cells.energy, [6.0])
    assert cells.meta.sampling_fraction == 0.02


def test_zero_deposits_are_no_hits() -> None:
    geometry = scaled_up(WIDE, 10.0)
    assert len(project(cloud([(1, 1, 2)], [0.0]), geometry).energy) == 0


def test_showers_stay_apart(toy_showers: Showers, siw: Geometry) -> None:
    together = project(toy_showers, siw)
    assert together.n_hits[5] == 0
    assert len(together) == 12
    for i in (0, 5, 11):
        alone = project(toy_showers[i : i + 1], siw)
        np.testing.assert_array_equal(alone.cells, together[i : i + 1].cells)
        np.testing.assert_array_equal(alone.energy, together[i : i + 1].energy)


def layer_x_y(cells: Showers) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    assert cells.cells is not None
    return np.unravel_index(cells.cells, (30, 30, 30))  # type: ignore[return-value]


@given(st.integers(-3, 3), st.integers(-3, 3))
def test_shift_by_cells_shifts_the_indices(siw: Geometry, toy_showers: Showers, dx: int, dy: int) -> None:
    pitch = 5.0883
    inner = toy_showers.keep(np.abs(toy_showers.points[:, :2]).max(axis=1) < 12 * pitch)
    shifted = project(place(inner, offset=(dx * pitch, dy * pitch)), siw)
    layer, x, y = layer_x_y(project(inner, siw))
    expected = np.ravel_multi_index((layer, x + dx, y + dy), (30, 30, 30))
    order = np.lexsort((expected, shifted.shower))
    np.testing.assert_array_equal(shifted.cells, expected[order])
    np.testing.assert_array_equal(shifted.energy, project(inner, siw).energy[order])


@pytest.mark.parametrize("turns", [-1, 1, 2, 3])
def test_quarter_turns_permute_the_cells(siw: Geometry, toy_showers: Showers, turns: int) -> None:
    turned = place(toy_showers, rotation=turns * np.pi / 2)
    dense = to_dense(project(turned, siw), siw)
    # x, y -> -y, x: np.rot90 turns the first of its axes towards the second
    expected = np.rot90(to_dense(project(toy_showers, siw), siw), turns, axes=(2, 3))
    np.testing.assert_allclose(dense, expected, rtol=1e-5)
    np.testing.assert_allclose(turned.incident.phi, turns * np.pi / 2)


def test_rotation_comes_before_the_shift() -> None:
    moved = place(cloud([(1, 0, 2)], [1.0]), offset=(10.0, 0.0), rotation=np.pi / 2)
    np.testing.assert_allclose(moved.points, [[10, 1, 2]], atol=1e-6)
    np.testing.assert_allclose(moved.incident.phi, 0.25 + np.pi / 2)


def test_a_moved_cloud_is_off_its_lattice(toy_showers: Showers) -> None:
    assert toy_showers.meta.pitch > 0
    assert place(toy_showers, offset=(0.1, 0.0)).meta.pitch == 0.0
    assert place(toy_showers, rotation=0.3).meta.pitch == 0.0
    assert place(toy_showers, rotation=np.pi).meta.pitch == toy_showers.meta.pitch


def test_placing_leaves_the_original_alone(toy_showers: Showers) -> None:
    before = toy_showers.points.copy()
    place(toy_showers, offset=(5.0, 5.0), rotation=1.0)
    np.testing.assert_array_equal(toy_showers.points, before)


def test_coarse_cells_are_the_sum_of_fine_ones(siw: Geometry, toy_showers: Showers) -> None:
    fine = siw.refine()
    once = project(toy_showers, siw)
    twice = project(to_points(project(toy_showers, fine), fine), siw)
    np.testing.assert_array_equal(twice.cells, once.cells)
    np.testing.assert_allclose(twice.energy, once.energy, rtol=1e-6)


def test_points_of_cells_tell_their_lattice(siw: Geometry, toy_cells: Showers) -> None:
    points = to_points(toy_cells, siw)
    assert points.meta.pitch == pytest.approx(5.0883)
    assert points.meta.threshold == 0.1
    # points can go to any geometry
    assert points.meta.fingerprint == ""


def test_deposits_in_one_cell_add_up_in_dense(siw: Geometry) -> None:
    twice = Showers(
        incident=Incident.of(1000.0),
        offsets=np.array([0, 3]),
        energy=np.array([1.0, 2.0, 4.0]),
        cells=np.array([5, 5, 6]),
    )
    assert to_dense(twice, siw).ravel()[4:8].tolist() == [0.0, 3.0, 4.0, 0.0]


def test_cells_of_another_geometry(siw: Geometry, toy_cells: Showers) -> None:
    for function in (to_points, to_dense):
        with pytest.raises(
            GeometryError, match=r"showers: got cells of 'siw-ecal' \(\w+\), expected cells of"
        ):
            function(toy_cells, siw.coarsen(2))
    unnamed = replace(toy_cells, meta=ShowerMeta())
    with pytest.raises(GeometryError, match="cell indices: got indices"):
        to_dense(unnamed, siw.coarsen(2))
    negative = replace(unnamed, cells=np.full_like(toy_cells.cells, -1))
    with pytest.raises(GeometryError, match="cell indices: got indices -1 to -1"):
        to_dense(negative, siw)


def test_points_and_cells_are_told_apart(siw: Geometry, toy_cells: Showers, toy_showers: Showers) -> None:
    for function in (to_points, to_dense):
        with pytest.raises(DataError, match="points, not cells"):
            function(toy_showers, siw)
    with pytest.raises(DataError, match="cells, not points"):
        project(toy_cells, siw)
    with pytest.raises(DataError, match="cells, not points"):
        place(toy_cells, offset=(1.0, 0.0))


def test_cells_of_geant4_photons(shared: Path, siw: Geometry) -> None:
    """10-100 GeV photons light 538 cells on average."""
    with open_showers(shared / "data" / "siw_photons.h5") as file:
        showers = file.read(5600, 5900)
    cells = project(showers, siw)
    assert cells.n_hits.mean() == pytest.approx(537.7, abs=0.1)
    ratio = cells.visible_energy / showers.incident.energy
    assert 0.02 < ratio.mean() < 0.03
