"""The papers' metrics on samples whose answer is known."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from scipy.stats import norm, wasserstein_distance

from caloforge.cli.regimes import parse_regimes
from caloforge.errors import ConfigError
from caloforge.evaluation import METRICS, evaluate
from caloforge.evaluation.pair import Frame, Observed, Pair
from caloforge.evaluation.papers import (
    angle_metric,
    bin_metric,
    energy_metric,
    gan_shape_metric,
    hit_pattern_metric,
    kind_metric,
    layer_correlation_metric,
    mip_metric,
    profile_metric,
    rare_metric,
    regime_metric,
)
from caloforge.evaluation.papers.bins import angle_bins, energy_bins
from caloforge.evaluation.papers.correlations import pearson
from caloforge.evaluation.papers.hit_counts import PARTS, Pattern, count_hits, occupancy
from caloforge.evaluation.papers.inclination import Inclination
from caloforge.evaluation.papers.intervals import core, core_draws
from caloforge.evaluation.papers.mip import has_peak, spectrum_peak
from caloforge.evaluation.papers.pyramid import coefficients
from caloforge.evaluation.papers.resampling import distances
from caloforge.features import CellStore, FeatureTable, derive_binning, feature_table, read_out
from caloforge.geometry import load_geometry, project
from caloforge.geometry.neighbours import cell_groups, neighbours
from caloforge.showers import Incident, ShowerMeta, Showers

if TYPE_CHECKING:
    from collections.abc import Callable

    from caloforge.evaluation.results import Value
    from caloforge.geometry import Geometry

PHYSICS = [metric.compute for metric in METRICS if metric.group == "physics"]


@pytest.fixture(scope="module")
def frame(make_toy_showers: Callable[..., Showers], siw: Geometry) -> Frame:
    showers = read_out(make_toy_showers(400, seed=1), siw)
    binning = derive_binning(showers, siw)
    return Frame(siw, binning, feature_table(showers, siw, binning=binning), seed=3)


@pytest.fixture(scope="module")
def reference(make_toy_showers: Callable[..., Showers], frame: Frame) -> Observed:
    return observed(make_toy_showers(400, seed=1), frame)


def observed(showers: Showers, frame: Frame) -> Observed:
    cells = read_out(showers, frame.geometry)
    table = feature_table(cells, frame.geometry, binning=frame.binning)
    return Observed(table, CellStore.of(cells, frame.geometry))


def by_name(values: list[Value]) -> dict[str, Value]:
    return {value.name.removeprefix("physics."): value for value in values}


def number(value: Value) -> float:
    assert value.value is not None, value.note
    return value.value


def altered(sample: Observed, **columns: Any) -> Observed:
    return Observed(FeatureTable({**sample.table.columns, **columns}), sample.cells)


# mu90 and sigma90


def test_sigma90_of_a_gaussian_is_that_of_its_central_part() -> None:
    a = norm.ppf(0.95)
    expected = np.sqrt(1.0 - 2.0 * a * norm.pdf(a) / 0.9)
    assert expected == pytest.approx(0.789, abs=5e-4)
    mean, sigma = core(np.random.default_rng(1).normal(7.0, 2.0, 200_000))
    assert sigma == pytest.approx(2.0 * expected, rel=0.02)
    assert mean == pytest.approx(7.0, abs=0.15)


def test_core_is_the_shortest_interval() -> None:
    values = np.array([100.0, *np.arange(9.0)])
    np.testing.assert_allclose(core(values), [4.0, np.sqrt(60.0 / 9.0)])
    np.testing.assert_array_equal(core(np.array([[3.0], [4.0]])), [[3.0, 0.0], [4.0, 0.0]])


def test_core_error_shrinks_with_the_sample() -> None:
    rng = np.random.default_rng(2)
    errors = [core_draws(rng.normal(size=n), 200, rng)[1:, 0].std() for n in (100, 2500)]
    assert errors[0] == pytest.approx(5 * errors[1], rel=0.5)


# the MIP peak


def spectrum(position: float, edges: np.ndarray) -> np.ndarray:
    """A log-normal peak of 1e6 cells above a falling exponential."""
    centres = np.sqrt(edges[1:] * edges[:-1])
    shape = np.exp(-0.5 * (np.log(centres / position) / 0.25) ** 2) + 0.3 * np.exp(-centres)
    counts = shape * np.diff(edges)
    return counts / counts.sum() * 1e6


def test_peak_is_found_where_it_is() -> None:
    edges = np.geomspace(0.1, 50.0, 190)
    first, second = (spectrum_peak(edges, spectrum(x, edges)) for x in (0.4, 0.48))
    assert first is not None
    assert second is not None
    assert first.position == pytest.approx(0.4, rel=0.02)
    assert second.position / first.position == pytest.approx(1.2, rel=0.01)
    assert first.height == pytest.approx(np.max(spectrum(0.4, edges) / np.diff(edges)), rel=0.02)
    # of a log-normal density: falls to 80 % at sqrt(-2 ln 0.8) standard deviations
    half = 0.25 * np.sqrt(-2.0 * np.log(0.8))
    assert first.width == pytest.approx(0.8 * np.sinh(half), rel=0.25)
    assert has_peak(edges, spectrum(0.4, edges))


def test_a_falling_spectrum_has_no_peak() -> None:
    edges = np.geomspace(0.1, 50.0, 190)
    centres = np.sqrt(edges[1:] * edges[:-1])
    falling = np.exp(-centres) * np.diff(edges)
    assert not has_peak(edges, falling)
    assert spectrum_peak(edges, np.zeros(189)) is None


def test_peak_metric_measures_the_shift(frame: Frame, reference: Observed) -> None:
    edges, n = frame.binning.spectrum, len(reference)
    rng = np.random.default_rng(4)
    columns = [rng.poisson(spectrum(x, edges) / n, (n, len(edges) - 1)) for x in (0.4, 0.44)]
    first, second = (altered(reference, spectrum=c.astype(np.int32)) for c in columns)
    values = by_name(mip_metric(Pair(first, second, replace(frame, reference=first.table))))
    position = values["gettinghigh_mip_position"]
    assert position.error is not None
    assert number(position) == pytest.approx(0.1, abs=max(4 * position.error, 0.01))
    assert position.settings["reference"]["position"] == pytest.approx(0.4, rel=0.05)
    none = by_name(mip_metric(Pair(reference, reference, frame)))["gettinghigh_mip_position"]
    assert none.value is None
    assert "no peak" in none.note


# bins


def test_bins_are_filled_equally(frame: Frame) -> None:
    table = frame.reference
    bins = energy_bins(table, 8)
    np.testing.assert_allclose(np.bincount(bins.find(table["energy"])), len(table) / 8, atol=2)
    assert not bins.discrete
    straight = angle_bins(table, 3)
    assert len(straight) == 1
    assert np.all(straight.find(table["theta"]) == 0)


def test_discrete_energies_have_a_bin_each() -> None:
    energy = np.repeat([1e3, 1e4, 1e5], 30) * np.tile([1.0, 1.0 + 1e-7], 45)
    table = FeatureTable({"energy": energy, "theta": np.zeros(90)})
    bins = energy_bins(table, 8)
    assert bins.discrete
    np.testing.assert_array_equal(bins.find(energy), np.repeat([0, 1, 2], 30))
    assert bins.find(np.array([10.0, 1e6])).tolist() == [-1, -1]
    single = energy_bins(table.select(slice(0, 30)), 8)
    assert len(single) == 1


# linearity, profiles, correlations


def test_linearity_and_resolution_of_a_changed_response(frame: Frame, reference: Observed) -> None:
    rng = np.random.default_rng(5)
    n = len(reference)
    noise = rng.normal(size=n)
    first = altered(reference, fraction=0.03 * (1.0 + 0.05 * noise))
    second = altered(reference, fraction=0.03 * 1.1 * (1.0 + 0.10 * noise))
    values = by_name(energy_metric(Pair(first, second, frame)))
    # one noise with another width: both follow from the reference's own intervals
    bins = energy_bins(frame.reference, 8)
    index = bins.find(reference.table["energy"])
    mean, sigma = np.array([core(noise[index == b]) for b in range(8)]).T
    response = 1.1 * (1 + 0.1 * mean) / (1 + 0.05 * mean) - 1
    assert number(values["gettinghigh_linearity"]) == pytest.approx(np.abs(response).mean())
    assert number(values["gettinghigh_linearity_max"]) == pytest.approx(np.abs(response).max())
    width = 2.0 * (1 + 0.05 * mean) / (1 + 0.1 * mean) - 1
    assert number(values["gettinghigh_resolution"]) == pytest.approx(np.abs(width).mean())
    settings = values["gettinghigh_resolution"].settings
    np.testing.assert_allclose(settings["reference"]["sigma90"], 0.05 * sigma / (1 + 0.05 * mean))
    assert len(settings["energy"]) == 8


def test_correlations_of_independent_and_copied_columns() -> None:
    rng = np.random.default_rng(6)
    a, b = rng.normal(size=(2, 20_000))
    matrix = pearson(np.column_stack([a, b, 2 * a + 5, -a, np.full(20_000, 3.0)]))
    np.testing.assert_allclose(matrix, matrix.T)
    assert matrix[0, 1] == pytest.approx(0.0, abs=0.03)
    np.testing.assert_allclose([matrix[0, 2], matrix[0, 3]], [1.0, -1.0])
    np.testing.assert_array_equal(matrix[4], 0.0)
    weights = rng.integers(0, 3, 20_000).astype(float)
    weighted = pearson(np.column_stack([a, a + b]), weights)[0, 1]
    repeated = np.repeat(np.arange(20_000), weights.astype(int))
    assert weighted == pytest.approx(np.corrcoef(a[repeated], (a + b)[repeated])[0, 1])


def test_layer_correlations_see_shuffled_layers(frame: Frame, reference: Observed) -> None:
    rng = np.random.default_rng(7)
    energy = reference.table["layer_energy"]
    shuffled = rng.permuted(energy, axis=0)
    (value,) = layer_correlation_metric(
        Pair(reference, altered(reference, layer_energy=shuffled), frame, resamples=10)
    )
    off = np.triu_indices(energy.shape[1], k=1)
    expected = np.abs(np.corrcoef(energy.T)[off] - np.corrcoef(shuffled.T)[off]).mean()
    assert number(value) == pytest.approx(expected, rel=1e-5)
    assert expected > 0.2


def test_profiles_of_scaled_energies(frame: Frame, reference: Observed) -> None:
    second = altered(
        reference,
        layer_energy=1.25 * reference.table["layer_energy"],
        radial_profile=0.5 * reference.table["radial_profile"],
    )
    values = by_name(profile_metric(Pair(reference, second, frame, resamples=0)))
    assert number(values["gettinghigh_longitudinal"]) == pytest.approx(0.25, rel=1e-5)
    assert number(values["gettinghigh_radial"]) == pytest.approx(0.5, rel=1e-5)
    assert number(values["gettinghigh_correlations"]) == 0.0
    # the incident energy of the toy varies, the angle of its particles not
    assert "energy" in values["gettinghigh_correlations"].settings["titles"]


# angles


def test_angles_of_smeared_directions(frame: Frame) -> None:
    rng = np.random.default_rng(8)
    n = 6000
    theta, phi = rng.uniform(0.2, 1.0, n), rng.uniform(-np.pi, np.pi, n)
    energy = rng.uniform(1e4, 1e5, n)

    def sample(bias: float, width: float, noise: np.ndarray) -> Observed:
        turn = width * noise[1] / np.sin(theta)
        columns = {
            "energy": energy,
            "theta": theta,
            "phi": phi,
            "axis_theta": theta + bias + width * noise[0],
            "axis_phi": np.remainder(phi + turn + np.pi, 2 * np.pi) - np.pi,
        }
        return Observed(FeatureTable(columns))

    first, second = (sample(0.0, 0.02, rng.normal(size=(2, n))), sample(0.01, 0.03, rng.normal(size=(2, n))))
    own = replace(frame, reference=first.table)
    values = by_name(angle_metric(Pair(first, second, own, resamples=20)))
    resolution, response = values["bibae_theta_resolution"], values["bibae_theta_response"]
    assert number(resolution) == pytest.approx(0.5, abs=0.06)
    assert number(response) == pytest.approx(0.01 / (0.789 * 0.02), rel=0.12)
    assert number(values["bibae_azimuth_resolution"]) == pytest.approx(0.5, abs=0.06)
    assert number(values["bibae_azimuth_response"]) < 0.2
    assert len(response.settings["bins"]) == 15
    assert response.error is not None


def test_samples_without_angles_say_so(frame: Frame, reference: Observed) -> None:
    for value in angle_metric(Pair(reference, reference, frame)):
        assert value.value is None
        assert "perpendicular" in value.note


# 3DGAN


def test_ten_per_cent_question(frame: Frame, reference: Observed) -> None:
    fraction = np.random.default_rng(13).normal(0.03, 0.002, len(reference))
    first, second = (altered(reference, fraction=scale * fraction) for scale in (1.0, 1.2))
    values = by_name(bin_metric(Pair(first, second, frame)))
    assert number(values["3dgan_sampling_fraction"]) == pytest.approx(0.2)
    settings = values["3dgan_beyond"].settings
    count = len(settings["quantities"])
    # one quantity is off in all bins, the others in none
    assert number(values["3dgan_beyond"]) == pytest.approx(1.0 / count)
    assert number(values["3dgan_beyond_surely"]) == pytest.approx(1.0 / count)
    assert number(values["3dgan_moments"]) == 0.0
    names = [name for name, _ in settings["quantities"]]
    np.testing.assert_allclose(np.array(settings["deviation"])[names.index("fraction")], 0.2)
    assert number(values["3dgan_deviation"]) == pytest.approx(0.2 / count)


def test_small_samples_are_not_surely_off(
    frame: Frame, reference: Observed, make_toy_showers: Callable[..., Showers]
) -> None:
    second = observed(make_toy_showers(120, seed=9), frame)
    values = by_name(bin_metric(Pair(reference, second, frame)))
    assert number(values["3dgan_beyond_surely"]) <= number(values["3dgan_beyond"])
    assert number(values["3dgan_beyond_surely"]) < 0.03


def test_sparsity_against_thresholds(frame: Frame, reference: Observed) -> None:
    settings = by_name(bin_metric(Pair(reference, reference, frame)))["3dgan_sparsity"].settings
    assert settings["thresholds"][0] == frame.geometry.threshold
    expected = reference.table["hits"].mean() / frame.geometry.n_cells
    assert settings["reference"][0] == pytest.approx(expected)
    assert np.all(np.diff(settings["reference"]) < 0)


def test_lost_early_showers_are_noticed(frame: Frame, reference: Observed) -> None:
    share = reference.table["early_share"]
    early = share > np.quantile(share, 0.97)
    without = reference.select(~early)
    values = by_name(rare_metric(Pair(reference, without, frame)))
    assert number(values["3dgan_early"]) == pytest.approx(1.0)
    settings = values["3dgan_early"].settings
    assert settings["generated"]["rate"] == 0.0
    assert settings["generated"]["error"] > 0
    assert settings["reference"]["rate"] == pytest.approx(0.03, abs=0.005)
    twice = reference.select(np.concatenate([np.arange(400), np.flatnonzero(early)]))
    doubled = by_name(rare_metric(Pair(reference, twice, frame)))["3dgan_early"]
    assert number(doubled) == pytest.approx(2 * 400 / (400 + early.sum()) - 1)


def test_rare_showers_are_those_of_the_first_kind(frame: Frame, reference: Observed) -> None:
    """Pions that do not shower have a tenth of their energy in a tenth of the layers."""
    pion = np.arange(400) % 4 == 0
    share = np.where(pion, 0.5, reference.table["early_share"])
    mixed = altered(reference, pdg=np.where(pion, -211, 11), early_share=share)
    frame = replace(frame, reference=mixed.table)
    electrons = share[~pion]
    without = mixed.select(pion | (share <= np.quantile(electrons, 0.97)))
    lost = by_name(rare_metric(Pair(mixed, without, frame)))["3dgan_early"]
    assert lost.settings["threshold"] == pytest.approx(np.quantile(electrons, 0.97))
    assert lost.settings["reference"]["rate"] == pytest.approx(0.03, abs=0.004)
    assert number(lost) == pytest.approx(1.0)
    only_pions = mixed.select(pion)
    assert by_name(rare_metric(Pair(mixed, only_pions, frame)))["3dgan_early"].value is None


@pytest.fixture(scope="module")
def clic_toy() -> tuple[Frame, Observed]:
    """Particles that lean to both sides of the y axis, and electrons and photons."""
    geometry = load_geometry("clic-17x17x25")
    cells = random_cells(geometry, 400, seed=4, energies=[1e4, 1e5], hits=60)
    rng = np.random.default_rng(5)
    lean = rng.uniform(-0.5, 0.5, 400)
    incident = replace(
        cells.incident,
        theta=np.abs(lean),
        phi=np.where(lean < 0, -np.pi / 2, np.pi / 2),
        pdg=np.where(np.arange(400) % 2, 22, 11),
    )
    cells = replace(cells, incident=incident)
    binning = derive_binning(cells, geometry)
    frame = Frame(geometry, binning, feature_table(cells, geometry, binning=binning), seed=3)
    return frame, observed(cells, frame)


def test_angles_have_a_sign_in_one_plane_only(clic_toy: tuple[Frame, Observed]) -> None:
    _, sample = clic_toy
    inclination = Inclination.of(sample.table)
    assert inclination.plane == pytest.approx(np.pi / 2)
    lean = sample.table["theta"] * np.sin(sample.table["phi"])
    np.testing.assert_allclose(inclination.of_particles(sample.table), lean)
    turned = altered(sample, phi=sample.table["phi"] + np.pi)  # 90 and 270 degrees, as beams have them
    np.testing.assert_allclose(Inclination.of(turned.table).of_particles(turned.table), -lean)
    along_x = altered(sample, phi=np.where(lean < 0, np.pi, -1e-9))
    assert Inclination.of(along_x.table).plane == 0.0
    np.testing.assert_allclose(Inclination.of(along_x.table).of_particles(along_x.table), lean)
    for other in ({"phi": np.arange(400.0)}, {"phi": np.full(400, 1.0)}, {"theta": np.zeros(400)}):
        unsigned = altered(sample, **other)
        assert Inclination.of(unsigned.table).plane is None
        angles = Inclination.of(unsigned.table).of_particles(unsigned.table)
        np.testing.assert_array_equal(angles, unsigned.table["theta"])


def test_bins_and_correlations_of_both_sides(clic_toy: tuple[Frame, Observed]) -> None:
    frame, sample = clic_toy
    values = by_name(bin_metric(Pair(sample, sample, frame)))
    edges = values["3dgan_beyond"].settings["angle_edges"]
    assert edges[0] == pytest.approx(-0.5, abs=0.01)
    assert edges[-1] == pytest.approx(0.5, abs=0.01)
    mirrored = altered(sample, cog_y=-sample.table["cog_y"])
    settings = by_name(bin_metric(Pair(sample, mirrored, frame)))["3dgan_correlations"].settings
    lean = sample.table["theta"] * np.sin(sample.table["phi"])
    expected = np.corrcoef(lean, sample.table["cog_y"])[0, 1]
    place = settings["titles"].index("inclination"), settings["titles"].index("cog_y")
    assert settings["reference"][place[0]][place[1]] == pytest.approx(expected)
    assert settings["generated"][place[0]][place[1]] == pytest.approx(-expected)


def test_shapes_tell_how_much_energy_lies_elsewhere(clic_toy: tuple[Frame, Observed]) -> None:
    frame, sample = clic_toy
    profile = np.zeros((400, 17), np.float32)
    profile[:, 3] = sample.table["energy"]
    moved = profile.copy()
    moved[:, 3] *= 0.75
    moved[:, 9] = 0.25 * profile[:, 3]
    first, second = altered(sample, profile_y=profile), altered(sample, profile_y=2 * moved)
    values = by_name(gan_shape_metric(Pair(first, second, frame)))
    assert number(values["3dgan_shape_y"]) == pytest.approx(0.25)
    assert values["3dgan_shape_y"].settings["bins_used"] == 6  # two energies, three angles
    assert number(values["3dgan_shape_x"]) == number(values["3dgan_shape_z"]) == 0.0
    nothing = altered(sample, profile_y=0 * profile)
    assert number(by_name(gan_shape_metric(Pair(first, nothing, frame)))["3dgan_shape_y"]) == 1.0
    assert by_name(gan_shape_metric(Pair(nothing, first, frame)))["3dgan_shape_y"].value is None


def test_shapes_of_rings_are_along_the_depth_only() -> None:
    geometry = load_geometry("cylinder-ds2")
    cells = random_cells(geometry, 120, seed=4, energies=[1e4, 1e5], hits=60)
    binning = derive_binning(cells, geometry)
    frame = Frame(geometry, binning, feature_table(cells, geometry, binning=binning), seed=3)
    sample = observed(cells, frame)
    values = by_name(gan_shape_metric(Pair(sample, sample, frame)))
    assert values["3dgan_shape_x"].value is None
    assert "no square cells" in values["3dgan_shape_y"].note
    assert number(values["3dgan_shape_z"]) == 0.0


def test_kinds_differ_as_they_do_in_the_reference(clic_toy: tuple[Frame, Observed]) -> None:
    frame, sample = clic_toy
    photon = sample.table["pdg"] == 22
    part = np.arange(400) // 2 % 10  # of every kind
    first = altered(
        sample,
        fraction=np.where(photon, 0.019, 0.02),
        first_part=np.where(photon & (part < 4) | ~photon & (part < 1), 0.05, 0.3),
    )
    second = altered(
        sample,
        fraction=np.where(photon, 0.036, 0.04),
        first_part=np.where(photon & (part < 2) | ~photon & (part < 1), 0.05, 0.3),
    )
    frame = replace(frame, reference=first.table)
    values = by_name(kind_metric(Pair(first, second, frame)))
    assert number(values["3dgan_kinds_fraction"]) == pytest.approx(0.05)
    assert values["3dgan_kinds_fraction"].settings["reference"] == pytest.approx([0.95])
    assert number(values["3dgan_kinds_start"]) == pytest.approx(0.2)
    assert values["3dgan_kinds_start"].settings["generated"] == pytest.approx([0.1])
    assert values["3dgan_kinds_start"].settings["kinds"] == ["e-", "gamma"]
    alone = first.select(~photon)
    for value in kind_metric(Pair(alone, alone, replace(frame, reference=alone.table))):
        assert value.value is None
        assert "one kind" in value.note
    few = first.select(np.concatenate([np.flatnonzero(~photon), np.flatnonzero(photon)[:10]]))
    assert "fewer than 20" in kind_metric(Pair(first, few, frame))[0].note


# regimes


def test_regimes_of_scaled_counts(frame: Frame, reference: Observed) -> None:
    hits = reference.table["regime_hits"].astype(float)
    second = altered(reference, regime_hits=hits * [1.0, 2.0, 1.0])
    values = by_name(regime_metric(Pair(reference, second, frame)))
    settings = values["calopointflow_hits"].settings
    np.testing.assert_allclose(settings["ratio"], [1.0, 2.0, 1.0])
    middle = hits[:, 1].mean() / hits[:, 1].std()
    np.testing.assert_allclose(settings["per_regime"], [0.0, middle, 0.0], atol=1e-12)
    assert number(values["calopointflow_hits"]) == pytest.approx(middle / 3)
    assert number(values["calopointflow_energy"]) == 0.0
    assert settings["edges"] == frame.binning.regimes.tolist()


def test_regimes_can_be_given(make_toy_showers: Callable[..., Showers], siw: Geometry) -> None:
    showers = make_toy_showers(60)
    result = evaluate(showers, {"copy": showers}, geometry=siw, regimes=(1.0, 20.0))
    assert result.binning.regimes.tolist() == [1.0, 20.0]
    assert parse_regimes(None) is None
    assert parse_regimes("0.5,5") == (0.5, 5.0)
    for text in ("1", "5,0.5", "a,b", "0,1", "1,inf"):
        with pytest.raises(ConfigError, match="two rising energies"):
            parse_regimes(text)


def test_distances_of_all_resamplings_agree_with_scipy() -> None:
    rng = np.random.default_rng(14)
    values = rng.normal(size=200), rng.integers(-2, 3, 150).astype(float)
    weights = rng.integers(0, 3, (4, 200)).astype(float), rng.integers(0, 3, (4, 150)).astype(float)
    expected = [wasserstein_distance(*values, *both) for both in zip(*weights, strict=True)]
    np.testing.assert_allclose(distances(values, weights), expected)
    same = values[1], values[1]
    assert np.all(distances(same, (weights[1], weights[1])) == 0.0)


# hit correlations


def cells_of(hit: np.ndarray, geometry: Geometry, where: list[int]) -> Showers:
    """Showers whose cells ``where`` are hit as the boolean columns say."""
    shower, column = np.nonzero(hit)
    return Showers(
        incident=Incident.of(np.full(len(hit), 1e4)),
        offsets=np.concatenate([[0], np.cumsum(hit.sum(axis=1))]),
        energy=np.ones(len(shower)),
        cells=np.array(where)[column].astype(np.int32),
        meta=ShowerMeta(geometry=geometry.name, fingerprint=geometry.fingerprint),
    )


def test_coefficients_of_independent_and_copied_cells(siw: Geometry) -> None:
    rng = np.random.default_rng(10)
    a, b = rng.random((2, 3000)) < [[0.3], [0.6]]
    hit = np.column_stack([a, b, a, ~a, np.ones(3000, bool)])
    where = [10, 11, 400, 5000, 6000]
    store = CellStore.of(cells_of(hit, siw, where), siw)
    np.testing.assert_allclose(occupancy(store)[where], hit.mean(axis=0))
    near = np.array(list(neighbours(siw).values()))
    group, groups = cell_groups(siw)
    pattern = Pattern(np.array(where), near, np.array([True, True, False, False]), group, groups, 25)
    counts = count_hits(store, pattern)
    joint = counts.joint.sum(axis=0)
    np.testing.assert_array_equal(joint, hit.astype(float).T @ hit)
    single = np.diag(joint)
    r = coefficients(joint, single[:, None], single[None, :], counts.showers.sum())
    assert r[0, 1] == pytest.approx(0.0, abs=0.05)
    np.testing.assert_allclose([r[0, 2], r[0, 3]], [1.0, -1.0])
    np.testing.assert_array_equal(r[4], 0.0)
    np.testing.assert_allclose(r[:4, :4], np.corrcoef(hit[:, :4].T), atol=1e-6)
    assert len(counts.showers) == PARTS
    # 10 and 11 are neighbours in y
    both = counts.near.sum(axis=0)
    assert both[1, 10] == np.sum(a & b)
    np.testing.assert_array_equal(counts.pairs, a & b)


def test_hits_in_blocks_are_counted(siw: Geometry) -> None:
    # cells 0 to 5: five in the first block of 5 x 5, one in the next
    hit = np.ones((40, 6), bool)
    hit[::2, 1:] = False
    store = CellStore.of(cells_of(hit, siw, list(range(6))), siw)
    group, groups = cell_groups(siw)
    assert groups == 30 * 36
    near = np.array(list(neighbours(siw).values()))
    pattern = Pattern(np.arange(2), near, np.array([True, True, False, False]), group, groups, 25)
    counts = count_hits(store, pattern)
    assert counts.group_hits[0, 1] == 1
    assert counts.group_hits[0].sum() == 1
    assert (counts.group_hits[1, 5], counts.group_hits[1, 1]) == (1, 1)
    assert counts.pairs.tolist() == [0, 5] * 20


def test_clumped_hits_differ_from_scattered_ones(siw: Geometry) -> None:
    rng = np.random.default_rng(11)
    line = [15 * 900 + 15 * 30 + k for k in range(5, 25)]
    centre = rng.random(600) < 0.5
    clumped = np.repeat(centre[:, None], 20, axis=1) ^ (rng.random((600, 20)) < 0.1)
    scattered = rng.random((600, 20)) < 0.5
    samples = [cells_of(hit, siw, line) for hit in (clumped, clumped[::-1], scattered)]
    binning = derive_binning(samples[0], siw)
    frame = Frame(siw, binning, feature_table(samples[0], siw, binning=binning), seed=1)
    first, again, other = (observed(sample, frame) for sample in samples)
    same = by_name(hit_pattern_metric(Pair(first, again, frame)))
    assert all(number(value) == pytest.approx(0.0, abs=1e-6) for value in same.values())
    values = by_name(hit_pattern_metric(Pair(first, other, frame)))
    correlation, near = values["pyramid_hit_correlation"], values["pyramid_neighbours"]
    # copies with one tenth flipped: coefficient 0.8 squared
    assert number(correlation) == pytest.approx(0.64, abs=0.06)
    assert correlation.error is not None
    assert 0 < correlation.error < 0.05
    assert number(correlation) > 5 * correlation.settings["expected_noise"]
    beside = near.settings["directions"].index("y")
    assert near.settings["reference"][beside] == pytest.approx(0.64, abs=0.06)
    assert near.settings["generated"][beside] == pytest.approx(0.0, abs=0.06)
    assert number(values["pyramid_pairs"]) > 0.2


@pytest.mark.parametrize("name", ["siw-ecal", "calochallenge-2", "calochallenge-1-photons"])
def test_neighbours_lie_side_by_side(name: str) -> None:
    geometry = load_geometry(name)
    position, layer = geometry.cell_positions, geometry.cell_layer
    for direction, near in neighbours(geometry).items():
        cells = np.flatnonzero(near >= 0)
        step = layer[near[cells]] - layer[cells]
        expected = {"next layer": 1, "layer after next": 2}.get(direction, 0)
        assert np.all(step == expected)
        if expected:
            continue
        assert np.all(near[cells] != cells)
        apart = np.linalg.norm(position[near[cells]] - position[cells], axis=1)
        if name == "siw-ecal":
            np.testing.assert_allclose(apart, geometry.layers[0].grid.pitch[0], rtol=1e-4)
    group, groups = cell_groups(geometry)
    assert len(np.unique(group)) == groups
    assert all(len(np.unique(layer[group == g])) == 1 for g in range(min(groups, 50)))


# all of them


def smeared(showers: Showers, factor: float) -> Showers:
    """Points further from the axis and deeper, energies scaled."""
    assert showers.points is not None
    return replace(
        showers,
        points=showers.points * np.array([1 + factor, 1 + factor, 1.0], dtype=np.float32),
        energy=showers.energy * np.float32(1 + factor),
        meta=ShowerMeta(geometry=showers.meta.geometry),
    )


def test_growing_smearing_gives_growing_numbers(
    frame: Frame, reference: Observed, make_toy_showers: Callable[..., Showers]
) -> None:
    source = make_toy_showers(400, seed=1)
    rows = []
    for factor in (0.0, 0.15, 0.3, 0.6):
        sample = observed(smeared(source, factor), frame)
        pair = Pair(reference, sample, frame, resamples=0)
        rows.append({v.name: v.value for compute in PHYSICS for v in compute(pair)})
    assert all(value is None or abs(value) < 1e-12 for value in rows[0].values())
    growing = {
        "gettinghigh_linearity",
        "gettinghigh_radial",
        "gettinghigh_longitudinal",
        "3dgan_beyond",
        "3dgan_deviation",
        "3dgan_moments",
        "3dgan_sampling_fraction",
        "calopointflow_energy",
        "pyramid_hit_correlation",
    }
    for name in growing:
        numbers = [row[f"physics.{name}"] for row in rows]
        assert np.all(np.diff(numbers) > 0), (name, numbers)


def random_cells(geometry: Geometry, count: int, *, seed: int, energies: list[float], hits: int) -> Showers:
    """Cells at random, more in the first ones; shower 1 is empty."""
    rng = np.random.default_rng(seed)
    n = rng.integers(1, hits, count)
    n[1:2] = 0
    cells = [rng.choice(min(geometry.n_cells, 4 * hits), k, replace=False) for k in n]
    return Showers(
        incident=Incident.of(rng.choice(energies, count)),
        offsets=np.concatenate([[0], np.cumsum(n)]),
        energy=geometry.threshold + rng.exponential(20.0, n.sum()),
        cells=np.concatenate([np.empty(0, np.int64), *cells]).astype(np.int32),
        meta=ShowerMeta(
            geometry=geometry.name,
            fingerprint=geometry.fingerprint,
            sampling_fraction=geometry.sampling_fraction,
        ),
    )


@pytest.mark.parametrize("name", ["siw-ecal", "calochallenge-2", "calochallenge-1-photons"])
@pytest.mark.parametrize("count", [3, 60])
@pytest.mark.parametrize("energies", [[5e4], [1e4, 1e5]])
def test_all_geometries_sizes_and_energies_give_numbers_or_words(
    name: str, count: int, energies: list[float]
) -> None:
    geometry = load_geometry(name)
    first, second = (random_cells(geometry, count, seed=s, energies=energies, hits=60) for s in (1, 2))
    binning = derive_binning(first, geometry)
    frame = Frame(geometry, binning, feature_table(first, geometry, binning=binning), seed=1)
    samples = [observed(sample, frame) for sample in (first, second)]
    names: list[str] = []
    for compute in PHYSICS:
        found = compute(Pair(*samples, frame, resamples=5))
        for value in found:
            if value.value is None:
                assert value.note
            else:
                assert np.isfinite(value.value)
                assert value.value >= 0 or value.better == "floor"
        # floors are matched by the place of the value
        swapped = compute(Pair(*reversed(samples), frame, resamples=0))
        assert [v.name for v in swapped] == [v.name for v in found]
        names += [v.name for v in found]
    assert len(set(names)) == len(names)


def test_angles_of_real_geometry(siw: Geometry) -> None:
    rng = np.random.default_rng(12)
    n, hits = 300, 120
    theta, phi = rng.uniform(0, 0.6, n), rng.uniform(-np.pi, np.pi, n)
    z = siw.layer_z[rng.integers(0, siw.n_layers, (n, hits))]
    along = z * np.tan(theta)[:, None] + rng.normal(0, 4, z.shape)
    across = rng.normal(0, 4, z.shape)
    x = along * np.cos(phi)[:, None] - across * np.sin(phi)[:, None]
    y = along * np.sin(phi)[:, None] + across * np.cos(phi)[:, None]
    showers = Showers(
        incident=Incident.of(np.full(n, 1e4), theta=theta, phi=phi),
        offsets=np.arange(n + 1) * hits,
        energy=np.ones(n * hits),
        points=np.stack([x, y, z], axis=-1).reshape(-1, 3),
        meta=ShowerMeta(geometry=siw.name),
    )
    cells = project(showers, siw)
    binning = derive_binning(cells, siw)
    table = feature_table(cells, siw, binning=binning)
    frame = Frame(siw, binning, table, seed=1)
    first, second = observed(cells[:150], frame), observed(cells[150:], frame)
    values = by_name(angle_metric(Pair(first, second, frame)))
    for bin_ in values["bibae_theta_response"].settings["bins"]:
        assert abs(bin_["reference"]["theta_mean"]) < 0.05
        assert 0.0 < bin_["reference"]["theta_width"] < 0.1
    assert len(by_name(bin_metric(Pair(first, second, frame)))["3dgan_beyond"].settings["angle_edges"]) == 4
