"""Distances and coverage on samples whose answer is known."""

from __future__ import annotations

import tracemalloc
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.linalg import sqrtm
from scipy.optimize import curve_fit
from scipy.spatial.distance import cdist

from caloforge.evaluation import frechet, kernel, neighbours
from caloforge.evaluation.coverage import coverage_metric, coverage_values
from caloforge.evaluation.floors import FloorMaker
from caloforge.evaluation.frechet import (
    Draws,
    Moments,
    extrapolate,
    frechet_distance,
    frechet_metric,
    mended,
)
from caloforge.evaluation.kernel import Batches, batch_discrepancies, discrepancy, kernel_metric
from caloforge.evaluation.neighbours import LogCells, Vectors, neighbour_radii, neighbourhoods
from caloforge.evaluation.pair import Frame, Observed, Pair
from caloforge.evaluation.registry import Metric
from caloforge.evaluation.standardised import CLIP, challenge_features, standardised_features
from caloforge.features import CellStore, FeatureTable, derive_binning, feature_table, read_out
from caloforge.geometry import load_geometry

if TYPE_CHECKING:
    from collections.abc import Callable

    from caloforge.geometry import Geometry
    from caloforge.showers import Showers

Array = NDArray[np.float64]
LATERAL = ("layer_x", "layer_y", "layer_r", "width_x", "width_y", "width_r")


def gaussian(seed: int, count: int, features: int = 4, *, shift: float = 0.0, width: float = 1.0) -> Array:
    rng = np.random.default_rng(seed)
    return shift / np.sqrt(features) + width * rng.normal(size=(count, features))


def covariance(seed: int, features: int, rank: int) -> Array:
    factor = np.random.default_rng(seed).normal(size=(features, rank))
    return factor @ factor.T / rank


# Frechet physics distance


def test_frechet_distance_of_known_gaussians() -> None:
    first = Moments(np.zeros(3), np.diag([1.0, 4.0, 9.0]))
    moved = Moments(np.array([1.0, 2.0, 2.0]), np.diag([1.0, 4.0, 9.0]))
    wider = Moments(np.zeros(3), np.diag([4.0, 4.0, 1.0]))
    assert frechet_distance(first, first) == pytest.approx(0.0, abs=1e-14)
    assert frechet_distance(first, moved) == pytest.approx(9.0)
    # widths 1, 2, 3 against 2, 2, 1
    assert frechet_distance(first, wider) == pytest.approx(1.0 + 4.0)
    turn = np.linalg.qr(np.random.default_rng(1).normal(size=(3, 3)))[0]
    turned = [Moments(turn @ m.mean, turn @ m.covariance @ turn.T) for m in (first, wider)]
    assert frechet_distance(turned[0], turned[1]) == pytest.approx(5.0)


@pytest.mark.parametrize("rank", [40, 7])
def test_frechet_distance_agrees_with_the_root_of_the_product(rank: int) -> None:
    first, second = (Moments(np.zeros(12), covariance(seed, 12, rank)) for seed in (1, 2))
    root = sqrtm(first.covariance @ second.covariance + 1e-15 * np.eye(12)).real
    expected = np.trace(first.covariance + second.covariance - 2 * root)
    assert frechet_distance(first, second) == pytest.approx(expected, rel=1e-5)
    assert frechet_distance(first, first) == pytest.approx(0.0, abs=1e-12)


def test_moments_by_blocks_are_those_of_the_drawn_showers() -> None:
    sample = gaussian(2, 9000, shift=1e3)
    chosen = np.random.default_rng(3).choice(9000, 5000)
    moments = Moments.of(sample, np.bincount(chosen, minlength=9000))
    np.testing.assert_allclose(moments.mean, sample[chosen].mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(moments.covariance, np.cov(sample[chosen], rowvar=False), atol=1e-11)


def test_extrapolation_follows_its_definition() -> None:
    first, second = gaussian(4, 900), gaussian(5, 700, shift=0.3, width=1.1)
    draws = Draws(smallest=80, largest=400, sizes=5, repetitions=3, seed=42)
    rng = np.random.default_rng(42)
    sizes = (1 / np.linspace(1 / 80, 1 / 400, 5)).astype(int)
    means = []
    for size in sizes:
        found = []
        for _ in range(3):
            x, y = first[rng.choice(900, size)], second[rng.choice(700, size)]
            product = np.cov(x, rowvar=False) @ np.cov(y, rowvar=False)
            spread = x.var(axis=0, ddof=1).sum() + y.var(axis=0, ddof=1).sum()
            shift = x.mean(axis=0) - y.mean(axis=0)
            found.append(shift @ shift + spread - 2 * np.trace(sqrtm(product)).real)
        means.append(np.mean(found))
    line, spread = curve_fit(lambda x, a, b: a + b * x, 1 / sizes, means, bounds=(0, np.inf))
    result = extrapolate(first, second, draws)
    np.testing.assert_array_equal(draws.counts, sizes)
    np.testing.assert_allclose(result.means, means, rtol=1e-9)
    assert result.value == pytest.approx(line[0], rel=1e-6)
    assert result.slope == pytest.approx(line[1], rel=1e-6)
    assert result.error == pytest.approx(np.sqrt(spread[0, 0]), rel=1e-6)


def test_official_draws_are_those_of_the_challenge() -> None:
    # 1 / (1 / N) cut to integers, as JetNet does it, loses one shower of the largest draws
    counts = [10000, 10975, 12162, 13636, 15517, 18000, 21428, 26470, 34615, 49999]
    np.testing.assert_allclose(Draws().counts, counts, atol=1)
    np.testing.assert_array_equal(
        Draws().counts, (1 / np.linspace(1 / 10_000, 1 / 50_000, 10)).astype("int32")
    )
    assert (Draws().repetitions, Draws().seed) == (20, 42)
    assert Draws.scaled(100_000) == Draws.scaled(400_000) == Draws()
    assert (Draws.scaled(2000).smallest, Draws.scaled(2000).largest) == (200, 1000)
    assert Batches.scaled(100_000) == Batches() == Batches(number=10, size=10_000, seed=42, step=1000)
    assert Batches.scaled(2000).size == 200


@pytest.mark.parametrize(
    ("shift", "width", "expected"), [(0.0, 1.0, 0.0), (0.5, 1.0, 0.25), (0.0, 1.2, 4 * 0.2**2)]
)
def test_extrapolated_and_mended_distances_of_gaussians(shift: float, width: float, expected: float) -> None:
    first, second = gaussian(6, 20_000), gaussian(7, 20_000, shift=shift, width=width)
    value, error, _ = mended(first, second)
    assert abs(value - expected) < 4 * error
    assert error < 0.02
    # draws with replacement end at the distance of the samples, which is that of the Gaussians plus noise
    line = extrapolate(first, second, Draws(1000, 10_000, sizes=6, repetitions=6))
    assert abs(line.value - expected) < 4 * (line.error + error)


def test_mended_distance_has_no_bias_and_an_honest_error() -> None:
    rows = np.array([mended(gaussian(2 * i, 120, 12), gaussian(2 * i + 1, 120, 12)) for i in range(60)])
    values, errors, plain = rows.T
    spread = values.std(ddof=1)
    assert abs(values.mean()) < 3 * spread / np.sqrt(60)
    assert plain.mean() > 5 * spread
    assert 0.7 < errors.mean() / spread < 2.0


def test_frechet_distance_grows_with_smearing() -> None:
    first, second, noise = gaussian(22, 800, 12), gaussian(23, 800, 12), gaussian(24, 800, 12)
    changed = [second + factor * noise for factor in (0.0, 0.3, 0.6, 1.0)]
    for distance in (
        lambda x: mended(first, x)[0],
        lambda x: extrapolate(first, x, Draws(80, 400, repetitions=5)).value,
    ):
        assert np.all(np.diff([distance(x) for x in changed]) > 0)


def test_noise_is_called_noise(frame: Frame, tables: tuple[Observed, Observed]) -> None:
    values = {v.name: v for v in frechet_metric(Pair(*tables, frame))}
    assert values["distance.fpd"].value is None
    assert "Too few showers for 242 features: 500 in the smaller sample" in values["distance.fpd"].note
    value = values["distance.fpd_mended"]
    assert value.value is not None
    assert value.error is not None
    assert abs(value.value) < 4 * value.error
    assert value.settings["with_bias"] > 10 * abs(value.value)
    metric = Metric("frechet", "distance", frechet_metric, "standard", "1", 100, 1, 1.0)
    floors = FloorMaker(frame, tables[0], tables[1]).floors(metric, 500)
    assert set(floors) == {"distance.fpd_mended"}


@pytest.fixture(scope="module")
def coarse(frame: Frame) -> Pair:
    """Made-up features of a read-out with five layers, which has only 30."""
    geometry = load_geometry("calochallenge-1-photons")
    shapes = dict.fromkeys(("layer_energy", "sparsity", *LATERAL), (650, 5))
    shapes |= dict.fromkeys(("energy", "visible", "theta", "phi"), (650,))
    tables = []
    for seed in (1, 2):
        rng = np.random.default_rng(seed)
        tables.append(FeatureTable({name: rng.uniform(1.0, 2.0, shape) for name, shape in shapes.items()}))
    own = replace(frame, geometry=geometry, reference=tables[0])
    return Pair(Observed(tables[0]), Observed(tables[1]), own)


def test_many_showers_get_the_official_number(coarse: Pair) -> None:
    official, unbiased = frechet_metric(coarse)
    assert official.value is not None
    assert official.settings["features"] == 30
    assert official.settings["counts"][0] == 65
    assert "Draws of 65 to 325 showers instead of" in official.note
    assert unbiased.value is not None
    assert abs(unbiased.value) < 4 * (unbiased.error or 0.0)


def test_the_official_level_uses_the_official_sizes(coarse: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    used: list[object] = []

    def distance(first: Array, second: Array, draws: Draws) -> frechet.Extrapolation:
        used.append(draws)
        return frechet.Extrapolation(0.1, 0.01, 1.0, (0.1,))

    def discrepancies(first: Array, second: Array, batches: Batches) -> Array:
        used.append(batches)
        return np.arange(5.0)

    monkeypatch.setattr(frechet, "extrapolate", distance)
    monkeypatch.setattr(kernel, "batch_discrepancies", discrepancies)
    pair = replace(coarse, frame=replace(coarse.frame, level="official"))
    fpd, kpd = frechet_metric(pair)[0], kernel_metric(pair)[0]
    assert used == [Draws(), Batches()]
    assert (kpd.value, kpd.error) == (2.0, pytest.approx(2 * 0.6745))
    assert "JetNet recommends" in fpd.note
    assert "JetNet recommends" in kpd.note


# Kernel physics distance


def naive_discrepancy(first: Array, second: Array) -> float:
    def kernel(x: Array, y: Array) -> float:
        return float((x @ y / len(x) + 1) ** 4)

    def own(sample: Array) -> float:
        count = len(sample)
        pairs = [kernel(sample[i], sample[j]) for i in range(count) for j in range(count) if i != j]
        return float(np.mean(pairs))

    cross = np.mean([kernel(x, y) for x in first for y in second])
    return float(own(first) + own(second) - 2 * cross)


@pytest.mark.parametrize("block", [7, 512])
@pytest.mark.parametrize("groups", [1, 5])
def test_kernel_distance_equals_a_double_loop(block: int, groups: int) -> None:
    first, second = gaussian(8, 31, shift=0.5), gaussian(9, 23)
    value, error = discrepancy(first, second, groups=groups, block=block)
    assert value == pytest.approx(naive_discrepancy(first, second), rel=1e-11)
    assert (error > 0) == (groups > 1)


def test_batches_are_drawn_with_their_own_seeds() -> None:
    first, second = gaussian(10, 50), gaussian(11, 40, shift=1.0)
    found = batch_discrepancies(first, second, Batches(number=2, size=15))
    for k, value in enumerate(found):
        rng = np.random.default_rng(42 + 1000 * k)
        x, y = first[rng.choice(50, 15)], second[rng.choice(40, 15)]
        assert value == pytest.approx(naive_discrepancy(x, y), rel=1e-11)


def test_kernel_distance_is_unbiased_with_an_honest_error() -> None:
    rows = [
        discrepancy(gaussian(2 * i, 60), gaussian(2 * i + 1, 60, shift=1.0), groups=10) for i in range(200)
    ]
    values, errors = np.array(rows).T
    truth = discrepancy(gaussian(1000, 6000), gaussian(1001, 6000, shift=1.0), groups=10)
    assert abs(values.mean() - truth[0]) < 3 * (values.std() / np.sqrt(200) + truth[1])
    assert 0.7 < errors.mean() / values.std() < 1.5
    null = np.array([discrepancy(gaussian(2 * i, 40), gaussian(2 * i + 1, 40))[0] for i in range(400)])
    assert abs(null.mean()) < 3 * null.std() / np.sqrt(400)
    assert null.min() < 0


# Precision, density, recall, coverage


def naive_prdc(real: Array, fake: Array, k: int) -> dict[str, float]:
    """As 2002.09797 defines them."""
    across = cdist(real, fake)
    real_radius, fake_radius = (np.sort(cdist(x, x), axis=1)[:, k] for x in (real, fake))
    inside = across < real_radius[:, None]
    return {
        "precision": float(inside.any(axis=0).mean()),
        "density": float(inside.sum() / (k * len(fake))),
        "recall": float((across < fake_radius[None, :]).any(axis=1).mean()),
        "coverage": float((across.min(axis=1) < real_radius).mean()),
    }


def numbers(real: neighbours.Sample, fake: neighbours.Sample, k: int) -> dict[str, float | None]:
    values = coverage_values(neighbourhoods(real, fake, k), k)
    assert all(value.error is not None and value.error > 0 for value in values)
    return {value.name.removeprefix("coverage."): value.value for value in values}


@pytest.mark.parametrize("size", [3, 37, 1024])
def test_neighbourhoods_follow_their_definition(size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(neighbours, "_LONGEST", size)
    real, fake = gaussian(12, 130), gaussian(13, 90, shift=0.8)
    assert numbers(Vectors(real), Vectors(fake), 5) == pytest.approx(naive_prdc(real, fake, 5), abs=1e-12)
    radii = np.sort(cdist(real, real), axis=1)[:, 5]
    np.testing.assert_allclose(np.sqrt(neighbour_radii(Vectors(real), 5)), radii, rtol=1e-9)


@pytest.mark.parametrize("share", [0.0, 1.0])
@pytest.mark.parametrize("empty", [0.1, 0.02])
def test_cells_are_logarithms_with_a_value_for_zeros(
    share: float,
    empty: float,
    monkeypatch: pytest.MonkeyPatch,
    siw: Geometry,
    make_toy_showers: Callable[..., Showers],
) -> None:
    monkeypatch.setattr(neighbours, "_SPARSE", share)  # dense and sparse blocks
    monkeypatch.setattr(neighbours, "_LONGEST", 9)
    stores = [CellStore.of(read_out(make_toy_showers(30, seed=seed), siw), siw) for seed in (1, 2)]
    real, fake = (s.dense(slice(None), np.float64) for s in stores)
    expected = naive_prdc(*(np.log10(np.where(x == 0, empty, x)) for x in (real, fake)), 3)
    assert numbers(LogCells(stores[0], empty), LogCells(stores[1], empty), 3) == pytest.approx(expected)
    wanted = cdist(*(np.log10(np.where(x == 0, empty, x)) for x in (real, real)))
    radii = np.sort(wanted, axis=1)[:, 3]
    found = neighbour_radii(LogCells(stores[0], empty), 3)
    np.testing.assert_allclose(np.sqrt(found), radii, rtol=1e-9, atol=1e-6)


def test_equal_and_disjoint_samples() -> None:
    values = Vectors(gaussian(14, 300))
    assert numbers(values, values, 5) == {"precision": 1, "density": 1, "recall": 1, "coverage": 1}
    far = Vectors(gaussian(15, 300) + 100)
    assert numbers(values, far, 5) == {"precision": 0, "density": 0, "recall": 0, "coverage": 0}
    other = numbers(values, Vectors(gaussian(16, 300)), 5)
    assert other["density"] == pytest.approx(1.0, abs=0.15)
    assert other["coverage"] == pytest.approx(1 - 0.5**5, abs=0.06)  # 1 - C(n, k) / C(2n, k), 2002.09797
    with pytest.raises(ValueError, match="no 5-th neighbour"):
        neighbour_radii(Vectors(gaussian(1, 5)), 5)


def test_a_lost_mode_lowers_recall_and_an_invented_one_precision() -> None:
    both = np.concatenate([gaussian(17, 150), gaussian(18, 150) + 50])
    one = gaussian(19, 300)
    lost, invented = numbers(Vectors(both), Vectors(one), 5), numbers(Vectors(one), Vectors(both), 5)
    assert (lost["precision"], invented["recall"]) > (0.9, 0.9)
    assert max(lost["recall"], lost["coverage"], invented["precision"]) < 0.55


# Showers


@pytest.fixture(scope="module")
def showers(make_toy_showers: Callable[..., Showers], siw: Geometry) -> tuple[Showers, Showers]:
    first, second = (read_out(make_toy_showers(546, seed=seed), siw) for seed in (1, 2))
    return first, second


@pytest.fixture(scope="module")
def frame(showers: tuple[Showers, Showers], siw: Geometry) -> Frame:
    binning = derive_binning(showers[0], siw)
    return Frame(siw, binning, feature_table(showers[0], siw, binning=binning), seed=3)


@pytest.fixture(scope="module")
def tables(showers: tuple[Showers, Showers], frame: Frame) -> tuple[Observed, Observed]:
    first, second = (observed(s, frame) for s in showers)
    return first, second


def observed(source: Showers, frame: Frame) -> Observed:
    table = feature_table(source, frame.geometry, binning=frame.binning)
    filled = np.flatnonzero(table["visible"] > 0)[:500]
    return Observed(table, CellStore.of(source, frame.geometry)).select(filled)


def test_features_are_on_common_scales(frame: Frame, tables: tuple[Observed, Observed]) -> None:
    pair = Pair(*tables, frame)
    official = challenge_features(pair)
    assert np.abs(official[0]).max() == pytest.approx(1.0)
    first, second = standardised_features(pair)
    assert first.shape == (500, 245)
    assert second.shape == (500, 245)
    assert max(np.abs(first).max(), np.abs(second).max()) <= CLIP
    constant = (first == 0).all(axis=0)
    assert (second[:, constant] == 0).all()  # perpendicular showers: the direction tells nothing
    assert constant.sum() >= 3


def smeared(source: Showers, factor: float) -> Showers:
    rng = np.random.default_rng(7)
    noise = np.exp(factor * rng.normal(size=len(source.energy))).astype(np.float32)
    return replace(source, energy=source.energy * noise * np.float32(1 + factor), extras={})


def test_growing_smearing_is_seen(showers: tuple[Showers, Showers], frame: Frame, siw: Geometry) -> None:
    rows: list[dict[str, float]] = []
    for factor in (0.0, 0.2, 0.6):
        changed = observed(read_out(smeared(showers[1], factor), siw), frame)
        pair = Pair(observed(showers[0], frame), changed, frame)
        found = [*kernel_metric(pair), *coverage_metric(pair)]
        rows.append({v.name: v.value for v in found if v.value is not None})
    for name in ("distance.kpd_mended", "distance.kpd"):
        assert np.all(np.diff([row[name] for row in rows]) > 0), (name, [row[name] for row in rows])
    for name in ("coverage.mended_coverage", "coverage.features_coverage", "coverage.features_density"):
        assert np.all(np.diff([row[name] for row in rows]) < 0), (name, [row[name] for row in rows])


def peak(task: Callable[[], object]) -> int:
    tracemalloc.start()
    try:
        task()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_memory_does_not_grow_with_pairs_of_showers() -> None:
    first, second = gaussian(20, 4000), gaussian(21, 4000)
    pairs = 4000**2 * 8
    assert peak(lambda: discrepancy(first, second, groups=10)) < pairs / 3
    assert peak(lambda: Moments.of(np.tile(first, (5, 1)))) < 3e6
    own = [peak(lambda n=n: neighbourhoods(Vectors(first[:n]), Vectors(second[:n]), 5)) for n in (2048, 4000)]
    assert own[1] < 1.2 * own[0]
