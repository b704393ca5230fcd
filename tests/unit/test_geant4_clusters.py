from __future__ import annotations

import json
import pickle
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from caloforge.beam import Beam
from caloforge.errors import ConfigError, GeometryError
from caloforge.geant4 import Geant4Worker, Simulation
from caloforge.geant4.clusters import POINT_CUT, Clusters
from caloforge.geant4.stack import SensorDepths, half_width, plates
from caloforge.geometry import Geometry, geometry_from_dict, load_geometry, project
from caloforge.showers import Incident, Showers

BOX = {"kind": "box", "nx": 5, "ny": 4, "pitch": [6.0, 5.0], "centre": [3.0, -2.0]}
POLAR = {"kind": "polar", "n_alpha": 6, "r_edges": [2.0, 5.0, 11.0]}
SLABS = [["vacuum", 1.0], ["Si", 0.5, "sensitive"], ["W", 2.0], ["G4_POLYSTYRENE", 1.5, "sensitive"]]


def geometry_of(*grids: dict[str, object], **options: object) -> Geometry:
    layers = [{"slabs": SLABS, "grid": grid} for grid in grids]
    return geometry_from_dict({"name": "toy", "layers": layers, **options}, source="test")


GEOMETRIES = {
    "box": geometry_of(BOX, BOX, points_per_cell=3),
    "polar": geometry_of(POLAR, POLAR, POLAR),
    "fine polar": geometry_of(POLAR, points_per_cell=4),
    "ragged": geometry_of(BOX, POLAR, {**BOX, "nx": 2}, points_per_cell=2),
}


def random_steps(geometry: Geometry, seed: int, count: int = 400) -> np.ndarray:
    """Steps in the sensors, in and around the windows."""
    rng = np.random.default_rng(seed)
    sensors = [plate for plate in plates(geometry) if plate.sensitive]
    chosen = rng.integers(0, len(sensors), count)
    fronts, widths = (np.array([getattr(s, a) for s in sensors]) for a in ("front", "thickness"))
    z = fronts[chosen] + widths[chosen] * rng.random(count)
    return np.column_stack([rng.normal(0, 9, (count, 2)), z, rng.exponential(0.05, count)])


@pytest.mark.parametrize("name", GEOMETRIES)
@settings(max_examples=20)
@given(seed=st.integers(0, 2**32))
def test_cells_of_the_points_are_cells_of_the_steps(name: str, seed: int) -> None:
    geometry = GEOMETRIES[name]
    steps = random_steps(geometry, seed)
    cloud = Clusters(geometry)(steps)
    assert cloud.energy.min() >= np.float32(POINT_CUT)
    lost = steps[:, 3].sum() - cloud.energy.sum()
    assert -1e-4 < lost < POINT_CUT * len(steps)
    direct = as_cells(geometry, steps[:, :3], steps[:, 3])
    clustered = as_cells(geometry, cloud.points, cloud.energy)
    np.testing.assert_allclose(clustered, direct, rtol=1e-5, atol=POINT_CUT * geometry.points_per_cell**2)


def as_cells(geometry: Geometry, points: np.ndarray, energy: np.ndarray) -> np.ndarray:
    showers = Showers(Incident.of(1.0), np.array([0, len(energy)]), energy, points=points)
    cells = project(showers, geometry)
    return np.bincount(cells.cells, weights=cells.energy, minlength=geometry.n_cells)


def test_points_lie_on_the_fine_grid_and_the_sensors(siw: Geometry) -> None:
    steps = random_steps(siw, 1)
    cloud = Clusters(siw)(steps)
    lateral = cloud.points[:, :2] / siw.fine_pitch - 0.5
    np.testing.assert_allclose(lateral, np.round(lateral), atol=1e-4)
    assert set(cloud.points[:, 2]) == set(siw.layer_z.astype(np.float32))


def test_steps_of_one_fine_cell_are_summed(siw: Geometry) -> None:
    z = siw.layer_z[3]
    steps = np.array(
        [[0.1, 0.2, z, 0.5], [0.3, 0.4, z, 0.25], [-0.1, 0.2, z, 1.0], [0.1, 0.2, z + 2.6, 9e-5]]
    )
    cloud = Clusters(siw)(steps)
    np.testing.assert_array_equal(cloud.energy, [1.0, 0.75])
    p = siw.fine_pitch
    np.testing.assert_allclose(cloud.points, [[-p / 2, p / 2, z], [p / 2, p / 2, z]], rtol=1e-6)


def test_no_steps(siw: Geometry) -> None:
    cloud = Clusters(siw)(np.zeros((0, 4)))
    assert cloud.points.shape == (0, 3)
    assert cloud.energy.shape == (0,)


def test_plates_follow_the_slabs() -> None:
    stack = plates(GEOMETRIES["ragged"])
    assert [p.material for p in stack[:4]] == ["G4_Galactic", "G4_Si", "G4_W", "G4_POLYSTYRENE"]
    assert [p.front for p in stack[4:8]] == [5.0, 6.0, 6.5, 8.5]
    assert [(p.layer, p.sensitive) for p in stack[3:6]] == [(0, True), (1, False), (1, True)]
    assert stack[5].middle == 6.25


def test_rounding_at_a_sensor_s_surface_does_not_change_the_layer(siw: Geometry) -> None:
    sensors = [plate for plate in plates(siw) if plate.sensitive]
    fronts = np.array([plate.front for plate in sensors])
    backs = fronts + 0.5
    depths = SensorDepths(plates(siw))
    for z in (fronts - 1e-9, fronts, backs, backs + 1e-9):
        np.testing.assert_array_equal(depths.layer(z), np.arange(30))


def test_plates_are_wider_than_the_window(siw: Geometry) -> None:
    assert half_width(siw) == pytest.approx(15 * 5.0883 + 3 * siw.depth)
    assert half_width(GEOMETRIES["box"]) == pytest.approx(18 + 3 * 10)


def test_a_geometry_without_sensors() -> None:
    grid = {"name": "toy", "grid": BOX}
    for slabs in ([], [["W", 1.0]]):
        toy = geometry_from_dict({**grid, "layers": [{"slabs": slabs}]}, source="test")
        with pytest.raises(GeometryError, match="'toy': layer 0 has no sensitive slab"):
            Simulation(toy, Beam((1, 2)))


def test_the_request_is_json_and_tells_what_matters(siw: Geometry) -> None:
    first = Simulation(siw, Beam((1e3, 1e4)), seed=3)
    for other in (
        replace(first, seed=4),
        replace(first, beam=Beam((1e3, 2e4))),
        replace(first, beam=Incident.of([1e3, 1e4])),
        replace(first, geometry=load_geometry("cylinder-ds2")),
        replace(first, scoring="cells"),
        replace(first, readout=True),
    ):
        assert json.loads(json.dumps(other.request())) != json.loads(json.dumps(first.request()))
    assert json.loads(json.dumps(first.request())) == first.request()
    assert pickle.loads(pickle.dumps(Geant4Worker(first))).simulation.request() == first.request()


def test_seeds_for_geant4_are_distinct(siw: Geometry) -> None:
    seeds = [Simulation(siw, Beam((1, 1)), seed=s).geant4_seed(i) for s in range(20) for i in range(100)]
    assert len(set(seeds)) == 2000
    assert 2**60 < max(seeds) < 2**63


def test_blocks_take_about_the_same_time(siw: Geometry) -> None:
    assert [Simulation(siw, Beam((e, e))).block for e in (100, 5e4, 1e7)] == [200, 20, 1]


def test_an_unknown_scoring(siw: Geometry) -> None:
    with pytest.raises(ConfigError, match="'steps' or 'cells'"):
        Simulation(siw, Beam((1, 1)), scoring="hits")  # type: ignore[arg-type]


def test_given_particles_are_taken_as_they_are(siw: Geometry) -> None:
    particles = Incident.of([1e3, 2e3, 3e3], pdg=[11, 22, 211])
    simulation = Simulation(siw, particles)
    np.testing.assert_array_equal(simulation.incident(1, 3).energy, [2e3, 3e3])
    assert simulation.hadrons
    assert not Simulation(siw, particles[:2]).hadrons
