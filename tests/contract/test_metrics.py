"""What every registered metric promises."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from caloforge.evaluation import METRICS, Metric, metrics_of
from caloforge.evaluation.classify import plans
from caloforge.evaluation.pair import Frame, Observed, Pair
from caloforge.features import CellStore, derive_binning, feature_table, read_out

if TYPE_CHECKING:
    from collections.abc import Callable

    from caloforge.evaluation.classify.training import Training
    from caloforge.geometry import Geometry
    from caloforge.showers import Showers


@pytest.fixture(autouse=True)
def brief(monkeypatch: pytest.MonkeyPatch) -> None:
    """What metrics promise does not depend on how long networks on images learn."""

    def two_epochs(training: Training, count: int, *, most: int) -> Training:
        return replace(training, batch=64, epochs=2)

    monkeypatch.setattr(plans, "_few_cycles", two_epochs)


@pytest.fixture(scope="module")
def geometry(siw: Geometry) -> Geometry:
    """A few hundred cells a layer would only make networks on cells slower."""
    return siw.coarsen(5)


@pytest.fixture(scope="module")
def reference(make_toy_showers: Callable[..., Showers], geometry: Geometry) -> Showers:
    return read_out(make_toy_showers(240, seed=4), geometry)


@pytest.fixture(scope="module")
def frame(reference: Showers, geometry: Geometry) -> Frame:
    binning = derive_binning(reference, geometry)
    return Frame(geometry, binning, feature_table(reference, geometry, binning=binning), seed=2)


def observed(showers: Showers, frame: Frame) -> Observed:
    table = feature_table(showers, frame.geometry, binning=frame.binning)
    return Observed(table, CellStore.of(showers, frame.geometry))


@pytest.fixture(scope="module")
def first(reference: Showers, frame: Frame) -> Observed:
    return observed(reference, frame)


@pytest.fixture(scope="module")
def second(frame: Frame, make_toy_showers: Callable[..., Showers]) -> Observed:
    return observed(read_out(make_toy_showers(240, seed=5), frame.geometry), frame)


def test_every_metric_computes_something_of_its_own() -> None:
    assert len({metric.compute for metric in METRICS}) == len({m.name for m in METRICS}) == len(METRICS)


every = pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.name)


# what identical samples give, where it is not 0
EQUAL = {"classifier": 0.5, "coverage": 1.0}


@every
def test_identical_samples_cannot_be_told_apart(metric: Metric, frame: Frame, first: Observed) -> None:
    if metric.group == "coverage":  # empty showers are copies of each other and have no neighbourhood
        first = first.select(first.table["visible"] > 0)
    for value in metric.compute(Pair(first, first, frame, resamples=0)):
        group = value.group or metric.group
        if value.value is None:
            assert value.note
        elif group == "distance":
            assert value.error is not None
            assert value.value <= 4 * value.error, value  # estimates without bias scatter about 0
        elif group == "downstream":  # what learns from the one does as well as what learns from the other
            own = 1.0 if "ratio" in value.name else value.settings["trained_and_tested_on_geant4"]
            assert value.value == own, value
        else:
            assert value.value == pytest.approx(EQUAL.get(group, 0.0), abs=1e-9), value


@every
def test_numbers_are_repeatable_in_range_and_have_errors(
    metric: Metric, frame: Frame, first: Observed, second: Observed
) -> None:
    pair = Pair(first, second, frame, resamples=4)
    found = metric.compute(pair)
    assert found == metric.compute(pair)
    assert len({value.name for value in found}) == len(found)
    for value in found:
        group = value.group or metric.group
        assert value.title
        if value.value is None:
            assert value.note
            continue
        assert value.error is not None
        # a share of bins may be the same in all resamplings
        assert value.error > 0 or group == "physics"
        assert value.settings
        assert json.loads(json.dumps(value.settings, allow_nan=False)) == value.settings
        assert group in {"distance", "downstream"} or value.value >= 0 or value.title.endswith("signed")
        assert group in {"wasserstein", "distance", "physics", "downstream"} or value.value <= (
            2 if "density" in value.name else 1
        )


def test_levels_include_the_cheaper_ones() -> None:
    assert set(metrics_of("fast")) < set(metrics_of("standard")) <= set(METRICS)
    assert len({metric.name for metric in METRICS}) == len(METRICS)
