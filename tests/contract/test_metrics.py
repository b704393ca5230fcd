"""What every registered metric promises."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from caloforge.evaluation import METRICS, Metric, metrics_of
from caloforge.evaluation.pair import Frame, Observed, Pair
from caloforge.features import CellStore, derive_binning, feature_table, read_out

if TYPE_CHECKING:
    from collections.abc import Callable

    from caloforge.geometry import Geometry
    from caloforge.showers import Showers


@pytest.fixture(scope="module")
def reference(make_toy_showers: Callable[..., Showers], siw: Geometry) -> Showers:
    return read_out(make_toy_showers(240, seed=4), siw)


@pytest.fixture(scope="module")
def frame(reference: Showers, siw: Geometry) -> Frame:
    binning = derive_binning(reference, siw)
    return Frame(siw, binning, feature_table(reference, siw, binning=binning), seed=2)


def observed(showers: Showers, frame: Frame) -> Observed:
    table = feature_table(showers, frame.geometry, binning=frame.binning)
    return Observed(table, CellStore.of(showers, frame.geometry))


@pytest.fixture(scope="module")
def first(reference: Showers, frame: Frame) -> Observed:
    return observed(reference, frame)


@pytest.fixture(scope="module")
def second(frame: Frame, make_toy_showers: Callable[..., Showers]) -> Observed:
    return observed(read_out(make_toy_showers(240, seed=5), frame.geometry), frame)


every = pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.name)


@every
def test_identical_samples_cannot_be_told_apart(metric: Metric, frame: Frame, first: Observed) -> None:
    for value in metric.compute(Pair(first, first, frame, resamples=0)):
        assert value.value == pytest.approx(0.5 if metric.group == "classifier" else 0.0, abs=1e-9), value


@every
def test_numbers_are_repeatable_in_range_and_have_errors(
    metric: Metric, frame: Frame, first: Observed, second: Observed
) -> None:
    pair = Pair(first, second, frame, resamples=4)
    found = metric.compute(pair)
    assert found == metric.compute(pair)
    assert len({value.name for value in found}) == len(found)
    for value in found:
        assert value.value is not None
        assert value.error is not None
        assert value.error > 0
        assert value.value >= 0
        assert metric.group == "wasserstein" or value.value <= 1
        assert value.title
        assert value.settings


def test_levels_include_the_cheaper_ones() -> None:
    assert set(metrics_of("fast")) < set(metrics_of("standard")) <= set(METRICS)
    assert len({metric.name for metric in METRICS}) == len(METRICS)
