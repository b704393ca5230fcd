"""Response, broken showers, depth, correlations and texture of samples whose answer is known."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pytest

from caloforge.evaluation.pair import Frame, Observed, Pair
from caloforge.evaluation.papers.bins import Bins
from caloforge.evaluation.physics import (
    border_metric,
    broken_metric,
    hit_texture_metric,
    layer_metric,
    response_metric,
    shape_metric,
    worst_showers,
)
from caloforge.evaluation.physics.borders import _Ratios, joint_rates
from caloforge.evaluation.physics.broken import MARGIN, excess_of
from caloforge.evaluation.physics.response import response_numbers
from caloforge.evaluation.physics.shapes import CORRELATED_SHAPES
from caloforge.evaluation.physics.trend import without_trend
from caloforge.features import Binning, FeatureTable
from caloforge.geometry import Geometry, load_geometry

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from caloforge.evaluation.results import Value

SIW = load_geometry("siw-ecal")


def pair_of(
    first: dict[str, Any], second: dict[str, Any], *, resamples: int = 8, geometry: Geometry = SIW
) -> Pair:
    tables = [
        FeatureTable({name: np.asarray(v) for name, v in columns.items()}) for columns in (first, second)
    ]
    frame = Frame(geometry, cast("Binning", None), tables[0], seed=3)
    return Pair(Observed(tables[0]), Observed(tables[1]), frame, resamples)


def named(values: list[Value]) -> dict[str, Value]:
    return {value.name.removeprefix("physics."): value for value in values}


def energies(count: int, seed: int = 1) -> NDArray[np.float64]:
    return np.random.default_rng(seed).uniform(1e4, 1e5, count)


def gaussian(count: int, *, width: float, scale: float, seed: int) -> dict[str, Any]:
    """A response of 3 % that grows with the energy, smeared."""
    energy = energies(count, seed)
    noise = np.random.default_rng(seed + 100).normal(size=count)
    return {
        "energy": energy,
        "weighted_response": scale * (0.03 + 0.004 * np.log(energy / 5e4) + width * noise),
    }


def test_resolution_of_a_gaussian_is_its_width() -> None:
    pair = pair_of(
        gaussian(40_000, width=6e-4, scale=1.0, seed=3), gaussian(40_000, width=9e-4, scale=1.02, seed=4)
    )
    found = named(response_metric(pair))
    settings = found["response"].settings
    middle = np.mean(settings["bins"], axis=1)
    truth = 0.03 + 0.004 * np.log(middle / 5e4)
    for name in ("sigma68", "rms"):  # in one bin of the energy the response alone has a spread of 2 to 6 %
        np.testing.assert_allclose(settings["reference"][name], 6e-4 / truth, rtol=0.05)
        np.testing.assert_allclose(settings["generated"][name], 9e-4 / truth, rtol=0.05)
    np.testing.assert_allclose(settings["reference"]["mean"], truth, rtol=0.005)
    assert found["response"].value == pytest.approx(0.02, abs=0.001)
    assert found["response_max"].value == pytest.approx(0.02, abs=0.002)
    assert found["resolution"].value == pytest.approx(0.5, abs=0.03)
    assert found["resolution_rms"].value == pytest.approx(0.5, abs=0.03)
    assert found["resolution"].better == "floor"


def test_response_keeps_its_sign_and_has_the_error_of_the_mean() -> None:
    pair = pair_of(
        gaussian(4000, width=6e-4, scale=1.0, seed=1),
        gaussian(4000, width=3e-4, scale=0.97, seed=2),
        resamples=60,
    )
    found = named(response_metric(pair))
    assert found["response"].value == pytest.approx(-0.03, abs=0.003)
    assert found["resolution"].value == pytest.approx(-0.5, abs=0.05)
    # 500 showers a bin: 6e-4 / sqrt(500) in every bin
    errors = np.array(found["response"].settings["reference"]["mean_error"])
    np.testing.assert_allclose(errors, 6e-4 / np.sqrt(500), rtol=0.4)
    assert np.mean(errors) == pytest.approx(6e-4 / np.sqrt(500), rel=0.15)
    sigma = np.array(found["response"].settings["reference"]["rms_error"])
    assert np.mean(sigma) == pytest.approx(6e-4 / 0.03 / np.sqrt(1000), rel=0.2)


def test_response_is_the_height_of_the_line_at_the_given_energy() -> None:
    energy = np.exp(np.linspace(0.0, 2.0, 21))
    table = FeatureTable({"energy": energy, "weighted_response": 3.0 + 0.5 * np.log(energy)})
    numbers = response_numbers(
        table, Bins(np.array([0.5, 9.0])), np.array([0.4]), 0, np.random.default_rng(1)
    )
    np.testing.assert_allclose(numbers[0, 0], [3.2, 0.0, 0.0], atol=1e-12)


def test_bins_with_few_showers_have_no_response() -> None:
    few = gaussian(19, width=6e-4, scale=1.0, seed=1)
    found = response_metric(pair_of(few, few))
    assert [value.value for value in found] == [None] * 5
    assert all(value.note for value in found)


def broken_columns(count: int) -> dict[str, Any]:
    """Every quantity runs evenly from 0.2 to 0.6 (last third: 0 to 0.1, first layer: 0 to 4)."""
    even = np.linspace(0.0, 1.0, count)
    energy = np.full(count, 1e4)
    return {
        "energy": energy,
        "weighted_response": 0.2 + 0.4 * even,
        "thirds": np.column_stack([even, even, 0.1 * even]),
        "hottest": (0.2 + 0.4 * even) * energy,
        "first_layer": np.round(4 * even),
        "r90": 10 + 10 * even,
        "visible": np.ones(count),
    }


def test_broken_showers_are_counted_by_hand() -> None:
    reference, generated = broken_columns(300), broken_columns(300)
    generated["weighted_response"][:3] = [0.65, 0.75, 0.05]  # 0.05, 0.15 and 0.15 beyond a range of 0.4
    generated["thirds"][3, 2] = 0.4  # three ranges beyond
    generated["first_layer"][4] = 30.0
    generated["visible"][5] = 0.0
    found = named(broken_metric(pair_of(reference, generated, resamples=20)))
    settings = found["broken"].settings
    assert found["out_of_range"].value == pytest.approx(5 / 300)
    assert found["broken"].value == pytest.approx(4 / 300)
    assert settings["outside"] == {
        "energy": 3,
        "last third": 1,
        "hottest cell": 0,
        "first layer": 1,
        "width": 0,
    }
    assert settings["broken"] == {
        "energy": 2,
        "last third": 1,
        "hottest cell": 0,
        "first layer": 1,
        "width": 0,
    }
    assert (settings["empty"], settings["empty_reference"], settings["showers"]) == (1, 0, 4)
    assert settings["largest_excess"] == pytest.approx(26 / 4)
    # eight ends of ranges, 300 showers in one class
    assert settings["expected_outside"] == pytest.approx(8 * 300 / 301)
    assert settings["expected"]["energy"] == pytest.approx(2 * 300 / 301)
    assert settings["outside_by_class"] == [settings["outside"]]
    assert settings["range_error"] == pytest.approx(np.sqrt(8) / 301)


def test_a_sample_of_the_same_origin_leaves_the_range_as_often_as_expected() -> None:
    rng = np.random.default_rng(8)
    outside = []
    for _ in range(40):
        samples = []
        for count in (200, 400):
            columns = broken_columns(count)
            for name in ("weighted_response", "hottest", "r90", "first_layer"):
                columns[name] = rng.normal(size=count) + 9
            columns["thirds"] = rng.normal(size=(count, 3))
            samples.append(columns)
        counts = named(broken_metric(pair_of(*samples, resamples=0)))["broken"].settings
        outside.append(sum(counts["outside"].values()) / counts["expected_outside"])
    assert np.mean(outside) == pytest.approx(1.0, abs=4 * np.std(outside) / np.sqrt(40))


def test_ranges_are_those_of_the_showers_own_energies() -> None:
    reference = broken_columns(600)
    reference["energy"] = np.linspace(1e4, 9e4, 600)
    reference["weighted_response"] = 0.2 + 0.1 * (reference["energy"] > 5e4)
    generated = {name: values.copy() for name, values in reference.items()}
    generated["weighted_response"][0] = 0.3  # as at high energies, where it starts at low ones
    excess = excess_of(FeatureTable(reference), FeatureTable(generated))
    assert np.flatnonzero(excess.outside).tolist() == [0]
    assert excess.broken[0]
    assert 0 < MARGIN < 1


def test_one_layer_later_than_all_others_is_not_broken() -> None:
    reference, generated = broken_columns(300), broken_columns(300)
    reference["first_layer"][:] = generated["first_layer"][:] = 0.0
    generated["first_layer"][:2] = [1.0, 2.0]
    excess = excess_of(FeatureTable(reference), FeatureTable(generated))
    assert excess.beyond[:3, excess.names.index("first layer")].tolist() == [0.25, 0.5, 0.0]
    assert np.flatnonzero(excess.broken).tolist() == [1]


def test_the_worst_showers_come_first() -> None:
    reference, generated = broken_columns(300), broken_columns(300)
    generated["weighted_response"][[7, 9]] = [0.65, 0.95]
    generated["r90"][200] = 8.0
    generated["r90"][100], generated["visible"][100] = 99.0, 0.0  # nothing to see
    found = worst_showers(FeatureTable(reference), FeatureTable(generated), 9)
    assert [(odd.number, odd.quantity) for odd in found] == [(9, "energy"), (200, "width"), (7, "energy")]
    assert [odd.beyond for odd in found] == pytest.approx([0.875, 0.2, 0.125])
    assert [odd.number for odd in worst_showers(FeatureTable(reference), FeatureTable(generated), 1)] == [9]
    assert worst_showers(FeatureTable(reference), FeatureTable(reference), 5) == []


def shape_columns(count: int, seed: int) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    energy = energies(count, seed)
    columns = {name: rng.normal(5.0, 1.0, count) for name in CORRELATED_SHAPES}
    columns |= {"energy": energy, "mean_layer": 10 + 3 * np.log(energy / 5e4) + rng.normal(size=count)}
    columns |= {"first_layer": rng.integers(0, 3, count).astype(float), "thirds": rng.random((count, 3))}
    return columns


def test_depth_and_width_against_the_reference() -> None:
    reference = shape_columns(2000, 1)
    generated = {name: values.copy() for name, values in reference.items()}
    rest = without_trend(reference["mean_layer"], reference["energy"])
    generated["mean_layer"] = reference["mean_layer"] - 0.2 * rest
    generated["r50"] = 1.1 * reference["r50"]
    generated["first_layer"] = reference["first_layer"] + 2
    limit = np.quantile(reference["thirds"][:, 2], 0.95)
    generated["thirds"][np.flatnonzero(reference["thirds"][:, 2] > limit)[::2], 2] = 0.0
    found = named(shape_metric(pair_of(reference, generated)))
    assert found["depth"].value == pytest.approx(0.0, abs=1e-9)
    assert found["depth_spread"].value == pytest.approx(-0.2)
    # the trend with the energy, of 0.6 layers between 10 and 100 GeV, is none of the spread
    assert found["depth_spread"].settings["reference"]["value"] == pytest.approx(1.0, abs=0.05)
    assert found["r50"].value == pytest.approx(0.1)
    assert found["r50_spread"].value == pytest.approx(0.1)
    assert found["r90"].value == found["core_spread"].value == 0.0
    assert found["conversion"].value == pytest.approx(2.0)
    assert found["late"].value == pytest.approx(-0.5)
    assert found["shape_correlations"].value is not None


def layer_columns(count: int, *, shared: float, seed: int) -> dict[str, Any]:
    """Three layers that follow the energy; the first two share some of their noise."""
    rng = np.random.default_rng(seed)
    energy = energies(count, seed)
    noise = rng.normal(size=(count, 3))
    noise[:, 1] = shared * noise[:, 0] + np.sqrt(1 - shared**2) * noise[:, 1]
    share = 0.01 + 0.01 * np.log(energy / 1e4)[:, None] + 3e-4 * noise
    return {"energy": energy, "layer_energy": share * energy[:, None]}


def test_correlations_of_layers_are_those_without_the_energy() -> None:
    reference, generated = (
        layer_columns(20_000, shared=0.6, seed=1),
        layer_columns(20_000, shared=0.0, seed=2),
    )
    for columns in (reference, generated):
        assert np.corrcoef(columns["layer_energy"].T).min() > 0.99
    found = layer_metric(pair_of(reference, generated))[0]
    # 0.6 in one of three pairs
    assert found.value == pytest.approx(0.6 / np.sqrt(3), abs=0.02)
    assert found.error is not None
    assert 0 < found.error < 0.02


def test_a_parabola_in_the_logarithm_of_the_energy_is_taken_out() -> None:
    energy = energies(50)
    values = np.column_stack([2 + 3 * np.log(energy) - np.log(energy) ** 2, np.log(energy)])
    np.testing.assert_allclose(without_trend(values, energy), 0.0, atol=1e-9)
    noise = np.random.default_rng(1).normal(size=50)
    assert np.std(without_trend(values[:, 0] + noise, energy)) > 0.8


def test_of_one_energy_only_the_mean_is_taken_out() -> None:
    values = np.array([1.0, 2.0, 6.0])
    np.testing.assert_allclose(without_trend(values, np.full(3, 1e4)), [-2.0, -1.0, 3.0])
    two = without_trend(np.array([1.0, 3.0, 5.0, 9.0]), np.array([1e4, 1e4, 2e4, 2e4]))
    np.testing.assert_allclose(two, [-1.0, 1.0, -2.0, 2.0], atol=1e-9)
    assert without_trend(np.empty(0), np.empty(0)).shape == (0,)


def texture_columns(count: int) -> dict[str, Any]:
    rng = np.random.default_rng(5)
    hits = rng.integers(100, 900, count).astype(float)
    names = ("pairs_first", "pairs_second", "pairs_depth", "neighbours", "isolated", "edge_hits")
    return {"hits": hits, "visible": 3.0 * hits, **{name: rng.uniform(0.2, 0.4, count) for name in names}}


def test_texture_is_compared_over_all_hits() -> None:
    reference = texture_columns(500)
    generated = {name: values.copy() for name, values in reference.items()}
    generated["pairs_first"], generated["pairs_second"] = (
        0.5 * generated[n] for n in ("pairs_first", "pairs_second")
    )
    generated["isolated"] = 1.25 * generated["isolated"]
    generated["hits"] = 1.1 * generated["hits"]  # of the same visible energy
    found = named(hit_texture_metric(pair_of(reference, generated)))
    assert found["pairs_lateral"].value == pytest.approx(-0.5)
    assert found["isolated"].value == pytest.approx(0.25)
    assert found["neighbours"].value == pytest.approx(0.0, abs=1e-12)
    assert found["pairs_depth"].value == pytest.approx(0.0, abs=1e-12)
    assert found["hits"].value == pytest.approx(0.1)
    assert found["hits_max"].value == pytest.approx(0.1)
    weighted = (reference["neighbours"] * reference["hits"]).sum() / reference["hits"].sum()
    assert found["neighbours"].settings["reference"]["value"] == pytest.approx(weighted)


def border_columns(count: int, cells: int = 30, layers: int = 30) -> dict[str, Any]:
    """Every cell of an axis hit 40 times in a shower, 10 of them with the next one."""
    columns: dict[str, Any] = {}
    for axis, hits, number in (("first", "columns_first", cells), ("second", "columns_second", cells)):
        columns |= {hits: np.full((count, number), 40), f"borders_{axis}": np.full((count, number - 1), 10)}
    return columns | {
        "layer_hits": np.full((count, layers), 40),
        "borders_depth": np.full((count, layers - 1), 10),
    }


def test_borders_are_compared_with_those_on_both_sides() -> None:
    """Of 2 cells: 0.9 between 0.2 and 0.4; the last border has none behind it."""
    ratios = _Ratios(np.array([[0.2, 0.9, 0.4, 7.0]]), np.array([0.01, 0.02, 0.03, 1.0]), closed=False)
    values, weights = ratios.dips(2)
    np.testing.assert_allclose(values, [[0.6]])
    np.testing.assert_allclose(weights, [1 / (0.02 + 0.25 * 0.04 + 0.0625)])


def test_borders_of_blocks_stand_out() -> None:
    reference, generated = border_columns(100), border_columns(100)
    for axis in ("first", "second"):
        generated[f"borders_{axis}"] = generated[f"borders_{axis}"].copy()
        generated[f"borders_{axis}"][:, 4::5] = 5  # behind the cells 4, 9, ...
    found = named(border_metric(pair_of(reference, generated)))
    # 10 of 70 pairs hit at least once in the reference, 5 of 75 at the model's borders
    ratio = (500.5 / 7501) / (1000.5 / 7001)
    assert found["borders_5"].value == pytest.approx(ratio - 1)
    assert found["borders_max"].value == pytest.approx(1 - ratio)
    assert found["borders_max"].settings["by_block"]["5"] == pytest.approx(ratio - 1)
    assert found["borders_depth"].value == pytest.approx(0.0, abs=1e-12)
    # of 14 borders of blocks of 2 two are those of 5 as well, six lie beside one of these
    assert found["borders_2"].value == pytest.approx(np.exp(np.log(ratio) * (2 - 6 / 2) / 14) - 1, rel=0.05)


def test_a_ratio_that_falls_with_the_distance_is_no_border() -> None:
    reference, generated = border_columns(400), border_columns(400)
    fall = np.exp(-0.12 * np.abs(np.arange(29) - 14.0))
    for axis in ("first", "second"):  # as of models of independent points, which have no blocks
        reference[f"borders_{axis}"] = np.full((400, 29), 4)
        generated[f"borders_{axis}"] = np.random.default_rng(1).poisson(4 * fall, (400, 29))
    found = named(border_metric(pair_of(reference, generated, resamples=30)))
    for block in (2, 3, 5, 6):
        value = found[f"borders_{block}"]
        assert value.error is not None
        assert value.value == pytest.approx(0.0, abs=max(4 * value.error, 0.06))


def test_shares_of_pairs_by_hand() -> None:
    table = FeatureTable(
        {
            "columns_first": np.array([[3, 2, 0, 4]]),
            "borders_first": np.array([[2, 0, 0, 1]]),  # closed
            "columns_second": np.array([[3, 2, 1]]),
            "borders_second": np.array([[1, 1]]),
        }
    )
    both, some = joint_rates(table, "first", np.ones((1, 1)))
    assert (both.tolist(), some.tolist()) == ([[2, 0, 0, 1]], [[3, 2, 4, 6]])
    both, some = joint_rates(table, "second", np.ones((1, 1)))
    assert (both.tolist(), some.tolist()) == ([[1, 1]], [[4, 2]])


def test_the_border_of_a_circle_is_one_of_blocks_too() -> None:
    reference = border_columns(100, cells=16)
    reference["borders_first"] = np.full((100, 16), 10)
    generated = {name: values.copy() for name, values in reference.items()}
    generated["borders_first"][:, [4, 9, 14, 15]] = 5
    generated["borders_second"][:, [4, 9, 14]] = 5
    found = named(border_metric(pair_of(reference, generated)))
    assert found["borders_5"].value == pytest.approx((500.5 / 7501) / (1000.5 / 7001) - 1)


def test_one_cell_has_no_borders() -> None:
    values, weights = _Ratios(np.zeros((3, 0)), np.zeros(0), closed=False).dips(2)
    assert (values.shape, weights.shape) == ((3, 0), (0,))


def test_ragged_layers_have_no_border_numbers() -> None:
    ragged = load_geometry("calochallenge-1-photons")
    found = border_metric(pair_of(border_columns(2), border_columns(2), geometry=ragged))
    assert [value.value for value in found] == [None]
    assert "one grid" in found[0].note


def test_borders_of_one_origin_have_ratios_about_one_and_true_errors() -> None:
    rng = np.random.default_rng(6)
    found = []
    for _ in range(40):
        samples = []
        for _ in range(2):
            columns = border_columns(60)
            for name, values in columns.items():  # few pairs: three in four showers at half of the borders
                low = np.where(np.arange(values.shape[1]) % 2, 0.05, 0.5) if "borders" in name else 1.0
                columns[name] = rng.poisson(values * low)
            samples.append(columns)
        value = named(border_metric(pair_of(*samples, resamples=30)))["borders_2"]
        assert value.value is not None
        assert value.error is not None
        found.append((value.value, value.error))
    values, errors = np.array(found).T
    assert np.mean(values) == pytest.approx(0.0, abs=4 * np.std(values) / np.sqrt(40))
    assert np.std(values / errors) == pytest.approx(1.0, abs=0.4)


def test_few_pairs_make_no_ratio() -> None:
    few = border_columns(2)
    assert all(value.value is None and value.note for value in border_metric(pair_of(few, few)))
