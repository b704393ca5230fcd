"""Observables of hand-made showers, and of the same showers in parts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from caloforge.errors import ConfigError, DataError, GeometryError
from caloforge.features import (
    FeatureTable,
    calochallenge_vector,
    cloud_vector,
    concatenated,
    derive_binning,
    feature_table,
    layer_vector,
    scan,
)
from caloforge.features.binning import PUBLISHED_RADIAL_EDGES
from caloforge.geometry import Geometry, geometry_from_dict, load_geometry, project
from caloforge.showers import Incident, ShowerMeta, Showers

if TYPE_CHECKING:
    from collections.abc import Callable


def box() -> Geometry:
    content = {
        "name": "box",
        "threshold": 0.5,
        "grid": {"kind": "box", "nx": 4, "ny": 4, "pitch": [10, 10]},
        "layers": [{"repeat": 2, "slabs": [["W", 3.0], ["Si", 1.0, "sensitive"]]}],
    }
    return geometry_from_dict(content, source="test")


def rings() -> Geometry:
    content = {
        "name": "rings",
        "layers": [
            {"grid": {"kind": "polar", "n_alpha": 1, "r_edges": [0, 10, 30]}},
            {"grid": {"kind": "polar", "n_alpha": 4, "r_edges": [0, 10, 30]}},
        ],
    }
    return geometry_from_dict(content, source="test")


def cells(
    geometry: Geometry, index: list[int], energy: list[float], *, incident: Incident | None = None
) -> Showers:
    return Showers(
        incident=incident or Incident.of([100.0]),
        offsets=[0, len(index)],
        energy=energy,
        cells=index,
        meta=ShowerMeta(geometry=geometry.name, fingerprint=geometry.fingerprint),
    )


def in_two_layers() -> Showers:
    """Layer 0: 1 MeV at (5, 5) and 3 MeV at (15, 5); layer 1: 4 MeV at (-5, 5); 0.4 MeV is too little."""
    geometry = box()
    x, y = np.array([5.0, 15.0, -5.0, -15.0]), np.array([5.0, 5.0, 5.0, -15.0])
    found = geometry.find_cells(x, y, np.array([0, 0, 1, 1]))
    return cells(geometry, found.tolist(), [1.0, 3.0, 4.0, 0.4])


def test_box_by_hand() -> None:
    table = feature_table(in_two_layers(), box())
    assert table["visible"] == pytest.approx([8.0])
    assert table["fraction"] == pytest.approx([0.08])
    assert table["hits"] == pytest.approx([3.0])
    np.testing.assert_allclose(table["layer_energy"], [[4.0, 4.0]])
    np.testing.assert_allclose(table["layer_hits"], [[2, 1]])
    np.testing.assert_allclose(table["layer_x"], [[12.5, -5.0]])
    np.testing.assert_allclose(table["layer_y"], [[5.0, 5.0]])
    np.testing.assert_allclose(table["width_x"], [[np.sqrt(0.25 * 7.5**2 + 0.75 * 2.5**2), 0.0]], atol=1e-5)
    np.testing.assert_allclose(table["width_y"], [[0.0, 0.0]], atol=1e-5)
    radii = np.hypot([5.0, 15.0], 5.0)
    mean = 0.25 * radii[0] + 0.75 * radii[1]
    np.testing.assert_allclose(table["layer_r"], [[mean, np.hypot(5, 5)]], rtol=1e-6)
    np.testing.assert_allclose(table["width_r"][0, 0], np.sqrt(3 / 16) * (radii[1] - radii[0]), rtol=1e-5)
    np.testing.assert_allclose(table["sparsity"], [[14 / 16, 15 / 16]])
    assert table["cog_x"] == pytest.approx([(1 * 5 + 3 * 15 - 4 * 5) / 8])
    assert table["cog_y"] == pytest.approx([5.0])
    assert table["cog_z"] == pytest.approx([0.5 * (3.5 + 7.5)])


def test_radial_and_longitudinal_bins_by_hand() -> None:
    table = feature_table(in_two_layers(), box())
    expected = np.zeros(10)
    expected[1] = 1.0 + 4.0  # at 7.07 mm, between 6.558 and 9.849
    expected[3] = 3.0  # at 15.8 mm, between 12.96 and 17.028
    np.testing.assert_allclose(table["radial_bins"][0], expected)
    np.testing.assert_allclose(table["longitudinal_bins"], [[4.0, 4.0]])
    np.testing.assert_allclose(table["radial_profile"][0, :2], [5.0, 3.0])
    assert table["spectrum"].sum() == 3


def test_distance_is_to_the_incident_axis() -> None:
    geometry = box()
    tilted = Incident.of([100.0], theta=np.arctan2(5.0, 7.5), phi=0.0)
    index = geometry.find_cells(np.array([5.0]), np.array([5.0]), np.array([1]))
    table = feature_table(cells(geometry, index.tolist(), [1.0], incident=tilted), geometry)
    # the axis is at x = 5 mm in the sensors of layer 1 (depth 7.5 mm): only y = 5 mm is left
    assert table["radial_bins"][0, 0] == pytest.approx(1.0)


def test_rings_by_hand() -> None:
    geometry = rings()
    index = [1, geometry.layer_offsets[1] + 1, geometry.layer_offsets[1] + 4]
    table = feature_table(cells(geometry, index, [2.0, 1.0, 3.0]), geometry)
    np.testing.assert_allclose(table["layer_energy"], [[2.0, 4.0]])
    # layer 1: 1 MeV in the first quarter's outer ring (mid radius 20 mm at -135 degrees),
    # 3 MeV in the third quarter's inner ring (5 mm at 45 degrees)
    half = np.sqrt(0.5)
    np.testing.assert_allclose(table["layer_x"][0, 1], (-20 * half + 3 * 5 * half) / 4, rtol=1e-5)
    np.testing.assert_allclose(table["layer_y"][0, 1], (-20 * half + 3 * 5 * half) / 4, rtol=1e-5)
    np.testing.assert_allclose(table["layer_r"], [[20.0, (20 + 15) / 4]], rtol=1e-6)
    np.testing.assert_allclose(table["width_r"][0, 1], np.sqrt(3 / 16) * 15, rtol=1e-5)
    np.testing.assert_allclose(table["sparsity"], [[0.5, 1 - 2 / 8]])


def test_empty_showers_have_zeros(toy_showers: Showers, siw: Geometry) -> None:
    table = feature_table(toy_showers, siw)
    for name in table.names:
        assert np.all(np.isfinite(table[name])), name
    assert table["visible"][5] == 0
    assert table["hits"][5] == 0
    assert np.all(table["layer_x"][5] == 0)


@pytest.mark.parametrize(
    ("name", "features"),
    [("calochallenge-1-photons", 30), ("calochallenge-1-pions", 46), ("calochallenge-2", 362)],
)
def test_calochallenge_vector_has_the_published_length(name: str, features: int) -> None:
    geometry = load_geometry(name)
    showers = Showers(
        incident=Incident.of([1000.0, 2000.0]),
        offsets=[0, 2, 3],
        energy=[10.0, 20.0, 30.0],
        cells=[0, geometry.n_cells - 1, 5],
        meta=ShowerMeta(sampling_fraction=geometry.sampling_fraction),
    )
    vector = calochallenge_vector(feature_table(showers, geometry), geometry)
    assert vector.shape == (2, features)
    assert np.all(np.isfinite(vector))
    np.testing.assert_allclose(vector[:, 0], [3.0, np.log10(2000.0)])


def test_cloud_vector_has_25_observables(make_toy_showers: Callable[..., Showers], siw: Geometry) -> None:
    table = feature_table(make_toy_showers(24), siw)
    assert cloud_vector(table).shape == (24, 25)
    assert layer_vector(table, siw, hits=True).shape[1] == layer_vector(table, siw, hits=False).shape[1] + 30


def test_parts_give_what_one_pass_gives(make_toy_showers: Callable[..., Showers], siw: Geometry) -> None:
    showers = make_toy_showers(40)
    binning = derive_binning(showers, siw)
    whole = scan(showers, siw, binning=binning)
    parts = [scan(showers, siw, binning=binning, start=s, stop=e) for s, e in ((0, 13), (13, 40))]
    joined = concatenated([part.table for part in parts])
    for name in whole.table.names:
        np.testing.assert_array_equal(joined[name], whole.table[name])
    images = parts[0].images + parts[1].images
    assert images.count == 40
    np.testing.assert_allclose(images.lateral, whole.images.lateral, rtol=1e-12)
    np.testing.assert_allclose(images.depth.sum(), whole.table["visible"].sum(), rtol=1e-6)


def test_points_and_their_cells_have_the_same_features(toy_showers: Showers, siw: Geometry) -> None:
    binning = derive_binning(toy_showers, siw)
    points = feature_table(toy_showers, siw, binning=binning)
    read_out = feature_table(project(toy_showers, siw), siw, binning=binning)
    for name in points.names:
        np.testing.assert_array_equal(points[name], read_out[name])


def test_offset_moves_the_cloud(toy_showers: Showers, siw: Geometry) -> None:
    pitch = siw.layers[0].grid.pitch[0]
    here, there = (feature_table(toy_showers, siw, offset=o) for o in ((0.0, 0.0), (2 * pitch, 0.0)))
    seen = here["visible"] > 0
    # two cells further, up to the few that left the window
    np.testing.assert_allclose((there["cog_x"] - here["cog_x"])[seen], 2 * pitch, atol=0.5)
    np.testing.assert_allclose(there["radial_bins"][:, 0], here["radial_bins"][:, 0], rtol=1e-5)
    with pytest.raises(ConfigError, match="cannot be shifted"):
        feature_table(project(toy_showers, siw), siw, offset=(1.0, 0.0))


def test_binning_comes_from_the_reference(make_toy_showers: Callable[..., Showers], siw: Geometry) -> None:
    showers = make_toy_showers(60)
    binning = derive_binning(showers, siw)
    table = feature_table(showers, siw, binning=binning)
    assert tuple(binning.radial) == PUBLISHED_RADIAL_EDGES
    assert len(binning.official_spectrum) == 50
    assert binning.official_spectrum[0] == siw.threshold
    assert binning.official_spectrum[-1] == pytest.approx(project(showers, siw).energy.max(), rel=1e-6)
    assert table["spectrum"].sum() == table["hits"].sum()
    shares = table["longitudinal_bins"].sum(axis=0) / table["visible"].sum()
    # a group ends with the layer in which the next tenth is reached
    largest = (table["layer_energy"].sum(axis=0) / table["visible"].sum()).max()
    assert np.all(np.abs(np.cumsum(shares) - np.arange(1, len(shares) + 1) / 10) <= largest)
    quantiles = derive_binning(showers, siw, radial="quantile").radial
    assert 3 < len(quantiles) <= 11
    assert np.all(np.diff(quantiles) > 0)


def test_threshold_is_applied_to_cells(siw: Geometry) -> None:
    low, high = siw.threshold * 0.99, siw.threshold
    table = feature_table(cells(siw, [0, 1], [low, high]), siw)
    assert table["hits"] == pytest.approx([1.0])


def test_wrong_geometry_and_scale_are_refused(toy_cells: Showers) -> None:
    with pytest.raises(GeometryError, match="expected cells of"):
        feature_table(toy_cells, box())
    geometry = load_geometry("calochallenge-2")
    raw = cells(geometry, [1], [5.0])
    with pytest.raises(DataError, match="sampling fraction"):
        feature_table(raw, geometry)


def test_no_energy_at_all_is_refused(siw: Geometry) -> None:
    with pytest.raises(DataError, match="above the threshold"):
        feature_table(cells(siw, [0], [1e-6]), siw)


def test_table_selects_joins_and_names() -> None:
    table = FeatureTable({"a": np.arange(4.0), "b": np.arange(8.0).reshape(4, 2)})
    assert table.matrix(("a", "b")).shape == (4, 3)
    assert len(table.select(np.array([True, False, True, False]))) == 2
    with pytest.raises(ConfigError, match="did you mean 'a'"):
        table["aa"]
    with pytest.raises(DataError, match="different columns"):
        concatenated([table, FeatureTable({"a": np.arange(2.0)})])
    with pytest.raises(DataError, match="lengths"):
        FeatureTable({"a": np.arange(2), "b": np.arange(3)})
