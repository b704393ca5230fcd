"""What a model in Geant4 takes over, where its hits go, and what is counted; without Geant4."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from caloforge.errors import ConfigError, DataError, GeometryError
from caloforge.geometry import geometry_from_dict, load_geometry
from caloforge.integration import FastSimulation, Reason
from caloforge.integration.catching import Catcher
from caloforge.integration.collecting import collect
from caloforge.integration.pairs import find_pairs, pair_masses
from caloforge.integration.placing import placed
from caloforge.integration.profiles import profiles
from caloforge.integration.samples import PION_MASS, jets, neutral_pions, single_photons
from caloforge.particles import pdg_code
from caloforge.showers import FROM_GEANT4, FROM_MODEL, Incident, ShowerMeta, Showers
from support.fake_simulator import fake_simulator

if TYPE_CHECKING:
    from caloforge.geometry import Geometry

PITCH = 5.0883


class Arrival(tuple[Any, ...]):
    """Stands for Geant4's, which cannot be imported here."""

    __slots__ = ()
    pdg = property(lambda self: self[0])
    energy = property(lambda self: self[1])
    total = property(lambda self: self[2])
    impact = property(lambda self: self[3])
    direction = property(lambda self: self[4])


def arrival(
    pdg: int = 22,
    energy: float = 10e3,
    *,
    x: float = 0.0,
    y: float = 0.0,
    theta: float = 0.0,
    phi: float = 0.0,
    mass: float = 0.0,
) -> Any:
    sine = math.sin(theta)
    direction = (sine * math.cos(phi), sine * math.sin(phi), math.cos(theta))
    return Arrival((pdg, energy, energy + mass, (x, y), direction))


# what is taken over


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({}, Reason.REPLACED),
        ({"pdg": 11}, Reason.REPLACED),
        ({"pdg": -11}, Reason.PARTICLE),
        ({"pdg": 211}, Reason.PARTICLE),
        ({"energy": 1e3}, Reason.REPLACED),
        ({"energy": 990.0}, Reason.ENERGY),
        ({"energy": 50.1e3}, Reason.ENERGY),
        ({"theta": 0.619}, Reason.REPLACED),
        ({"theta": 0.621}, Reason.ANGLE),
        ({"x": 3.3, "y": -17.7}, Reason.REPLACED),
        ({"x": 15 * PITCH - 20.1}, Reason.REPLACED),
        ({"x": 15 * PITCH - 19.9}, Reason.EDGE),
        ({"y": -15 * PITCH + 19.9}, Reason.EDGE),
    ],
)
def test_a_model_of_points_takes_what_it_knows_anywhere_in_the_window(
    siw: Geometry, options: dict[str, Any], reason: Reason
) -> None:
    assert FastSimulation(fake_simulator(siw)).reason(arrival(**options)) is reason


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({}, Reason.REPLACED),
        ({"x": 3 * PITCH, "y": -7 * PITCH}, Reason.REPLACED),
        ({"x": 3 * PITCH + 0.04}, Reason.REPLACED),
        ({"x": 3 * PITCH + 0.06}, Reason.PLACE),
        ({"y": 0.5 * PITCH}, Reason.PLACE),
        ({"x": 12 * PITCH}, Reason.EDGE),
    ],
)
def test_showers_of_cells_are_taken_at_corners_of_cells(
    siw: Geometry, options: dict[str, Any], reason: Reason
) -> None:
    assert FastSimulation(fake_simulator(siw, "cells")).reason(arrival(**options)) is reason


def test_inclined_showers_of_cells_are_not_moved_away_from_what_they_cover(siw: Geometry) -> None:
    """The stack is 99 mm deep: at 0.55 rad the axis drifts by 60.7 mm; covered are 76.3 mm less a margin."""
    assert siw.depth == pytest.approx(20 * 2.6 + 10 * 4.7)
    assert siw.depth * math.tan(0.55) == pytest.approx(60.7, abs=0.05)
    fast = FastSimulation(fake_simulator(siw, "cells"))
    assert fast.reason(arrival(theta=0.55)) is Reason.REPLACED  # not moved at all
    assert fast.reason(arrival(theta=0.55, x=4 * PITCH)) is Reason.REPLACED  # leaves the window anyhow
    assert fast.reason(arrival(theta=0.55, x=-4 * PITCH)) is Reason.EDGE  # the window goes on behind it
    assert fast.reason(arrival(theta=0.55, phi=math.pi, x=4 * PITCH)) is Reason.EDGE
    assert fast.reason(arrival(theta=0.5, x=-4 * PITCH)) is Reason.REPLACED  # 54.1 mm
    assert FastSimulation(fake_simulator(siw)).reason(arrival(theta=0.55, x=-4 * PITCH)) is Reason.REPLACED


def test_rings_are_not_moved() -> None:
    fast = FastSimulation(fake_simulator(load_geometry("cylinder-ds2"), "cells"))
    assert fast.reason(arrival()) is Reason.REPLACED
    assert fast.reason(arrival(x=PITCH)) is Reason.PLACE


def test_fewer_particles_and_energies_on_request(siw: Geometry) -> None:
    fast = FastSimulation(fake_simulator(siw), ["gamma"], (5e3, 20e3))
    assert fast.reason(arrival(11)) is Reason.PARTICLE
    assert fast.reason(arrival(energy=4.9e3)) is Reason.ENERGY
    assert fast.reason(arrival(energy=20e3)) is Reason.REPLACED


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"particles": ["e+"]}, "got e.*, expected e-, gamma"),
        ({"particles": ["pi-"]}, "particles to replace: got pi-"),
        ({"particles": ["quark"]}, "Unknown particle 'quark'"),
        ({"energies": (1e3, 60e3)}, r"got 1 to 60, expected a range inside of the training, 0.999 to 50.05"),
        ({"energies": (9e3, 8e3)}, "got 9 to 8"),
        ({"margin": -1.0}, "margin"),
        ({"tolerance": math.nan}, "tolerance"),
    ],
)
def test_what_a_model_does_not_know_is_refused(siw: Geometry, options: dict[str, Any], text: str) -> None:
    with pytest.raises(ConfigError, match=text) as error:
        FastSimulation(fake_simulator(siw), **options)
    assert str(error.value).endswith(".")


def test_a_model_of_pions_replaces_nothing(siw: Geometry) -> None:
    with pytest.raises(ConfigError, match=r"got a model of pi\+"):
        FastSimulation(fake_simulator(siw, particles=(211,)))


# what is noted


def test_the_books_of_two_events(siw: Geometry) -> None:
    catcher = Catcher(FastSimulation(fake_simulator(siw)).reason)
    catcher.begin(7)
    assert catcher.stops(arrival(energy=2e3, x=1.5, theta=0.3, phi=-2.0))
    assert not catcher.stops(arrival(211, 3e3, mass=140.0))
    assert not catcher.stops(arrival(energy=500.0))
    assert catcher.stops(arrival(11, 4e3, y=-2.5, mass=0.5))
    catcher.end(9640.5)
    catcher.begin(8)
    catcher.end(1.0)
    caught, columns = catcher.take()
    np.testing.assert_array_equal(caught.particles.energy, [2e3, 4e3])
    np.testing.assert_allclose(caught.particles.theta, [0.3, 0], atol=1e-12)
    assert caught.particles.phi[0] == pytest.approx(-2.0)
    np.testing.assert_array_equal(caught.particles.pdg, [22, 11])
    np.testing.assert_array_equal(caught.impact, [[1.5, 0], [0, -2.5]])
    np.testing.assert_array_equal(caught.event, [0, 0])
    np.testing.assert_array_equal(caught.number, [7 * 2**20, 7 * 2**20 + 1])
    expected = {
        "replaced": [2, 0],
        "out_of_particle": [1, 0],
        "out_of_energy": [1, 0],
        "out_of_angle": [0, 0],
        "out_of_place": [0, 0],
        "out_of_edge": [0, 0],
        "primary_energy": [9640.5, 1.0],
        "replaced_energy": [6000.5, 0],
        "simulated_energy": [3640.0, 0],
    }
    assert {name: column.tolist() for name, column in columns.items()} == expected
    assert len(catcher.take().caught.particles) == 0


# where hits go


def test_cells_move_by_whole_cells_and_are_lost_outside(siw: Geometry) -> None:
    """Layer 2, column 28, row 1 is cell 2 * 900 + 28 * 30 + 1 = 2641."""
    meta = ShowerMeta(siw.name, siw.fingerprint)
    showers = Showers(Incident.of([1.0, 1.0]), np.array([0, 1, 2]), [1.0, 2.0], cells=[2641, 2641], meta=meta)
    moved = placed(showers, np.array([[PITCH, 0], [0.01, 3 * PITCH]]), siw)
    assert moved.cells is not None
    assert moved.cells.tolist() == [2671, 2644]
    assert placed(showers, np.array([[2 * PITCH, 0], [0, -2 * PITCH]]), siw).n_hits.tolist() == [0, 0]


def test_clouds_move_by_anything(siw: Geometry) -> None:
    showers = Showers(Incident.of([1.0, 1.0]), np.array([0, 1, 2]), [1.0, 2.0], points=np.ones((2, 3)))
    moved = placed(showers, np.array([[0.25, -3], [0, 8]]), siw)
    assert moved.points is not None
    assert moved.points.tolist() == [[1.25, -2, 1], [1, 9, 1]]


def test_cells_of_rings_stay_on_the_axis() -> None:
    rings = load_geometry("cylinder-ds2")
    meta = ShowerMeta(rings.name, rings.fingerprint)
    showers = Showers(Incident.of(1.0), np.array([0, 1]), [1.0], cells=[3], meta=meta)
    assert placed(showers, np.zeros((1, 2)), rings) is showers
    with pytest.raises(DataError, match="expected equal layers of rectangular cells"):
        placed(showers, np.ones((1, 2)), rings)


@pytest.mark.parametrize("kind", ["points", "cells"])
def test_known_hits_of_a_model_land_in_the_right_cells(siw: Geometry, kind: Any) -> None:
    """At (2, -3) cells all hits of perpendicular particles are in column 17, row 12."""
    fast, catcher = FastSimulation(fake_simulator(siw, kind)), Catcher(lambda _: Reason.REPLACED)
    catcher.begin(0)
    catcher.stops(arrival(energy=20e3, x=2 * PITCH, y=-3 * PITCH))
    caught = catcher.take().caught
    made = fast.showers(caught, seed=1)
    nothing = Showers(Incident.of(1.0), np.zeros(2), np.zeros(0), points=np.zeros((0, 3)))
    cells = collect(nothing, made, caught.event, siw)
    assert cells.cells is not None
    np.testing.assert_array_equal(cells.cells, np.arange(30) * 900 + 17 * 30 + 12)
    np.testing.assert_allclose(cells.energy, 2.0)
    np.testing.assert_array_equal(cells.source, np.full(30, FROM_MODEL))


def test_inclined_clouds_land_along_their_axis(siw: Geometry) -> None:
    fast, catcher = FastSimulation(fake_simulator(siw)), Catcher(lambda _: Reason.REPLACED)
    catcher.begin(0)
    catcher.stops(arrival(energy=20e3, x=-30.0, theta=0.5))
    caught = catcher.take().caught
    nothing = Showers(Incident.of(1.0), np.zeros(2), np.zeros(0), points=np.zeros((0, 3)))
    cells = collect(nothing, fast.showers(caught, seed=1), caught.event, siw)
    assert cells.cells is not None
    x = -30.0 + 0.01 + siw.layer_z * math.tan(0.5)
    column = np.floor((x + 15 * PITCH) / PITCH)
    assert column[-1] - column[0] > 9
    np.testing.assert_array_equal(cells.cells % 900 // 30, column)


TOY = {
    "name": "toy",
    "threshold": 1.0,
    "grid": {"kind": "box", "nx": 2, "ny": 2, "pitch": [10, 10]},
    "layers": [{"slabs": [["W", 1.0], ["Si", 1.0, "sensitive"]]}],
}


def test_energies_are_summed_before_the_threshold_and_hits_tell_their_source() -> None:
    """Two events; cells 0 to 3 with a threshold of 1 MeV."""
    toy = geometry_from_dict(TOY, source="test")
    meta = ShowerMeta("toy", toy.fingerprint)
    theirs = Showers(
        Incident.of([5.0, 6.0]),
        np.array([0, 3, 4]),
        [0.625, 2.0, 0.25, 3.0],
        cells=[0, 1, 2, 3],
        meta=meta,
        extras={"kept": np.array([1, 2])},
    )
    ours = Showers(
        Incident.of([1.0, 1.0, 1.0]),
        np.array([0, 2, 3, 4]),
        [0.5, 1.5, 0.5, 0.25],
        cells=[0, 3, 3, 2],
        meta=meta,
    )
    both = collect(theirs, ours, np.array([0, 0, 1]), toy)
    assert both.offsets.tolist() == [0, 3, 4]
    assert both.cells is not None
    assert both.source is not None
    assert both.cells.tolist() == [0, 1, 3, 3]
    assert both.energy.tolist() == [1.125, 2.0, 2.0, 3.0]
    assert both.source.tolist() == [3, FROM_GEANT4, FROM_MODEL, FROM_GEANT4]
    expected = {
        "kept": [1, 2],
        "geant4_visible": [2.875, 3.0],
        "fast_visible": [2.5, 0.25],
        "cut": [0.25, 0.25],
    }
    assert {name: column.tolist() for name, column in both.extras.items()} == expected
    np.testing.assert_array_equal(both.visible_energy + both.extras["cut"], [5.375, 3.25])


def test_sources_follow_their_hits() -> None:
    showers = Showers(
        Incident.of([1.0, 2.0]), np.array([0, 2, 3]), [1.0, 2.0, 3.0], cells=[4, 5, 6], source=[1, 2, 3]
    )
    [two] = [showers[np.array([1])].source]
    assert two is not None
    assert two.tolist() == [3]
    assert showers.keep(np.array([False, True, True])).source.tolist() == [2, 3]  # type: ignore[union-attr]
    joined = Showers.concatenate([showers, showers])
    assert joined.source is not None
    assert joined.source.tolist() == [1, 2, 3, 1, 2, 3]
    with pytest.raises(DataError, match="different"):
        Showers.concatenate([showers, replace(showers, source=None)])
    with pytest.raises(DataError, match="sources of hits"):
        replace(showers, source=np.array([1, 2]))


# events to try it on


def test_pairs_of_photons_have_the_mass_of_the_pion_and_its_momentum() -> None:
    pions = neutral_pions(200, energy=(5e3, 40e3), spread=10.0, seed=3, distance=1500.0)
    energy = pions.particles.energy.reshape(-1, 2)
    momentum = (pions.particles.energy[:, None] * pions.particles.direction).reshape(-1, 2, 3).sum(1)
    total = energy.sum(1)
    np.testing.assert_allclose(np.sqrt(total**2 - (momentum**2).sum(1)), PION_MASS, rtol=1e-6)
    np.testing.assert_allclose(momentum[:, :2], 0, atol=1e-6)
    assert 5e3 < total.min() < 6e3
    assert 39e3 < total.max() < 40e3
    # isotropic at rest: energies of the photons are uniform
    share = energy[:, 0] / total
    assert abs(share.mean() - 0.5) < 4 / math.sqrt(12 * 200)
    even = neutral_pions(200, energy=(5e3, 40e3), spread=10.0, seed=3, asymmetry=0.25).particles.energy
    assert (
        0.24 < np.abs(np.diff(even.reshape(-1, 2)) / even.reshape(-1, 2).sum(1, keepdims=True)).max() < 0.25
    )
    # straight lines from one point
    back = pions.impact - 1500.0 * (pions.particles.direction / pions.particles.direction[:, 2:])[:, :2]
    np.testing.assert_allclose(back[::2], back[1::2], atol=1e-9)
    assert np.abs(back).max() < 10.0


def test_jets_have_one_vertex_and_all_the_energy() -> None:
    events = jets(50, energy=80e3, spread=12.0, seed=1, distance=1000.0)
    np.testing.assert_allclose(events.summary().energy, 80e3)
    back = events.impact - 1000.0 * (events.particles.direction / events.particles.direction[:, 2:])[:, :2]
    np.testing.assert_allclose(back, 0, atol=1e-9)
    assert events.impact.std() == pytest.approx(12.0, rel=0.1)
    assert set(events.particles.pdg.tolist()) == {22, 11, -11, pdg_code("pi+"), pdg_code("pi-")}
    assert events.summary().pdg.tolist() == [0] * 50


def test_events_depend_on_their_number_alone() -> None:
    for make in (
        lambda n: single_photons(n, energy=(1e3, 2e3), angles=(0.0, 0.5), spread=20.0, seed=4),
        lambda n: neutral_pions(n, energy=(1e3, 2e3), spread=20.0, seed=4),
        lambda n: jets(n, energy=1e3, spread=20.0, seed=4),
    ):
        few, many = make(3), make(10)[:3]
        np.testing.assert_array_equal(few.impact, many.impact)
        np.testing.assert_array_equal(few.particles.energy, many.particles.energy)


# what both ways are compared by


def two_clusters(geometry: Geometry) -> Showers:
    """Layer 5, columns 11 and 17 of row 15: 3 and 1 MeV in the middle, a tenth of it in four cells beside."""
    cells, energy = [], []
    for column, peak in ((11, 3.0), (17, 1.0)):
        middle = 5 * 900 + column * 30 + 15
        cells += [middle - 30, middle - 1, middle, middle + 1, middle + 30]
        energy += [0.1 * peak, 0.1 * peak, peak, 0.1 * peak, 0.1 * peak]
    meta = ShowerMeta(geometry.name, geometry.fingerprint)
    return Showers(Incident.of(1e3), np.array([0, 10]), energy, cells=cells, meta=meta)


def test_two_clusters_and_their_mass(siw: Geometry) -> None:
    """Six cells apart at 100 mm and the depth of layer 5: m^2 = 2 E1 E2 (1 - cos)."""
    pairs = find_pairs(two_clusters(siw), siw)
    np.testing.assert_allclose(pairs.energy, [[4.2, 1.4]], rtol=1e-3)
    np.testing.assert_allclose(
        pairs.centre[0], [[-3.5 * PITCH, PITCH / 2], [2.5 * PITCH, PITCH / 2]], atol=0.02
    )
    assert pairs.depth[0] == pytest.approx(siw.layer_z[5])
    away = [np.array([x * PITCH, PITCH / 2, 100 + siw.layer_z[5]]) for x in (-3.5, 2.5)]
    cosine = away[0] @ away[1] / np.linalg.norm(away[0]) / np.linalg.norm(away[1])
    expected = math.sqrt(2 * 4.2 * 1.4 * (1 - cosine)) / 0.02
    assert pair_masses(pairs, response=0.02, distance=100.0)[0] == pytest.approx(expected, rel=2e-3)


def test_one_cluster_is_no_pair(siw: Geometry) -> None:
    alone = two_clusters(siw).keep(np.arange(10) < 5)
    pairs = find_pairs(alone, siw)
    assert np.isnan(pairs.energy).all()
    assert np.isnan(pair_masses(pairs, response=1.0, distance=1.0)).all()
    with pytest.raises(GeometryError, match="expected equal layers of rectangular cells"):
        find_pairs(alone, load_geometry("cylinder-ds2"))


def test_profiles_by_hand(siw: Geometry) -> None:
    """Thick plates, from layer 20 on, count twice; rings are about the event's own centre."""
    meta = ShowerMeta(siw.name, siw.fingerprint)
    cells = [15 * 30 + 15, 17 * 30 + 15, 25 * 900 + 16 * 30 + 15]
    extras = {"geant4_cpu_seconds": np.array([9.0, 0.5]), "fast_cpu_seconds": np.array([1.0, 0.0])}
    showers = Showers(
        Incident.of([10.0, 20.0]), np.array([0, 3, 3]), [1.0, 1.0, 2.0], cells=cells, meta=meta, extras=extras
    )
    found = profiles([showers[:1], showers[1:]], siw, edges=np.array([0.0, 1.0, 10.0]))
    assert found.weighted.tolist() == [6.0, 0.0]
    assert found.hits.tolist() == [3, 0]
    assert found.depth[0, [0, 25]].tolist() == [2.0, 2.0]
    np.testing.assert_allclose(found.width, [[2.0, 2.0], [0, 0]])
    assert found.rate == 2.0  # the first event is left out
