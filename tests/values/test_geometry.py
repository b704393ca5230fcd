"""Read-outs, positions and directions by hand."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from caloforge.errors import DataError, GeometryError
from caloforge.geometry import (
    BoxGrid,
    Geometry,
    PolarGrid,
    cell_symmetries,
    check_cells,
    find_rings,
    geometry_from_dict,
    load_geometry,
    place,
    project,
    symmetry_turns,
    to_points,
)
from caloforge.geometry.challenge import DISCRETE_ENERGIES, known_set
from caloforge.geometry.neighbours import cell_groups, neighbours
from caloforge.showers import Incident, ShowerMeta, Showers
from caloforge.units import CM, DEGREE, GEV, KEV, MEV, MM, RAD

BOX = {"kind": "box", "nx": 4, "ny": 6, "pitch": [10, 5]}
POLAR = {"kind": "polar", "n_alpha": 8, "r_edges": [0, 10, 30]}


def geometry_of(grid: dict[str, Any], layers: int = 1, **options: Any) -> Geometry:
    slabs = [["W", 2.0], ["Si", 0.5, "sensitive"], ["vacuum", 0.5]]
    content = {"name": "toy", "grid": grid, "layers": [{"repeat": layers, "slabs": slabs}], **options}
    return geometry_from_dict(content, source="test")


def points_at(
    x: float, y: float, z: float, energy: float, *, scale: float = 1.0, phi: float = 0.0
) -> Showers:
    return Showers(
        incident=Incident.of([100.0], theta=0.1, phi=phi),
        offsets=[0, 1],
        energy=[energy],
        points=[[x, y, z]],
        meta=ShowerMeta(sampling_fraction=scale),
    )


def test_units() -> None:
    assert (MEV, GEV, KEV, MM, CM, RAD) == (1.0, 1000.0, 0.001, 1.0, 10.0, 1.0)
    assert math.isclose(180 * DEGREE, math.pi)


def test_depths_by_hand() -> None:
    """Layers of 3 mm, the sensor from 2 to 2.5 mm."""
    geometry = geometry_of(BOX, 3)
    np.testing.assert_allclose(geometry.layer_edges, [0, 3, 6, 9])
    np.testing.assert_allclose(geometry.layer_z, [2.25, 5.25, 8.25])
    z = np.array([-0.1, 0.0, 2.9, 3.0, 8.9, 9.0])
    assert geometry.layer_of(z).tolist() == [-1, 0, 0, 1, 2, -1]


def test_two_sensors_of_a_layer_have_their_common_middle() -> None:
    slabs = [["Si", 1.0, "sensitive"], ["W", 5.0], ["Si", 3.0, "sensitive"]]
    content = {"name": "toy", "grid": BOX, "layers": [{"slabs": slabs}]}
    [z] = geometry_from_dict(content, source="test").layer_z
    assert z == pytest.approx((1 * 0.5 + 3 * 7.5) / 4)


def test_numbers_of_square_cells_by_hand() -> None:
    """x from -20 to 20 mm in steps of 10, y from -15 to 15 in steps of 5, which runs fastest."""
    geometry = geometry_of(BOX, 2)
    x, y, layer = np.array([-20.0, 5.0, 19.9]), np.array([-15.0, -1.0, 14.9]), np.array([0, 0, 1])
    assert geometry.find_cells(x, y, layer).tolist() == [0, 2 * 6 + 2, 24 + 3 * 6 + 5]
    np.testing.assert_allclose(geometry.cell_positions[14], [5.0, -2.5, 2.25])
    x, y = np.array([20.0, 0.0, -20.1, 0.0]), np.array([0.0, 15.0, 0.0, -15.1])
    assert geometry.find_cells(x, y, np.zeros(4, np.int64)).tolist() == [-1] * 4


def test_numbers_of_polar_cells_by_hand() -> None:
    """Angles from -pi on in eighths of a turn, radii 0, 10, 30 mm, which run fastest."""
    geometry = geometry_of(POLAR)
    angle, radius = np.array([-179.0, -1.0, 1.0, 100.0]) * DEGREE, np.array([5.0, 20.0, 5.0, 29.0])
    x, y = radius * np.cos(angle), radius * np.sin(angle)
    found = geometry.find_cells(x, y, np.zeros(4, np.int64))
    assert found.tolist() == [0, 3 * 2 + 1, 4 * 2, 6 * 2 + 1]
    edges = geometry.find_cells(np.array([0.0, 10.0, 30.0, -5.0]), np.zeros(4), np.zeros(4, np.int64))
    assert edges.tolist() == [4 * 2, 4 * 2 + 1, -1, 7 * 2]  # at half a turn the last angle
    middle = 22.5 * DEGREE
    expected = [20 * math.cos(middle), 20 * math.sin(middle), 2.25]
    np.testing.assert_allclose(geometry.cell_positions[9], expected, rtol=1e-5)


def test_points_fill_a_square_cell() -> None:
    geometry = geometry_of(BOX)
    count = 20_000
    cells = Showers(
        incident=Incident.of([100.0]),
        offsets=[0, count],
        energy=np.ones(count),
        cells=np.full(count, 14),
        meta=ShowerMeta(geometry="toy", fingerprint=geometry.fingerprint),
    )
    points = to_points(cells, geometry, rng=np.random.default_rng(0)).points
    assert points is not None
    for values, centre, width in ((points[:, 0], 5.0, 10.0), (points[:, 1], -2.5, 5.0)):
        assert values.mean() == pytest.approx(centre, abs=0.02 * width)
        assert values.std() == pytest.approx(width / 12**0.5, rel=0.02)
        assert values.min() == pytest.approx(centre - width / 2, abs=0.01 * width)
        assert values.max() == pytest.approx(centre + width / 2, abs=0.01 * width)


def test_points_fill_a_piece_of_a_ring() -> None:
    geometry = geometry_of(POLAR)
    count = 20_000
    cells = Showers(
        incident=Incident.of([100.0]),
        offsets=[0, count],
        energy=np.ones(count),
        cells=np.full(count, 9),
        meta=ShowerMeta(geometry="toy", fingerprint=geometry.fingerprint),
    )
    points = to_points(cells, geometry, rng=np.random.default_rng(0)).points
    assert points is not None
    radius, angle = np.hypot(points[:, 0], points[:, 1]), np.arctan2(points[:, 1], points[:, 0])
    ends = [radius.min(), radius.max(), angle.min() / DEGREE, angle.max() / DEGREE]
    np.testing.assert_allclose(ends, [10, 30, 0, 45], atol=0.05)
    assert angle.std() / DEGREE == pytest.approx(45 / 12**0.5, rel=0.02)


def test_clouds_turn_counter_clockwise_with_their_particle() -> None:
    moved = place(points_at(3.0, 0.0, 1.0, 1.0, phi=0.2), rotation=math.pi / 2, offset=(10.0, 20.0))
    assert moved.points is not None
    np.testing.assert_allclose(moved.points[0], [10.0, 23.0, 1.0], atol=1e-6)
    assert moved.incident.phi[0] == pytest.approx(0.2 + math.pi / 2)
    turned = place(points_at(0.0, 3.0, 1.0, 1.0), rotation=math.pi / 2)
    assert turned.points is not None
    np.testing.assert_allclose(turned.points[0], [-3.0, 0.0, 1.0], atol=1e-6)
    assert place(turned).points is not None
    np.testing.assert_array_equal(place(turned).points, turned.points)


def test_quarter_turns_keep_the_grid_of_a_cloud() -> None:
    cloud = points_at(0.5, 1.5, 1.0, 1.0)
    cloud = replace(cloud, meta=replace(cloud.meta, pitch=1.0))
    assert place(cloud, rotation=math.pi / 2).meta.pitch == 1.0
    assert place(cloud, rotation=0.1).meta.pitch == 0.0
    assert place(cloud, offset=(0.1, 0.0)).meta.pitch == 0.0


def test_directions_by_hand() -> None:
    way = Incident.of([1.0], theta=30 * DEGREE, phi=60 * DEGREE).direction[0]
    np.testing.assert_allclose(way, [0.25, 0.75**0.5 / 2, 0.75**0.5])


def test_energies_are_projected_onto_the_scale_of_the_geometry() -> None:
    """A raw deposit of 0.1 MeV is 2 MeV where deposits are divided by 1/20."""
    geometry = geometry_of(BOX, sampling_fraction=0.05)
    cells = project(points_at(1.0, 1.0, 1.0, 0.1), geometry)
    assert cells.energy.tolist() == pytest.approx([2.0])
    assert cells.meta.sampling_fraction == 0.05
    raw = project(points_at(1.0, 1.0, 1.0, 2.0, scale=0.05), geometry_of(BOX))
    assert raw.energy.tolist() == pytest.approx([0.1])


@pytest.mark.parametrize(("energy", "hits"), [(0.5, 1), (0.49, 0)])
def test_cells_at_the_threshold_are_read_out(energy: float, hits: int) -> None:
    cells = project(points_at(1.0, 1.0, 1.0, energy), geometry_of(BOX, threshold=0.5))
    assert cells.n_hits.tolist() == [hits]


def test_particles_have_energy() -> None:
    with pytest.raises(DataError, match="finite and positive"):
        Incident.of([0.0])


def test_cells_have_numbers_of_the_geometry() -> None:
    geometry = geometry_of(BOX)
    for cell in (-1, 24):
        one = Showers(incident=Incident.of([1.0]), offsets=[0, 2], energy=[1.0, 1.0], cells=[cell, 3])
        with pytest.raises(GeometryError, match="0 to 23"):
            check_cells(one, geometry)


# neighbours and symmetries


def test_neighbours_by_hand() -> None:
    found = neighbours(geometry_of(BOX, 4))
    assert set(found) == {"x", "y", "next layer", "layer after next"}
    cell = 14  # x 2, y 2 of layer 0
    neighbour = {name: int(table[cell]) for name, table in found.items()}
    assert neighbour == {"x": 20, "y": 15, "next layer": 14 + 24, "layer after next": 14 + 48}
    assert (found["x"][18], found["y"][5], found["next layer"][72]) == (-1, -1, -1)
    rings = neighbours(geometry_of(POLAR))
    assert (rings["alpha"][3], rings["alpha"][15], rings["r"][2], rings["r"][3]) == (5, 1, 3, -1)


def test_blocks_that_do_not_divide_the_grid() -> None:
    """4 x 6 cells in blocks of 4: one and a half in y."""
    group, count = cell_groups(geometry_of(BOX, 2), block=4)
    assert count == 4
    assert group.reshape(2, 4, 6)[0].tolist() == [[0, 0, 0, 0, 1, 1]] * 4
    odd, count = cell_groups(geometry_of({**BOX, "ny": 5}), block=2)
    assert count == 6
    assert odd.reshape(4, 5)[2].tolist() == [3, 3, 4, 4, 5]
    small, count = cell_groups(geometry_of(BOX), block=2)
    assert count == 6
    assert small.reshape(4, 6)[3].tolist() == [3, 3, 4, 4, 5, 5]


@pytest.mark.parametrize("grid", [{**BOX, "ny": 4, "pitch": [10, 10]}, POLAR])
def test_cells_turn_as_positions_do(grid: dict[str, Any]) -> None:
    geometry = geometry_of(grid, 2)
    maps, turns = cell_symmetries(geometry), symmetry_turns(geometry)
    assert len(maps) == len(turns) == (8 if grid["kind"] == "box" else 16)
    place = geometry.cell_positions
    for to, turn in zip(maps, turns, strict=True):
        np.testing.assert_allclose(place[to][:, :2], place[:, :2] @ turn.T, atol=1e-3)
        np.testing.assert_allclose(place[to][:, 2], place[:, 2])
    assert len({tuple(m) for m in maps}) == len(maps)


def test_rings_of_a_square_by_hand() -> None:
    """4 x 4 cells of 10 mm: four in the middle, eight beside them, four in the corners."""
    rings = find_rings(geometry_of({**BOX, "ny": 4, "pitch": [10, 10]}))
    assert rings.size.tolist() == [4, 8, 4]
    np.testing.assert_allclose(rings.radius, np.array([50, 250, 450]) ** 0.5)


# the challenge


def test_data_set_1_has_powers_of_two_from_256_mev() -> None:
    assert DISCRETE_ENERGIES[[0, 4, -1]].tolist() == [256.0, 4096.0, 4194304.0]
    assert len(DISCRETE_ENERGIES) == 15
    photons = load_geometry("calochallenge-1-photons")
    known = known_set(photons, np.array([256.0, 4194304.0]))
    assert known is not None
    assert known.name == "calochallenge-1-photons"
    assert known_set(photons, np.array([128.0])) is None
    assert known_set(photons, np.array([300.0])) is None


def test_data_sets_2_and_3_have_energies_of_1_gev_to_1_tev() -> None:
    cylinder = load_geometry("calochallenge-2")
    assert known_set(cylinder, np.array([1e3, 1e6])) is not None
    assert known_set(cylinder, np.array([0.9e3])) is None
    assert known_set(cylinder, np.array([1.1e6])) is None


def test_refined_grids_keep_their_window() -> None:
    fine = BoxGrid(nx=3, ny=2, pitch=(4.0, 6.0), centre=(1.0, -1.0)).refined(2)
    assert (fine.shape, fine.pitch, fine.low) == ((6, 4), (2.0, 3.0), (-5.0, -7.0))
    rings = PolarGrid(r_edges=(0.0, 10.0, 30.0), n_alpha=2).refined(2)
    assert (rings.r_edges, rings.n_alpha) == ((0.0, 5.0, 10.0, 20.0, 30.0), 4)
