"""Classifiers of vectors, and metrics made of them, on samples whose answer is known."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.stats import norm

from caloforge.evaluation.classify import (
    BOOSTED,
    CLOUD_MLP,
    DenseFit,
    Fit,
    Folds,
    Sample,
    auc_error,
    cross_validate,
)
from caloforge.evaluation.classify.calibration import calibrated, divergence, roc_points
from caloforge.evaluation.classify.fits import PUBLISHED_CLOUD_MLP
from caloforge.evaluation.classify.split import split, split_sizes


@pytest.mark.parametrize("fit", [BOOSTED, CLOUD_MLP])
def test_classifiers_see_what_is_there(fit: Fit) -> None:
    rng = np.random.default_rng(5)
    first, second = rng.normal(size=(300, 4)), rng.normal(size=(250, 4))
    alike = cross_validate(first, second, fit, folds=Folds(), rng=np.random.default_rng(6))
    assert abs(alike.value - 0.5) < 4 * alike.error
    assert alike.count == 250
    second[:, 2] += 2.0
    # two unit Gaussians d deviations apart: Phi(d / sqrt 2)
    shifted = cross_validate(first, second, fit, folds=Folds(), rng=np.random.default_rng(6))
    assert shifted.value == pytest.approx(norm.cdf(np.sqrt(2)), abs=0.05)
    again = cross_validate(first, second, fit, folds=Folds(), rng=np.random.default_rng(6), workers=1)
    assert again == shifted


def test_published_recipe_learns_from_all_folds_but_one() -> None:
    rng = np.random.default_rng(5)
    first, second = rng.normal(size=(600, 4)), rng.normal(size=(600, 4)) + 1.0
    area = cross_validate(first, second, PUBLISHED_CLOUD_MLP, folds=Folds(10, 2), rng=rng)
    assert area.value == pytest.approx(norm.cdf(2 / np.sqrt(2)), abs=0.05)
    sample = Sample(second[:20], first[:20])
    assert PUBLISHED_CLOUD_MLP.training.keep == "last"
    alone = [
        PUBLISHED_CLOUD_MLP(sample, tune, 1)(first) for tune in (sample, Sample(first[:20], second[:20]))
    ]
    assert not np.array_equal(*alone)


def test_identical_samples_have_an_area_of_one_half() -> None:
    values = np.random.default_rng(7).normal(size=(200, 3))
    area = cross_validate(values, values, BOOSTED, folds=Folds(), rng=np.random.default_rng(1))
    assert area.value == pytest.approx(0.5, abs=1e-12)


@pytest.mark.parametrize("fit", [CLOUD_MLP, PUBLISHED_CLOUD_MLP])
def test_training_leaves_the_global_random_state_alone(fit: DenseFit) -> None:
    state, numbers = torch.random.get_rng_state(), np.random.get_state()[1]  # noqa: NPY002
    values = np.random.default_rng(8).normal(size=(40, 3))
    sample = Sample(values[:20], values[20:])
    fit(sample, sample, 3)
    assert torch.equal(state, torch.random.get_rng_state())
    assert np.array_equal(numbers, np.random.get_state()[1])  # noqa: NPY002


def test_error_of_an_area_is_that_of_a_rank_sum() -> None:
    # for samples of one origin the variance of the Mann-Whitney statistic is (2 n + 1) / (12 n^2)
    assert auc_error(0.5, 100) == pytest.approx(np.sqrt(201 / 120_000), rel=1e-6)
    assert auc_error(1.0, 100) == 0.0
    assert auc_error(0.2, 50) == auc_error(0.8, 50)


def test_divergence_of_equal_and_of_disjoint_samples() -> None:
    labels = np.repeat([0, 1], 500)
    assert divergence(np.full(1000, 0.5), labels) == (0.0, 0.0)
    sure = calibrated(labels - 0.5, labels, 8.0 * labels - 4.0)
    assert divergence(sure, labels)[0] == pytest.approx(1.0, abs=1e-5)
    wrong = calibrated(labels - 0.5, labels, 0.5 - labels)
    assert divergence(wrong, labels)[0] == pytest.approx(1.0 - np.log2(1e6), rel=1e-3)


def test_calibration_gives_the_probabilities_of_known_densities() -> None:
    rng = np.random.default_rng(1)
    labels = np.repeat([0, 1], 20_000)
    values = rng.normal(size=40_000) + 1.5 * labels
    found = calibrated(values, labels, np.array([-0.5, 0.75, 2.0]))
    expected = 1 / (1 + np.exp(-1.5 * (np.array([-0.5, 0.75, 2.0]) - 0.75)))
    np.testing.assert_allclose(found, expected, atol=0.03)


def test_curve_has_few_points_and_the_same_area() -> None:
    rng = np.random.default_rng(2)
    labels = np.repeat([0, 1], 3000)
    points = roc_points(labels, rng.normal(size=6000) + labels)
    false, true = np.array(points["false_positive"]), np.array(points["true_positive"])
    assert len(false) <= 101
    assert (false[0], true[0], false[-1], true[-1]) == (0, 0, 1, 1)
    assert np.trapezoid(true, false) == pytest.approx(norm.cdf(1 / np.sqrt(2)), abs=0.02)
    perfect = roc_points(labels, labels.astype(float))
    assert np.trapezoid(perfect["true_positive"], perfect["false_positive"]) == 1.0


@pytest.mark.parametrize(
    ("count", "sizes"),
    [
        (121_000, (80_000, 20_000, 21_000)),
        (120_800, (80_000, 20_000, 20_800)),
        (100_000, (60_000, 20_000, 20_000)),
        (1400, (840, 280, 280)),
        (7, (4, 1, 2)),
    ],
)
def test_split_is_the_published_one(count: int, sizes: tuple[int, int, int]) -> None:
    assert split_sizes(count) == sizes
    parts = split((count, count), np.random.default_rng(3))
    for rows, size in zip((parts.train, parts.tune, parts.report), sizes, strict=True):
        assert len(rows) == 2 * size
        np.testing.assert_array_equal(rows[:size] + count, rows[size:])  # twins stay together
    every = np.concatenate([parts.train, parts.tune, parts.report])
    np.testing.assert_array_equal(np.sort(every), np.arange(2 * count))


def test_split_of_classes_of_different_sizes() -> None:
    parts = split((50, 30, 50), np.random.default_rng(4))
    every = np.concatenate([parts.train, parts.tune, parts.report])
    np.testing.assert_array_equal(np.sort(every), np.arange(130))
    assert len(parts.report) == 26
