"""Observables of hand-made showers."""

from __future__ import annotations

import math

import numpy as np
import pytest

from caloforge.features import (
    FeatureTable,
    calochallenge_vector,
    conditions,
    derive_binning,
    feature_table,
    hits_above,
    hits_of,
    scan,
)
from caloforge.features.axis import layer_angle, principal_axis
from caloforge.features.bins import clipped_bins, find_bins
from caloforge.features.moments import first_layers
from caloforge.features.regimes import CellQuantiles
from caloforge.geometry import Geometry, geometry_from_dict, load_geometry
from caloforge.showers import Incident, ShowerMeta, Showers


def box(layers: int = 25) -> Geometry:
    """Layers of 2 mm of tungsten and 1 mm of silicon; cells of 10 mm."""
    content = {
        "name": "box",
        "threshold": 0.5,
        "grid": {"kind": "box", "nx": 8, "ny": 8, "pitch": [10, 10]},
        "layers": [{"repeat": layers, "slabs": [["W", 2.0], ["Si", 1.0, "sensitive"]]}],
    }
    return geometry_from_dict(content, source="test")


def shower(geometry: Geometry, hits: list[tuple[float, float, int, float]], **particle: float) -> Showers:
    """Cells under x, y [mm] in a layer, with energies [MeV]."""
    x, y, layer, energy = (np.array(column) for column in zip(*hits, strict=True))
    cells = geometry.find_cells(x, y, layer.astype(np.int64))
    order = np.argsort(cells)
    return Showers(
        incident=Incident.of([100.0], **particle),
        offsets=[0, len(hits)],
        energy=energy[order],
        cells=cells[order],
        meta=ShowerMeta(geometry=geometry.name, fingerprint=geometry.fingerprint),
    )


# 3DGAN


def angle_by_hand(lateral: list[float], energy: list[float], depth: list[float]) -> float:
    """Mean over the layers, weighted with (number + 1/2), of the angle to the centre of the shower."""
    place, deep = (np.average(values, weights=energy) for values in (lateral, depth))
    dx, dz = np.array(lateral) - place, np.array(depth) - deep
    angles = np.arctan2(np.where(dz < 0, -dx, dx), np.abs(dz))
    return float(np.average(angles, weights=np.arange(len(lateral)) + 0.5))


def test_measured_angle_by_hand() -> None:
    geometry = box(3)
    hits = [(5.0, 5.0, 0, 1.0), (15.0, 5.0, 1, 2.0), (35.0, 5.0, 2, 4.0)]
    table = feature_table(shower(geometry, hits, theta=0.4, phi=0.0), geometry)
    expected = angle_by_hand([5.0, 15.0, 35.0], [1.0, 2.0, 4.0], [2.5, 5.5, 8.5])
    assert table["measured_angle"] == pytest.approx([expected])
    turned = feature_table(shower(geometry, hits, theta=0.4, phi=math.pi), geometry)
    assert turned["measured_angle"] == pytest.approx([-expected])


def test_measured_angles_look_across_the_plane_of_incidence_too() -> None:
    """Layers at (0, 0) and (3, 4) mm, 12 mm apart: from the middle tan = 3 / sqrt(4^2 + 12^2)."""
    geometry = box(5)
    z = geometry.layer_z
    layers = {
        "layer_energy": np.array([[1.0, 0, 0, 0, 1.0]]),
        "layer_x": np.array([[0.0, 0, 0, 0, 3.0]]),
        "layer_y": np.array([[0.0, 0, 0, 0, 4.0]]),
    }
    assert z[4] - z[0] == 12.0
    found = layer_angle(layers, geometry, np.array([0.0]))
    assert found == pytest.approx([math.atan2(3.0, math.hypot(4.0, 12.0))])


def test_the_first_part_is_eight_of_25_layers() -> None:
    geometry = box(25)
    assert first_layers(geometry, 8 / 25) == 8
    hits = [(5.0, 5.0, layer, 1.0) for layer in range(25)]
    table = feature_table(shower(geometry, hits), geometry)
    assert table["first_part"] == pytest.approx([8 / 25])
    assert table["early_share"] == pytest.approx([3 / 25])
    np.testing.assert_allclose(table["thirds"], [[9 / 25, 8 / 25, 8 / 25]], rtol=1e-6)


def test_moments_by_hand() -> None:
    """1 MeV at x = -5 mm and 3 MeV at x = 15 mm: centre 10 mm, second moment 75, third -750 mm^3."""
    geometry = box(2)
    table = feature_table(shower(geometry, [(-5.0, 5.0, 0, 1.0), (15.0, 5.0, 1, 3.0)]), geometry)
    assert table["cog_x"] == pytest.approx([10.0])
    assert table["moment2_x"] == pytest.approx([0.25 * 15**2 + 0.75 * 5**2])
    assert table["moment3_x"] == pytest.approx([-0.25 * 15**3 + 0.75 * 5**3])
    assert table["moment2_y"] == pytest.approx([0.0], abs=1e-6)
    assert table["cog_z"] == pytest.approx([0.25 * 2.5 + 0.75 * 5.5])
    assert table["moment2_z"] == pytest.approx([0.25 * 2.25**2 + 0.75 * 0.75**2])
    assert table["moment3_z"] == pytest.approx([-0.25 * 2.25**3 + 0.75 * 0.75**3])
    # the axis through both cells: 20 mm aside in 3 mm of depth
    assert table["axis_theta"] == pytest.approx([math.atan2(20.0, 3.0)])
    assert table["axis_phi"] == pytest.approx([0.0], abs=1e-6)


def test_the_axis_is_the_longest_and_points_inward() -> None:
    way = np.array([-0.3, 0.4, 0.5])
    covariance = np.outer(way, way) + 0.01 * np.eye(3)
    theta, phi = principal_axis(covariance[None])
    assert theta == pytest.approx([math.atan2(0.5, 0.5)])
    assert phi == pytest.approx([math.atan2(0.4, -0.3)])


# layers


def test_widths_by_hand() -> None:
    """0.25 and 0.75 of the energy 20 mm apart: width 20 sqrt(3) / 4 mm."""
    geometry = box(1)
    table = feature_table(shower(geometry, [(-5.0, 5.0, 0, 1.0), (15.0, -15.0, 0, 3.0)]), geometry)
    assert table["width_x"][0] == pytest.approx([5 * 3**0.5], rel=1e-5)
    assert table["width_y"][0] == pytest.approx([5 * 3**0.5], rel=1e-5)
    assert table["layer_y"][0] == pytest.approx([0.25 * 5 - 0.75 * 15], rel=1e-5)


def test_rings_have_their_mid_angles_and_radii() -> None:
    grid = {"kind": "polar", "n_alpha": 4, "r_edges": [0, 10, 30]}
    geometry = geometry_from_dict({"name": "rings", "layers": [{"grid": grid}]}, source="test")
    # bins of the angle from -pi on: the third one, 0 to pi/2, in the second ring
    showers = Showers(
        incident=Incident.of([100.0]),
        offsets=[0, 1],
        energy=[2.0],
        cells=[2 * 2 + 1],
        meta=ShowerMeta(geometry="rings", fingerprint=geometry.fingerprint),
    )
    table = feature_table(showers, geometry)
    assert table["visible"].tolist() == [2.0]
    assert table["layer_energy"].tolist() == [[2.0]]
    assert table["layer_hits"].tolist() == [[1.0]]
    assert table["sparsity"][0] == pytest.approx([7 / 8])
    assert table["layer_x"][0] == pytest.approx([20 * math.cos(math.pi / 4)])
    assert table["layer_y"][0] == pytest.approx([20 * math.sin(math.pi / 4)])
    assert table["layer_r"][0] == pytest.approx([20.0])


def test_widths_of_rings_by_hand() -> None:
    """A quarter of the energy at 5 mm and three at 20 mm, on opposite sides."""
    grid = {"kind": "polar", "n_alpha": 2, "r_edges": [0, 10, 30]}
    geometry = geometry_from_dict({"name": "rings", "layers": [{"grid": grid}]}, source="test")
    showers = Showers(
        incident=Incident.of([100.0]),
        offsets=[0, 2],
        energy=[1.0, 3.0],
        cells=[0, 3],
        meta=ShowerMeta(geometry="rings", fingerprint=geometry.fingerprint),
    )
    table = feature_table(showers, geometry)
    assert table["layer_y"][0] == pytest.approx([-0.25 * 5 + 0.75 * 20])
    assert table["width_y"][0] == pytest.approx([3**0.5 / 4 * 25])
    assert table["width_r"][0] == pytest.approx([3**0.5 / 4 * 15])


def test_distances_are_those_to_a_tilted_axis() -> None:
    """An axis at 45 degrees: the cell at depth 8.5 mm and x = 35 mm is (35 - 8.5) mm / sqrt 2 off."""
    geometry = box(3)
    table = feature_table(shower(geometry, [(35.0, 5.0, 2, 1.0)], theta=math.pi / 4, phi=0.0), geometry)
    distance = math.hypot((35.0 - 8.5) / 2**0.5, 5.0)
    edges = [0.0, 6.558, 9.849, 12.96, 17.028, 23.434, 33.609, 40.119, 48.491, 68.808, 300.0]
    expected = np.histogram([distance], edges)[0]
    np.testing.assert_array_equal(table["radial_bins"][0], expected)


def test_particles_enter_in_the_middle() -> None:
    geometry = box(1)
    showers = shower(geometry, [(5.0, 5.0, 0, 1.0), (-15.0, 5.0, 0, 1.0)])
    bins = hits_of(showers, geometry).distance_bins(np.array([0.0, 7.0, 8.0, 15.0, 16.0]))
    assert sorted(bins.tolist()) == [1, 3]  # 7.07 and 15.8 mm


# bins


def test_bins_of_values_by_hand() -> None:
    edges = np.array([1.0, 2.0, 4.0, 8.0])
    values = np.array([0.5, 1.0, 1.9, 2.0, 7.9, 8.0, 9.0])
    assert find_bins(values, edges).tolist() == [-1, 0, 0, 1, 2, 3, 3]
    assert clipped_bins(values, edges).tolist() == [0, 0, 0, 1, 2, 2, 2]


def test_groups_of_layers_hold_a_tenth_of_the_energy_each() -> None:
    geometry = box(20)
    hits = [(5.0, 5.0, layer, 1.0) for layer in range(20)]
    binning = derive_binning(shower(geometry, hits), geometry)
    assert binning.longitudinal.tolist() == list(range(0, 21, 2))


def test_spectrum_of_the_challenge_has_49_logarithmic_bins() -> None:
    geometry = box(1)
    binning = derive_binning(shower(geometry, [(5.0, 5.0, 0, 1.0), (15.0, 5.0, 0, 50.0)]), geometry)
    np.testing.assert_allclose(binning.official_spectrum, np.geomspace(0.5, 50.0, 50), rtol=1e-6)
    # each in four, and on over one more decade
    steps = np.diff(np.log(binning.spectrum))
    np.testing.assert_allclose(steps, math.log(100) / 196, rtol=1e-5)
    assert 500.0 <= binning.spectrum[-1] < 500.0 * math.exp(1.01 * steps[0])


def test_regimes_end_at_a_half_and_nine_tenths_of_the_cells() -> None:
    cells = CellQuantiles()
    cells.add(np.concatenate([np.full(49, 0.1), np.full(40, 2.0), np.full(11, 30.0)]))
    np.testing.assert_allclose(cells.edges(), [2.0, 30.0], rtol=0.02)
    cells.add(np.full(9, 0.1))
    np.testing.assert_allclose(cells.edges(), [0.1, 30.0], rtol=0.02)


def test_cells_and_energies_of_regimes_by_hand() -> None:
    geometry = box(1)
    energies = [1.0, 2.0, 3.0, 5.0, 7.0]
    hits = [(10.0 * k - 15.0, 5.0, 0, e) for k, e in enumerate(energies)]
    showers = shower(geometry, hits)
    binning = derive_binning(showers, geometry, regimes=(2.0, 5.0))
    table = feature_table(showers, geometry, binning=binning)
    assert table["regime_hits"][0].tolist() == [1, 2, 2]
    assert table["regime_energy"][0].tolist() == [1.0, 5.0, 12.0]


def test_hits_above_edges_by_hand() -> None:
    geometry = box(1)
    hits = [(10.0 * k - 15.0, 5.0, 0, e) for k, e in enumerate([1.0, 2.0, 4.0])]
    showers = shower(geometry, hits)
    table = feature_table(showers, geometry)
    edges = derive_binning(showers, geometry).spectrum
    chosen = np.array([0, int(np.searchsorted(edges, 1.5)), int(np.searchsorted(edges, 3.0))])
    assert hits_above(table, chosen)[0].tolist() == [3, 2, 1]


def test_mean_images_hold_the_energy() -> None:
    geometry = box(2)
    images = scan(shower(geometry, [(-15.0, 5.0, 0, 1.5), (25.0, -35.0, 1, 2.5)]), geometry).images
    assert images.count == 1
    lateral = np.zeros((8, 8))
    lateral[2, 4], lateral[6, 0] = 1.5, 2.5
    np.testing.assert_allclose(images.lateral, lateral)
    depth = np.zeros((8, 2))
    depth[2, 0], depth[6, 1] = 1.5, 2.5
    np.testing.assert_allclose(images.depth, depth)


# vectors


def test_the_challenge_s_vector_by_hand() -> None:
    """Section 13.2: logarithms to base ten, lengths in tenths of a metre."""
    geometry = box(1)
    table = feature_table(shower(geometry, [(-5.0, 5.0, 0, 1.0), (15.0, -15.0, 0, 3.0)]), geometry)
    radii = np.hypot([-5.0, 15.0], [5.0, -15.0])
    mean = 0.25 * radii[0] + 0.75 * radii[1]
    width = 3**0.5 / 4 * (radii[1] - radii[0])
    expected = [
        2.0,
        math.log10(4.0),
        0.1,
        -0.1,
        0.05 * 3**0.5,
        0.05 * 3**0.5,
        math.log10(4.0),
        62 / 64,
        mean / 100,
        width / 100,
    ]
    np.testing.assert_allclose(calochallenge_vector(table, geometry)[0], expected, rtol=1e-5)


def test_conditions_are_the_energy_and_the_direction() -> None:
    theta, phi = 0.6, 2.0
    table = FeatureTable({"energy": np.array([1e4]), "theta": np.array([theta]), "phi": np.array([phi])})
    way = [math.sin(theta) * math.cos(phi), math.sin(theta) * math.sin(phi), math.cos(theta)]
    np.testing.assert_allclose(conditions(table)[0], [4.0, *way])
    np.testing.assert_allclose(Incident.of([1e4], theta=theta, phi=phi).direction[0], way)


def test_layers_of_the_silicon_tungsten_calorimeter_lie_where_its_plates_say() -> None:
    """Every sensor is in the middle of its silicon."""
    geometry = load_geometry("siw-ecal")
    depth = 0.0
    for layer, z in zip(geometry.layers, geometry.layer_z, strict=True):
        for slab in layer.slabs:
            if slab.sensitive:
                assert z == pytest.approx(depth + 0.5 * slab.thickness)
            depth += slab.thickness
    assert geometry.depth == pytest.approx(depth)
