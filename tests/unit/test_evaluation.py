"""Metrics on samples whose answer is known."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from caloforge.errors import ConfigError, DataError
from caloforge.evaluation import evaluate, metrics_of
from caloforge.evaluation.baselines import PointPool, ResampledReader, write_baseline
from caloforge.evaluation.floors import FloorMaker
from caloforge.evaluation.histograms import Histogram, ShowerBins, resample
from caloforge.evaluation.pair import Frame, Observed, Pair
from caloforge.evaluation.papers.resampling import distances
from caloforge.evaluation.separation import separation_metric, separation_power
from caloforge.evaluation.sources import energy_warning
from caloforge.evaluation.wasserstein import wasserstein_metric
from caloforge.features import derive_binning, feature_table
from caloforge.formats import NativeWriter, open_showers
from caloforge.geometry import project
from caloforge.showers import Incident, ShowerMeta, Showers

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from caloforge.features import FeatureTable
    from caloforge.geometry import Geometry

EDGES = np.linspace(0.0, 1.0, 11)


def test_separation_of_known_histograms() -> None:
    first = Histogram(EDGES, np.array([2.0, 2.0] + [0.0] * 8))
    second = Histogram(EDGES, np.array([0.0, 5.0] + [0.0] * 8))
    empty = Histogram(EDGES, np.zeros(10))
    assert separation_power(first, first) == 0
    # 0.5 * (0.5^2 / 0.5 + 0.5^2 / 1.5)
    assert separation_power(first, second) == pytest.approx(0.5 * (0.5 + 0.25 / 1.5))
    disjoint = Histogram(EDGES, np.array([0.0] * 9 + [3.0]))
    assert separation_power(first, disjoint) == pytest.approx(1.0)
    assert separation_power(first, empty) == 1.0
    assert separation_power(empty, empty) == 0.0


def test_histograms_merge() -> None:
    values = np.random.default_rng(1).uniform(-0.2, 1.2, 500)
    whole = Histogram.of(values, EDGES)
    joined = Histogram.of(values[:123], EDGES) + Histogram.of(values[123:], EDGES)
    np.testing.assert_array_equal(whole.counts, joined.counts)
    assert whole.counts.sum() == np.sum((values >= 0) & (values <= 1))
    with pytest.raises(DataError, match="different edges"):
        whole + Histogram.of(values, EDGES * 2)


def test_shower_bins_agree_with_numpy() -> None:
    rng = np.random.default_rng(2)
    values = rng.uniform(-0.1, 1.1, (200, 3))
    values[0] = [0.0, 1.0, 0.1]
    edges = np.array([EDGES, EDGES, np.linspace(0.1, 0.6, 11)])
    weights = rng.integers(0, 4, 200).astype(float)
    filled = ShowerBins.of(values, edges).fill(weights)
    for row, column, own in zip(filled, values.T, edges, strict=True):
        np.testing.assert_allclose(row, np.histogram(column, bins=own, weights=weights)[0])


def test_bootstrap_error_of_a_mean() -> None:
    rng = np.random.default_rng(3)
    values = rng.normal(0.0, 2.0, 400)
    means = values @ resample(400, 400, rng) / 400
    assert means.std(ddof=1) == pytest.approx(2.0 / 20.0, rel=0.15)
    assert resample(4, 0, rng).shape == (4, 0)


def test_distance_of_shifted_gaussians_is_the_shift() -> None:
    values, ones = np.random.default_rng(4).normal(10.0, 3.0, 5000), np.ones((1, 5000))
    assert distances((values, values), (ones, ones)).tolist() == [0.0]
    assert distances((values, values + 1.5), (ones, ones)) == pytest.approx([1.5])
    few = np.where(np.arange(5000) < 10, 1.0, 0.0)[None]
    assert distances((values, values[:10]), (few, ones[:, :10])) == pytest.approx([0.0], abs=1e-12)


@pytest.fixture(scope="module")
def tables(
    make_toy_showers: Callable[..., Showers], siw: Geometry
) -> tuple[Frame, FeatureTable, FeatureTable]:
    """A frame, its reference, and other showers of the same origin."""
    showers = make_toy_showers(800, seed=1)
    binning = derive_binning(showers, siw)
    table = feature_table(showers, siw, binning=binning)
    other = feature_table(make_toy_showers(800, seed=2), siw, binning=binning)
    return Frame(siw, binning, table, seed=3), table, other


def smeared(showers: Showers, factor: float) -> Showers:
    """Points further from the axis, energies scaled."""
    assert showers.points is not None
    points = showers.points * np.array([1 + factor, 1 + factor, 1.0], dtype=np.float32)
    return Showers(
        incident=showers.incident,
        offsets=showers.offsets,
        energy=showers.energy * np.float32(1 + factor),
        points=points,
        meta=ShowerMeta(geometry=showers.meta.geometry),
    )


@pytest.mark.parametrize("metric", [separation_metric, wasserstein_metric])
def test_growing_smearing_gives_growing_numbers(
    metric: Callable[[Pair], list[object]],
    make_toy_showers: Callable[..., Showers],
    siw: Geometry,
    tables: tuple[Frame, FeatureTable, FeatureTable],
) -> None:
    frame, reference, _ = tables
    source = make_toy_showers(800, seed=2)
    names, rows = [], []
    for factor in (0.0, 0.1, 0.25, 0.5):
        table = feature_table(smeared(source, factor), siw, binning=frame.binning)
        values = metric(Pair(Observed(reference), Observed(table), frame, resamples=0))
        names, rows = [v.name.split(".")[1] for v in values], [*rows, [v.value for v in values]]
    numbers = dict(zip(names, np.array(rows).T, strict=True))
    checked = {"fraction", "layer_energy", "width_x", "width_r", "cell_energy", "radial_bins"} & set(numbers)
    assert len(checked) >= 3
    for name in checked:
        assert np.all(np.diff(numbers[name]) > 0), (name, numbers[name])


def test_floor_from_spare_showers_has_the_same_size(
    tables: tuple[Frame, FeatureTable, FeatureTable],
) -> None:
    frame, reference, other = tables
    metric = metrics_of("fast")[0]
    floors = FloorMaker(frame, Observed(reference), Observed(other)).floors(metric, 400)
    floor = floors["separation.layer_energy"]
    assert floor.sizes == (800, 400)
    assert floor.factor == 1.0
    assert floor.pairs == 5  # two disjoint ones, and three with exchanged showers


def test_floor_of_a_single_pair_has_the_error_of_that_pair(
    tables: tuple[Frame, FeatureTable, FeatureTable],
) -> None:
    """Where one pair is enough, its error is resampled as that of a model."""
    frame, reference, other = tables
    metric = replace(metrics_of("fast")[0], floor_pairs=1)
    floors = FloorMaker(frame, Observed(reference), Observed(other)).floors(metric, len(other))
    value = {v.name: v for v in metric.compute(Pair(Observed(reference), Observed(other), frame))}
    floor = floors["separation.layer_energy"]
    assert floor.pairs == 1
    assert floor.value == pytest.approx(value["separation.layer_energy"].value, rel=1e-6)
    assert floor.error == pytest.approx(value["separation.layer_energy"].error, rel=1e-6)
    assert floor.error is not None
    assert 0 < floor.error < floor.value


def test_floor_from_halves_is_scaled_to_the_same_size(
    tables: tuple[Frame, FeatureTable, FeatureTable],
) -> None:
    frame, reference, other = tables
    metric = metrics_of("fast")[0]
    scaled = FloorMaker(frame, Observed(reference), None).floors(metric, 800)["separation.layer_energy"]
    assert scaled.sizes == (400, 400)
    assert 0.4 < scaled.factor < 0.8
    direct = FloorMaker(frame, Observed(reference), Observed(other)).floors(metric, 800)[
        "separation.layer_energy"
    ]
    assert scaled.value == pytest.approx(direct.value, rel=0.35)


def test_other_energies_are_noticed(tables: tuple[Frame, FeatureTable, FeatureTable]) -> None:
    _, reference, other = tables
    assert energy_warning("mine", reference, other) == ""
    high = other.select(other["energy"] > 50_000)
    assert "distributed differently" in energy_warning("mine", reference, high)
    one = reference.select(slice(0, 1))
    assert energy_warning("mine", one, one) == ""


def write(path: Path, showers: Showers, geometry: Geometry) -> Path:
    with NativeWriter(path, geometry=geometry) as writer:
        writer.append(showers)
    return path


def test_evaluation_of_a_copy_is_perfect(make_toy_showers: Callable[..., Showers], siw: Geometry) -> None:
    showers = make_toy_showers(220)
    result = evaluate(showers, {"copy": project(showers, siw)}, geometry=siw)
    for r in result.results["copy"]:
        if r.group == "physics" and r.value is None:  # no angles, no peak
            assert r.note
            continue
        assert r.value is not None
        expected = 0.5 if r.group == "classifier" else 0.0
        assert r.value == pytest.approx(expected, abs=1e-9), r.name
        assert r.n_reference == r.n_generated == 220
        if r.floor is None:  # half of these showers have too few pairs of hits at the borders of blocks
            assert r.name.startswith("physics.borders_")
            continue
        assert r.floor_error is not None
    assert result.warnings == ()
    again = evaluate(showers, {"copy": project(showers, siw)}, geometry=siw)
    assert again.results == result.results


def test_the_quick_level_has_trees_alone_and_floors_only_when_they_are_wanted(
    make_toy_showers: Callable[..., Showers], siw: Geometry
) -> None:
    real, made = make_toy_showers(240), make_toy_showers(240, seed=1)
    found = [evaluate(real, {"m": made}, geometry=siw, metrics="quick", floors=f) for f in (True, False)]
    with_floor, without = (result.results["m"] for result in found)
    names = ["auc.boosted", "auc.boosted_hits", "auc.boosted_shower"]
    assert [r.name for r in with_floor] == [r.name for r in without] == names
    assert [(r.value, r.error) for r in with_floor] == [(r.value, r.error) for r in without]
    assert all(r.floor is not None and "by_size" not in r.settings for r in with_floor)
    assert all(r.floor is None for r in without)


def test_too_few_showers_give_words_instead_of_numbers(toy_showers: Showers, siw: Geometry) -> None:
    result = evaluate(toy_showers, {"few": toy_showers}, geometry=siw)
    assert all(r.value is None for r in result.results["few"])
    assert all("Too few showers" in r.note for r in result.results["few"])


def test_what_cannot_be_compared_is_refused(toy_showers: Showers, toy_cells: Showers, siw: Geometry) -> None:
    electrons = Showers(
        incident=Incident.of(toy_showers.incident.energy, pdg=11),
        offsets=toy_showers.offsets,
        energy=toy_showers.energy,
        points=toy_showers.points,
        meta=toy_showers.meta,
    )
    with pytest.raises(DataError, match="PDG codes"):
        evaluate(toy_showers, {"electrons": electrons}, geometry=siw)
    with pytest.raises(ConfigError, match="nothing to compare"):
        evaluate(toy_showers, {}, geometry=siw)
    with pytest.raises(ConfigError, match="Unknown level"):
        evaluate(toy_showers, {"a": toy_cells}, geometry=siw, metrics="slow")
    with pytest.raises(ConfigError, match="needs a reference in one file"):
        evaluate(toy_showers, {}, geometry=siw, baseline="none.h5")


def test_baseline_keeps_numbers_and_energies_per_layer(
    tmp_path: Path, make_toy_showers: Callable[..., Showers], siw: Geometry
) -> None:
    path = write(tmp_path / "pool.h5", make_toy_showers(120), siw)
    out = tmp_path / "baseline.h5"
    with open_showers(path) as reference, open_showers(path) as pool:
        write_baseline(reference, pool, out, reference_range=(100, 120), pool_range=(0, 100), seed=5)
        real = reference.read(100, 120)
    with open_showers(out) as file:
        made = file.read(0, len(file))
    assert len(made) == 20
    assert made.points is not None
    assert real.points is not None
    np.testing.assert_array_equal(made.offsets, real.offsets)
    layers = [siw.layer_of(s.points[:, 2]) for s in (real, made)]
    np.testing.assert_array_equal(*layers)
    key = real.shower * siw.n_layers + layers[0]
    sums = [np.bincount(key, weights=s.energy) for s in (real, made)]
    np.testing.assert_allclose(sums[1], sums[0], rtol=1e-5)
    assert np.mean(made.points[:, 0] == real.points[:, 0]) < 0.2


def test_baseline_depends_on_seed_and_shower_alone(
    tmp_path: Path, make_toy_showers: Callable[..., Showers], siw: Geometry
) -> None:
    path = write(tmp_path / "pool.h5", make_toy_showers(60), siw)
    with open_showers(path) as source:
        pool = PointPool.read(source, siw)
        reader = ResampledReader(source, pool, seed=9)
        whole, part = reader.read(0, 60), reader.read(17, 23)
        other = ResampledReader(source, pool, seed=10).read(17, 23)
    np.testing.assert_array_equal(part.points, whole[17:23].points)
    np.testing.assert_array_equal(part.energy, whole[17:23].energy)
    assert not np.array_equal(part.points, other.points)


def test_baseline_draws_from_showers_of_nearly_the_same_energy(
    tmp_path: Path, make_toy_showers: Callable[..., Showers], siw: Geometry
) -> None:
    source = make_toy_showers(200)
    assert source.points is not None
    # mark every point with the rank of its shower's energy
    rank = np.argsort(np.argsort(source.incident.energy))
    points = source.points.copy()
    points[:, 0] = rank[source.shower]
    marked = Showers(
        incident=source.incident,
        offsets=source.offsets,
        energy=source.energy,
        points=points,
        meta=source.meta,
    )
    path = write(tmp_path / "pool.h5", marked, siw)
    with open_showers(path) as file:
        made = ResampledReader(file, PointPool.read(file, siw), seed=1).read(0, 200)
    assert made.points is not None
    assert np.max(np.abs(made.points[:, 0] - rank[made.shower])) <= 40


def test_baseline_needs_points_and_enough_of_them(tmp_path: Path, toy_cells: Showers, siw: Geometry) -> None:
    path = write(tmp_path / "cells.h5", toy_cells, siw)
    with open_showers(path) as file, pytest.raises(DataError, match="these are cells"):
        PointPool.read(file, siw)
