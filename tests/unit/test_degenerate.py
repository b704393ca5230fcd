"""Samples of which little can be said: every number is finite and of all showers, or absent with a reason."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from caloforge.errors import DataError
from caloforge.evaluation import METRICS, Metric, evaluate
from caloforge.evaluation.pair import Frame, Observed, Pair
from caloforge.evaluation.results import Value, sound
from caloforge.evaluation.scales import spreads
from caloforge.evaluation.separation import separation_metric
from caloforge.evaluation.wasserstein import wasserstein_metric
from caloforge.features import CellStore, derive_binning, feature_table, read_out
from caloforge.geometry import Geometry, load_geometry
from caloforge.showers import Incident, ShowerMeta, Showers

SLOW = {
    "high",
    "low",
    "low_normed",
    "resnet",
    "conv",
    "texture",
    "pattern",
    "cloud_mlp",
    "boosted",
    "downstream",
}
NETWORKS = {"boosted", "cloud_mlp", "low"}
COUNT = 240
KINDS = ("normal", "equal", "empty", "single", "half", "one", "one equal flat")
PAIRS = [("normal", second) for second in KINDS[1:]] + [(kind, kind) for kind in KINDS if kind != "empty"]
PAIRS += [("single", "normal"), ("one equal flat", "normal")]


@pytest.fixture(scope="module")
def geometry() -> Geometry:
    return load_geometry("siw-ecal").coarsen(5)


def sample(kind: str, geometry: Geometry, seed: int) -> Showers:
    """Random cells; equal energies, no hits at all or in half, a single hit, one cell each, equal hits."""
    rng = np.random.default_rng(seed)
    energy = np.full(COUNT, 5e4) if "equal" in kind else rng.uniform(1e4, 1e5, COUNT)
    hits = rng.integers(1, 60, COUNT)
    if kind == "empty":
        hits[:] = 0
    elif kind == "single":
        hits[:] = np.arange(COUNT) == 3
    elif kind == "half":
        hits[::2] = 0
    elif "one" in kind:
        hits[:] = 1
    cells = [np.zeros(0, int), *(np.sort(rng.choice(geometry.n_cells, n, replace=False)) for n in hits)]
    places = np.concatenate(cells) if "one" not in kind else np.full(COUNT, geometry.n_cells // 2)
    energies = np.full(len(places), 1.0) if "flat" in kind else 0.2 + rng.exponential(3.0, len(places))
    meta = ShowerMeta(geometry.name, geometry.fingerprint, 1.0, 0.0, geometry.threshold)
    offsets = np.concatenate([[0], np.cumsum(hits)])
    return Showers(Incident.of(energy), offsets, energies, cells=places, meta=meta)


def pair_of(first: str, second: str, geometry: Geometry) -> Pair:
    samples = [read_out(sample(k, geometry, n), geometry) for n, k in enumerate((first, second), 1)]
    binning = derive_binning(samples[0], geometry)
    tables = [feature_table(s, geometry, binning=binning) for s in samples]
    both = [Observed(t, CellStore.of(s, geometry)) for t, s in zip(tables, samples, strict=True)]
    return Pair(both[0], both[1], Frame(geometry, binning, tables[0], seed=2), resamples=3)


@pytest.mark.parametrize("cut", [0.1, 0.0])
@pytest.mark.parametrize(("first", "second"), PAIRS, ids=[f"{a} to {b}" for a, b in PAIRS])
def test_numbers_are_finite_or_absent_with_a_reason(
    first: str, second: str, cut: float, geometry: Geometry
) -> None:
    pair = pair_of(first, second, geometry.model_copy(update={"threshold": cut}))
    for metric in METRICS:
        if metric.name not in SLOW:
            for value in metric.compute(pair):
                assert_sensible(value)


@pytest.mark.slow
@pytest.mark.parametrize("metric", [m for m in METRICS if m.name in NETWORKS], ids=lambda metric: metric.name)
def test_networks_bear_showers_without_hits(metric: Metric, geometry: Geometry) -> None:
    for value in metric.compute(replace(pair_of("normal", "empty", geometry), resamples=0)):
        assert_sensible(value)


def assert_sensible(value: Value) -> None:
    if value.value is None:
        assert value.note, value
        return
    assert math.isfinite(value.value), value
    assert abs(value.value) < 1e12, value  # not divided by rounding
    assert value.error is None or math.isfinite(value.error), value
    for low, high in value.settings.get("windows", ()):
        assert -math.inf < low < high < math.inf


def test_what_the_reference_has_outside_of_the_bins_is_not_compared() -> None:
    geometry = load_geometry("calochallenge-2")
    rng = np.random.default_rng(1)
    counts = np.full(100, 3)
    meta = ShowerMeta(geometry.name, geometry.fingerprint, geometry.sampling_fraction)
    showers = Showers(
        Incident.of(rng.uniform(1e4, 1e5, 100), pdg=11),
        np.concatenate([[0], np.cumsum(counts)]),
        np.full(300, 1.0),  # E_vis / E_inc below 0.5, where the challenge's bins begin
        cells=rng.integers(0, geometry.n_cells, 300),
        meta=meta,
    )
    binning = derive_binning(showers, geometry)
    table = Observed(feature_table(showers, geometry, binning=binning))
    frame = Frame(geometry, binning, table.table, seed=1)
    found = {v.name: v for v in separation_metric(Pair(table, table, frame, resamples=0))}
    assert found["separation.fraction"].value is None
    assert "inside of the bins" in found["separation.fraction"].note
    assert found["separation.layer_energy"].value == 0.0


def test_without_a_scale_there_is_no_distance(geometry: Geometry) -> None:
    flat = {v.name: v for v in wasserstein_metric(pair_of("one equal flat", "normal", geometry))}
    for name in ("hits", "fraction", "cell_energy", "cog_x"):
        assert flat[f"wasserstein.{name}"].value is None, name
        assert "no scale" in flat[f"wasserstein.{name}"].note
    empty = {v.name: v for v in wasserstein_metric(pair_of("normal", "empty", geometry))}
    assert empty["wasserstein.cell_energy"].note == "The generated sample has no cells above the threshold."
    assert empty["wasserstein.hits"].value is not None


def test_rounding_is_no_spread() -> None:
    values = np.array([[5.0, 1.0, 0.0], [5.0 + 1e-15, 2.0, 1e-20], [5.0, 3.0, 0.0]])
    np.testing.assert_allclose(spreads(values), [0.0, np.sqrt(2.0 / 3.0), 0.0])


def test_a_number_that_is_not_finite_is_none() -> None:
    assert sound(Value("a", "a", math.inf, 1.0)) == Value(
        "a", "a", None, None, note="It cannot be computed from these showers."
    )
    assert sound(Value("a", "a", math.nan, note="So.")).note == "So."
    assert sound(Value("a", "a", 1.0, math.nan)) == Value("a", "a", 1.0)
    assert sound(Value("a", "a", 1.0, 0.5)) == Value("a", "a", 1.0, 0.5)


def test_no_showers_and_one(geometry: Geometry) -> None:
    showers = sample("normal", geometry, 1)
    none, one = showers[:0], showers[:1]
    with pytest.raises(DataError, match="reference, part 'all': got no showers"):
        evaluate(none, {"mine": showers}, geometry=geometry)
    with pytest.raises(DataError, match="mine, part 'all': got no showers"):
        evaluate(showers, {"mine": none}, geometry=geometry)
    with pytest.raises(DataError, match="part 'tune': got 1 showers in the file, none in the part"):
        evaluate(one, {"mine": showers}, geometry=geometry, part="tune")
    with pytest.raises(DataError, match="No cell of the reference"):
        evaluate(sample("empty", geometry, 1), {"mine": showers}, geometry=geometry)
    result = evaluate(showers, {"mine": one}, geometry=geometry)
    assert {r.value for r in result.results["mine"]} == {None}
    assert all("Too few showers: 1" in r.note for r in result.results["mine"])
    assert len(result.warnings) == 1
    high = replace(one, incident=Incident.of([5e6]))
    warnings = evaluate(showers, {"mine": high}, geometry=geometry).warnings
    assert "incident energies of 'mine' are distributed differently" in warnings[0]
