"""What every registered metric promises."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from caloforge.evaluation import METRICS, Metric, metrics_of
from caloforge.evaluation.pair import Frame, Pair
from caloforge.features import FeatureTable, derive_binning, feature_table

if TYPE_CHECKING:
    from collections.abc import Callable

    from caloforge.geometry import Geometry
    from caloforge.showers import Showers


@pytest.fixture(scope="module")
def frame(make_toy_showers: Callable[..., Showers], siw: Geometry) -> Frame:
    showers = make_toy_showers(240, seed=4)
    binning = derive_binning(showers, siw)
    return Frame(siw, binning, feature_table(showers, siw, binning=binning), seed=2)


@pytest.fixture(scope="module")
def generated(frame: Frame, make_toy_showers: Callable[..., Showers]) -> FeatureTable:
    return feature_table(make_toy_showers(240, seed=5), frame.geometry, binning=frame.binning)


every = pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.name)


@every
def test_identical_samples_cannot_be_told_apart(metric: Metric, frame: Frame) -> None:
    for value in metric.compute(Pair(frame.reference, frame.reference, frame, resamples=0)):
        assert value.value == pytest.approx(0.5 if metric.group == "classifier" else 0.0, abs=1e-9), value


@every
def test_numbers_are_repeatable_in_range_and_have_errors(
    metric: Metric, frame: Frame, generated: FeatureTable
) -> None:
    pair = Pair(frame.reference, generated, frame, resamples=4)
    first = metric.compute(pair)
    assert first == metric.compute(pair)
    assert len({value.name for value in first}) == len(first)
    for value in first:
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
