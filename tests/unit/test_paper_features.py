"""Moments, directions and regimes of showers whose answer is known."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from caloforge.errors import ConfigError
from caloforge.features import concatenated, derive_binning, feature_table, hits_above
from caloforge.features.axis import principal_axis
from caloforge.features.moments import first_layers
from caloforge.features.regimes import CellQuantiles
from caloforge.geometry import load_geometry, to_dense
from caloforge.showers import Incident, ShowerMeta, Showers

if TYPE_CHECKING:
    from collections.abc import Callable

    from caloforge.geometry import Geometry


def track(geometry: Geometry, theta: float, phi: float, energy: float = 1.0) -> Showers:
    """Points with equal energy along a straight line through all layers."""
    z = geometry.layer_z
    s = z * np.tan(theta)
    points = np.column_stack([s * np.cos(phi), s * np.sin(phi), z])
    return Showers(
        incident=Incident.of(np.array([1e4]), theta=theta, phi=phi),
        offsets=np.array([0, len(z)]),
        energy=np.full(len(z), energy),
        points=points,
        meta=ShowerMeta(geometry=geometry.name),
    )


@pytest.mark.parametrize(("theta", "phi"), [(0.0, 0.0), (0.3, 0.4), (0.5, -2.5), (0.4, 3.1)])
def test_a_straight_track_has_its_true_angle(siw: Geometry, theta: float, phi: float) -> None:
    showers = track(siw, theta, phi)
    table = feature_table(showers, siw)
    # cells of 5 mm round every position: over 60 mm of depth about 0.02 rad
    assert table["axis_theta"][0] == pytest.approx(theta, abs=0.03)
    turned = np.remainder(table["axis_phi"][0] - phi + np.pi, 2 * np.pi) - np.pi
    assert abs(turned) * np.sin(theta) < 0.03
    assert abs(table["measured_angle"][0]) <= theta + 0.03
    assert theta == 0.0 or table["measured_angle"][0] > 0.6 * theta


def test_principal_axis_is_exact_and_points_inward() -> None:
    rng = np.random.default_rng(1)
    axes = rng.normal(size=(50, 3))
    axes /= np.linalg.norm(axes, axis=1, keepdims=True)
    axes *= np.sign(axes[:, 2:])
    spread = 9.0 * axes[:, :, None] * axes[:, None, :] + np.eye(3)
    theta, phi = principal_axis(spread)
    np.testing.assert_allclose(theta, np.arccos(axes[:, 2]), atol=1e-9)
    np.testing.assert_allclose(phi, np.arctan2(axes[:, 1], axes[:, 0]), atol=1e-7)
    assert principal_axis(np.zeros((1, 3, 3)))[0][0] == 0.0


@pytest.mark.parametrize("name", ["siw-ecal", "calochallenge-2", "calochallenge-1-photons"])
def test_moments_agree_with_sums_over_the_cells(name: str) -> None:
    geometry = load_geometry(name)
    rng = np.random.default_rng(2)
    counts = np.array([40, 0, 1, 200])
    cells = [rng.choice(geometry.n_cells, n, replace=False) for n in counts]
    showers = Showers(
        incident=Incident.of(np.full(4, 1e4)),
        offsets=np.concatenate([[0], np.cumsum(counts)]),
        energy=rng.exponential(30.0, counts.sum()) + geometry.threshold,
        cells=np.concatenate(cells).astype(np.int32),
        meta=ShowerMeta(
            geometry=geometry.name,
            fingerprint=geometry.fingerprint,
            sampling_fraction=geometry.sampling_fraction,
        ),
    )
    table = feature_table(showers, geometry)
    for shower in (0, 2, 3):
        one = slice(*showers.offsets[shower : shower + 2])
        assert showers.cells is not None
        position, energy = geometry.cell_positions[showers.cells[one]].astype(float), showers.energy[one]
        apart = position - np.average(position, axis=0, weights=energy)
        size = np.abs(apart).max() + 1e-3
        for axis, letter in enumerate("xyz"):
            second = np.average(apart[:, axis] ** 2, weights=energy)
            third = np.average(apart[:, axis] ** 3, weights=energy)
            assert table[f"moment2_{letter}"][shower] == pytest.approx(second, rel=1e-4, abs=1e-4 * size)
            assert table[f"moment3_{letter}"][shower] == pytest.approx(
                third, rel=1e-3, abs=1e-5 * size**3 + 1e-6
            )
    names = [n for n in table.names if n.startswith("moment")]
    assert len(names) == 6
    assert all(table[n][1] == 0.0 for n in names)


def test_moments_of_a_gaussian_cloud(siw: Geometry) -> None:
    rng = np.random.default_rng(3)
    n, sigma = 40_000, 12.0
    layer = rng.integers(0, siw.n_layers, n)
    # a skewed distribution in y: x^2-like, variance 2 and third moment 8 for one degree of freedom
    y = 3.0 * (rng.chisquare(1, n) - 1.0)
    showers = Showers(
        incident=Incident.of(np.array([1e5])),
        offsets=np.array([0, n]),
        energy=np.ones(n),
        points=np.column_stack([rng.normal(0.0, sigma, n), y, siw.layer_z[layer]]),
        meta=ShowerMeta(geometry=siw.name),
    )
    table = feature_table(showers, siw)
    pitch = siw.fine_pitch * siw.points_per_cell
    assert table["moment2_x"][0] == pytest.approx(sigma**2 + pitch**2 / 12, rel=0.05)
    assert table["moment3_x"][0] == pytest.approx(0.0, abs=0.1 * sigma**3)
    assert table["moment3_y"][0] == pytest.approx(27.0 * 8.0, rel=0.35)


def test_shares_in_depth(siw: Geometry, toy_cells: Showers) -> None:
    table = feature_table(toy_cells, siw)
    filled = table["visible"] > 0
    np.testing.assert_allclose(table["thirds"].sum(axis=1), filled, atol=1e-6)
    assert (first_layers(siw, 8 / 25), first_layers(siw, 3 / 25)) == (10, 4)
    energy = table["layer_energy"].astype(float)
    expected = energy[:, :10].sum(axis=1)[filled] / energy.sum(axis=1)[filled]
    np.testing.assert_allclose(table["first_part"][filled], expected)
    assert np.all(table["early_share"] <= table["first_part"])


def test_regimes_add_up(siw: Geometry, make_toy_showers: Callable[..., Showers]) -> None:
    showers = make_toy_showers(60, seed=3)
    binning = derive_binning(showers, siw)
    table = feature_table(showers, siw, binning=binning)
    np.testing.assert_array_equal(table["regime_hits"].sum(axis=1), table["hits"])
    np.testing.assert_allclose(table["regime_energy"].sum(axis=1), table["visible"], rtol=1e-5)
    share = table["regime_hits"].sum(axis=0) / table["hits"].sum()
    # the edges are rounded to one digit
    assert share[0] == pytest.approx(0.5, abs=0.12)
    assert share[2] == pytest.approx(0.1, abs=0.1)
    own = feature_table(showers, siw, binning=derive_binning(showers, siw, regimes=(2.0, 9.0)))
    mean = own["regime_energy"].sum(axis=0) / own["regime_hits"].sum(axis=0)
    assert mean[0] < 2.0 < mean[1] < 9.0 < mean[2]


def test_regimes_must_rise(siw: Geometry, toy_cells: Showers) -> None:
    with pytest.raises(ConfigError, match="two rising energies"):
        derive_binning(toy_cells, siw, regimes=(2.0, 1.0))


def test_default_regimes_are_round_quantiles() -> None:
    quantiles = CellQuantiles()
    values = np.random.default_rng(4).exponential(10.0, 20_000)
    quantiles.add(values[:5000])
    quantiles.add(values[5000:])
    # median 6.93, nine tenths 23.03
    np.testing.assert_allclose(quantiles.edges(), [7.0, 20.0])


def test_hits_above_thresholds(siw: Geometry, toy_cells: Showers) -> None:
    binning = derive_binning(toy_cells, siw)
    table = feature_table(toy_cells, siw, binning=binning)
    edges = np.array([0, 40, 120])
    found = hits_above(table, edges)
    for column, edge in zip(found.T, edges, strict=True):
        above = toy_cells.energy >= binning.spectrum[edge]
        np.testing.assert_array_equal(column, np.bincount(toy_cells.shower[above], minlength=len(toy_cells)))


def test_parts_joined_are_the_whole(siw: Geometry, make_toy_showers: Callable[..., Showers]) -> None:
    showers = make_toy_showers(50, seed=6)
    binning = derive_binning(showers, siw)
    whole = feature_table(showers, siw, binning=binning)
    parts = [feature_table(showers[a:b], siw, binning=binning) for a, b in ((0, 13), (13, 50))]
    joined = concatenated(parts)
    for name in whole.names:
        np.testing.assert_allclose(whole[name], joined[name], rtol=1e-5, atol=1e-6, err_msg=name)


def test_energy_along_x_and_y_is_that_of_the_dense_image() -> None:
    geometry = load_geometry("clic-17x17x25")
    rng = np.random.default_rng(8)
    counts = np.array([30, 0, 200])
    cells = [rng.choice(geometry.n_cells, n, replace=False) for n in counts]
    showers = Showers(
        incident=Incident.of(np.full(3, 1e4)),
        offsets=np.concatenate([[0], np.cumsum(counts)]),
        energy=rng.exponential(3.0, counts.sum()),
        cells=np.concatenate(cells),
        meta=ShowerMeta(geometry=geometry.name, fingerprint=geometry.fingerprint),
    )
    table, dense = feature_table(showers, geometry), to_dense(showers, geometry)
    np.testing.assert_allclose(table["profile_x"], dense.sum(axis=(1, 3)), rtol=1e-5)
    np.testing.assert_allclose(table["profile_y"], dense.sum(axis=(1, 2)), rtol=1e-5)
