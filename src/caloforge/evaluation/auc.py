"""Classifiers that tell generated from reference showers, trained and tested on disjoint folds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np
from sklearn.metrics import roc_auc_score

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

__all__ = ["Auc", "Fit", "Folds", "auc_error", "cross_validate", "equal_classes"]


class Fit(Protocol):
    """Trains a classifier; a higher score means that a shower looks more like the reference."""

    def __call__(
        self, train: Sample, tune: Sample, seed: int
    ) -> Callable[[NDArray[np.float64]], NDArray[np.float64]]:
        """Train on ``train``, stop early on ``tune``, return the scores of inputs ``(m, F)``."""
        ...


@dataclass(frozen=True)
class Sample:
    """Inputs ``(m, F)`` and labels ``(m,)``: reference 1, generated 0."""

    inputs: NDArray[np.float64]
    labels: NDArray[np.float64]


@dataclass(frozen=True)
class Auc:
    """Area under the ROC curve over the test folds.

    Attributes:
        value: Mean over the folds; 0.5 when the samples cannot be told apart.
        error: Its standard deviation: the larger of the spread over folds and of what the number
            of test showers allows.
        folds: Area of every fold.
        count: Showers of each class, over all test folds.
    """

    value: float
    error: float
    folds: tuple[float, ...]
    count: int


@dataclass(frozen=True)
class Folds:
    """How showers are split: test on one fold, stop early on the next one, train on the others.

    Attributes:
        number: Folds, at least 3.
        used: How many of them are tested.
    """

    number: int = 5
    used: int = 5


def equal_classes(
    reference: NDArray[np.float64], generated: NDArray[np.float64], rng: np.random.Generator
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Draw as many showers of the larger class as the smaller one has."""
    count = min(len(reference), len(generated))
    first, second = (x[np.sort(rng.permutation(len(x))[:count])] for x in (reference, generated))
    return first, second


def cross_validate(
    reference: NDArray[np.float64],
    generated: NDArray[np.float64],
    fit: Fit,
    *,
    folds: Folds,
    rng: np.random.Generator,
) -> Auc:
    """Train a classifier per fold and average the areas under their ROC curves.

    Both classes are split alike: a generated shower that was made like a real one (same particle,
    same energies) is in the same fold as that one, so that a classifier cannot learn its twin.

    Args:
        reference: Inputs of the reference, ``(n, F)``, label 1.
        generated: Inputs of the model, ``(m, F)``, label 0; the larger class is cut to the smaller.
        fit: Trains one classifier.
        folds: The split.
        rng: Draws the split and the seeds.
    """
    classes = equal_classes(reference, generated, rng)
    count = len(classes[0])
    parts = np.array_split(rng.permutation(count), folds.number)
    areas = []
    for k in range(folds.used):
        tune = (k + 1) % folds.number
        rest = [i for i in range(folds.number) if i not in {k, tune}]
        test, stop, train = (_sample(classes, parts, chosen) for chosen in ([k], [tune], rest))
        scores = fit(train, stop, int(rng.integers(2**31)))(test.inputs)
        areas.append(float(roc_auc_score(test.labels, scores)))
    tested = sum(len(parts[k]) for k in range(folds.used))
    mean = float(np.mean(areas))
    spread = float(np.std(areas, ddof=1)) / np.sqrt(len(areas)) if len(areas) > 1 else 0.0
    return Auc(mean, float(max(spread, auc_error(mean, tested))), tuple(areas), tested)


def auc_error(area: float, count: int) -> float:
    """Standard deviation of an area under the ROC curve for ``count`` test showers of each class.

    Hanley and McNeil, Radiology 143 (1982) 29.
    """
    area = max(area, 1.0 - area)
    q1, q2 = area / (2.0 - area), 2.0 * area**2 / (1.0 + area)
    variance = area * (1.0 - area) + (count - 1) * (q1 + q2 - 2.0 * area**2)
    return float(np.sqrt(max(variance, 0.0))) / count


def _sample(
    classes: tuple[NDArray[np.float64], NDArray[np.float64]],
    parts: list[NDArray[np.int64]],
    chosen: list[int],
) -> Sample:
    rows = np.concatenate([parts[i] for i in chosen])
    inputs = np.concatenate([values[rows] for values in classes])
    return Sample(inputs, np.repeat([1.0, 0.0], len(rows)))
