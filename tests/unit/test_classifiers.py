"""Classifiers of vectors, and metrics made of them, on samples whose answer is known."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

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
from caloforge.evaluation.classify.calibration import (
    calibrated,
    divergence,
    mean_auc_error,
    mean_error,
    roc_points,
    untied,
)
from caloforge.evaluation.classify.fits import PUBLISHED_CLOUD_MLP
from caloforge.evaluation.classify.split import split, split_sizes

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray


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


def test_error_of_a_mean_over_trainings_of_the_same_showers() -> None:
    """Trainings that divide the same showers are correlated: a quarter of 80 is tested here."""
    equal = mean_error([0.5, 0.5, 0.5], 0.1, tested=20, trained=60)
    assert equal == pytest.approx(np.sqrt(0.1**2 * (1 + 2 * 0.25) / 3))
    # a variance of 0.04 is more than four times the 0.01 that is allowed; chance goes up to 4.6
    assert mean_error([0.3, 0.5, 0.7], 0.1, tested=20, trained=60) == equal
    wide = mean_error([0.25, 0.5, 0.75], 0.1, tested=20, trained=60)
    assert wide == pytest.approx(np.sqrt(0.25**2 * (1 + 2 * 0.25) / 3))
    assert mean_auc_error([0.5], tested=100, trained=400) == auc_error(0.5, 100)
    five = mean_auc_error([0.5] * 5, tested=20, trained=80)
    assert five == pytest.approx(auc_error(0.5, 20) * np.sqrt((1 + 4 * 0.2) / 5))


def test_ties_take_variance_from_an_area() -> None:
    assert untied(np.arange(10.0)) == 1.0
    # two pairs of equal ones among four: 1 - 2 (2^3 - 2) / (4^3 - 4)
    assert untied(np.array([1.0, 2.0, 1.0, 2.0])) == pytest.approx(0.8)
    assert untied(np.ones(5)) == 0.0


def nearest_mean(
    train: Sample, tune: Sample, seed: int, stop: object = None
) -> Callable[[NDArray[np.float64]], NDArray[np.float64]]:
    """The quickest classifier there is."""
    del seed, stop
    direction = np.concatenate([train.reference, tune.reference]).mean(axis=0)
    direction = direction - np.concatenate([train.generated, tune.generated]).mean(axis=0)
    return lambda inputs: inputs @ direction


def pulls(samples: Callable[[np.random.Generator], tuple[NDArray[np.float64], NDArray[np.float64]]]) -> Any:
    """Of areas for samples of one origin, ``(200,)``."""
    found = []
    for seed in range(200):
        rng = np.random.default_rng([7, seed])
        area = cross_validate(*samples(rng), nearest_mean, folds=Folds(), rng=rng, workers=1)
        found.append((area.value - 0.5) / area.error)
    return np.array(found)


def test_errors_of_areas_cover_one_half() -> None:
    """200 comparisons of samples of one origin: the pulls have mean 0 and width 1."""
    found = pulls(lambda rng: (rng.normal(size=(100, 6)), rng.normal(size=(100, 6))))
    assert abs(found.mean()) < 3 * found.std() / np.sqrt(200)
    assert 0.85 < found.std() < 1.15


def test_samples_that_share_particles_must_be_divided_alike() -> None:
    """What tests are biased by: with the same energies in other rows, those that one fold has too many of
    the others have too few of. With the twins in one fold nothing is left of it."""

    def samples(rng: np.random.Generator, *, alike: bool) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        energy = rng.uniform(size=100)
        other = energy if alike else rng.permutation(energy)
        return tuple(e[:, None] + 0.02 * rng.normal(size=(100, 6)) for e in (energy, other))

    alike, apart = (pulls(partial(samples, alike=alike)) for alike in (True, False))
    assert abs(alike.mean()) < 3 * alike.std() / np.sqrt(200)
    assert apart.mean() < -0.5


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
