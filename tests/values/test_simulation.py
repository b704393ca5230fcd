"""Particles, random numbers, parts of files, and steps of Geant4 summed to points, by hand."""

from __future__ import annotations

import math
import zlib

import numpy as np
import pytest

from caloforge.beam import Beam
from caloforge.geant4 import Simulation
from caloforge.geant4.clusters import Clusters
from caloforge.geant4.stack import half_width
from caloforge.geometry import Geometry, geometry_from_dict
from caloforge.split import Split
from caloforge.streams import Streams, philox

BOX = {"kind": "box", "nx": 4, "ny": 4, "pitch": [10, 10]}
RINGS = {"kind": "polar", "n_alpha": 4, "r_edges": [0, 10, 30]}
SLABS = [["W", 2.0], ["Si", 1.0, "sensitive"]]


def geometry_of(grid: dict[str, object], **options: object) -> Geometry:
    content = {"name": "toy", "grid": grid, "layers": [{"repeat": 2, "slabs": SLABS}], **options}
    return geometry_from_dict(content, source="test")


# points of steps


def test_steps_are_summed_on_the_centres_of_fine_cells() -> None:
    """Cells of 10 mm cut in two: steps at x = 1 and 4 mm share the fine cell from 0 to 5 mm."""
    geometry = geometry_of(BOX, points_per_cell=2)
    steps = np.array([[1.0, -6.0, 2.2, 0.3], [4.0, -9.0, 2.9, 0.2], [6.0, -9.0, 5.5, 0.1]])
    cloud = Clusters(geometry)(steps)
    np.testing.assert_allclose(cloud.points, [[2.5, -7.5, 2.5], [7.5, -7.5, 5.5]])
    np.testing.assert_allclose(cloud.energy, [0.5, 0.1])


def test_points_on_rings_have_mid_angles_and_radii() -> None:
    steps = np.array([[20.0 * math.cos(0.3), 20.0 * math.sin(0.3), 2.5, 1.0]])
    [point] = Clusters(geometry_of(RINGS))(steps).points
    middle = math.pi / 4
    np.testing.assert_allclose(point, [20 * math.cos(middle), 20 * math.sin(middle), 2.5], rtol=1e-5)
    [half] = Clusters(geometry_of(RINGS))(np.array([[-5.0, 0.0, 2.5, 1.0]])).points
    np.testing.assert_allclose(half, [-5 * math.cos(middle), 5 * math.sin(middle), 2.5], rtol=1e-5)
    # outside of the window rings go on as wide as the last one
    [far] = Clusters(geometry_of(RINGS))(np.array([[0.0, 45.0, 2.5, 1.0]])).points
    assert math.hypot(far[0], far[1]) == pytest.approx(40.0, rel=1e-5)


@pytest.mark.parametrize(("energy", "points"), [(1.01e-4, 1), (0.99e-4, 0)])
def test_points_below_a_tenth_of_a_kev_are_dropped(energy: float, points: int) -> None:
    half = [[1.0, 1.0, 2.5, energy / 2], [2.0, 2.0, 2.5, energy / 2]]
    assert len(Clusters(geometry_of(BOX))(np.array(half)).energy) == points


def test_the_cut_of_points_is_on_the_scale_of_the_file() -> None:
    """A raw tenth of a keV is 4 keV where deposits are divided by 1/40."""
    beam = Beam((1e4, 1e4))
    raw = Simulation(geometry_of(BOX, points_per_cell=5), beam).meta
    assert (raw.threshold, raw.pitch, raw.sampling_fraction) == (1e-4, 2.0, 1.0)
    scaled = Simulation(geometry_of(BOX, sampling_fraction=0.025), beam).meta
    assert (scaled.threshold, scaled.sampling_fraction) == (pytest.approx(4e-3), 0.025)


def test_plates_reach_three_depths_beyond_the_window() -> None:
    assert half_width(geometry_of(BOX)) == pytest.approx(20.0 + 3 * 6.0)
    assert half_width(geometry_of(RINGS)) == pytest.approx(30.0 + 3 * 6.0)


def test_showers_of_seeds_that_follow_each_other_are_different() -> None:
    simulations = [Simulation(geometry_of(BOX), Beam((1e4, 1e4)), seed=seed) for seed in range(5)]
    seeds = {s.geant4_seed(shower) for s in simulations for shower in range(20)}
    assert len(seeds) == 100
    assert all(0 <= seed < 2**63 for seed in seeds)


# particles


def test_energies_are_uniform_in_their_logarithm() -> None:
    """From 1 to 1000 GeV: as many in every decade, a mean of 999 / ln 1000 GeV."""
    beam = Beam((1e3, 1e6), log=True)
    energy = beam.sample(0, 0, 30_000).energy
    decades = np.histogram(energy, [1e3, 1e4, 1e5, 1e6])[0] / len(energy)
    np.testing.assert_allclose(decades, 1 / 3, atol=0.01)
    assert beam.mean_energy == pytest.approx(999e3 / math.log(1000))
    assert energy.mean() == pytest.approx(beam.mean_energy, rel=0.02)
    assert Beam((1e3, 3e3)).mean_energy == 2e3


def test_energies_and_angles_are_independent() -> None:
    beam = Beam((1e4, 1e5), theta=(0.0, 1.0), phi=(-1.0, 1.0))
    particles = beam.sample(3, 0, 20_000)
    columns = np.stack([particles.energy, particles.theta, particles.phi])
    assert np.abs(np.corrcoef(columns) - np.eye(3)).max() < 0.03
    np.testing.assert_allclose(columns.mean(1) / [5.5e4, 0.5, 1.0], [1, 1, 0], atol=0.02)


# random numbers


def test_normal_numbers_are_those_of_box_and_muller() -> None:
    """Out of the words of Philox: sqrt(-2 ln u1) (cos, sin)(2 pi u2)."""
    seed, shower = (7 << 32) + 5, 11
    counter = np.array([[0], [shower], [0], [zlib.crc32(b"toy")]], dtype=np.uint64)
    u = (philox(counter, (5, 7))[:, 0].astype(np.float64) + 0.5) / 2**32
    expected = [
        *(math.sqrt(-2 * math.log(u[0])) * f(2 * math.pi * u[1]) for f in (math.cos, math.sin)),
        *(math.sqrt(-2 * math.log(u[2])) * f(2 * math.pi * u[3]) for f in (math.cos, math.sin)),
    ]
    streams = Streams(seed, np.array([shower]))
    np.testing.assert_allclose(streams.normal("toy", 1, width=4)[0], expected, rtol=1e-5)
    np.testing.assert_allclose(streams.uniform("toy", 1, width=4)[0], u, rtol=1e-12)
    # the second row of eight numbers takes the counters 2 and 3
    counter[0] = 3
    words = philox(counter, (5, 7))[:, 0].astype(np.float64)
    np.testing.assert_allclose(streams.uniform("toy", 2, width=8)[1, 4:], (words + 0.5) / 2**32, rtol=1e-12)


def test_normal_numbers_have_the_moments_of_a_normal_distribution() -> None:
    numbers = Streams(1, np.arange(4000)).normal("toy", 5, width=4).astype(np.float64).ravel()
    moments = [float((numbers**k).mean()) for k in (1, 2, 3, 4)]
    assert moments == pytest.approx([0, 1, 0, 3], abs=0.06)


# parts


def test_parts_are_seven_one_and_two_tenths() -> None:
    split = Split(50)
    parts = {part: split.rows(part) for part in ("train", "tune", "report")}  # type: ignore[arg-type]
    assert parts["train"].tolist() == list(range(35))
    assert parts["tune"].tolist() == list(range(35, 40))
    assert parts["report"].tolist() == list(range(40, 50))
