"""Classifiers of vectors that are trained and tested on disjoint folds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

from caloforge.evaluation.classify.calibration import area, mean_auc_error
from caloforge.evaluation.classify.workers import parallel

if TYPE_CHECKING:
    from collections.abc import Callable
    from threading import Event

    from numpy.typing import NDArray

__all__ = ["Auc", "Fit", "Folds", "Sample", "cross_validate", "equal_classes"]


@dataclass(frozen=True)
class Sample:
    """Vectors ``(m, F)`` of generated (label 0) and reference showers (label 1)."""

    generated: NDArray[np.float64]
    reference: NDArray[np.float64]

    @property
    def inputs(self) -> NDArray[np.float64]:
        """Both classes, generated showers first."""
        return np.concatenate([self.generated, self.reference])

    @property
    def labels(self) -> NDArray[np.float64]:
        """Labels of ``inputs``."""
        return np.repeat([0.0, 1.0], [len(self.generated), len(self.reference)])


class Fit(Protocol):
    """Trains a classifier; a higher score means that a shower looks more like the reference."""

    def __call__(
        self, train: Sample, tune: Sample, seed: int, stop: Event | None = None
    ) -> Callable[[NDArray[np.float64]], NDArray[np.float64]]:
        """Train on ``train``, stop early on ``tune``, return the scores of inputs ``(m, F)``."""
        ...


@dataclass(frozen=True)
class Auc:
    """Area under the ROC curve over the test folds.

    Attributes:
        value: Mean over the folds; 0.5 when the samples cannot be told apart.
        error: Its standard deviation, which the numbers of showers allow (``mean_auc_error``).
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
    workers: int | None = None,
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
        workers: Folds at once; the result does not depend on it.
    """
    reference, generated = equal_classes(reference, generated, rng)
    parts = np.array_split(rng.permutation(len(reference)), folds.number)
    jobs = [(k, int(rng.integers(2**31))) for k in range(folds.used)]

    def sample(chosen: list[int]) -> Sample:
        rows = np.concatenate([parts[i] for i in chosen])
        return Sample(generated[rows], reference[rows])

    def tested_area(job: tuple[int, int], stop: Event) -> float:
        k, seed = job
        tune = (k + 1) % folds.number
        rest = [i for i in range(folds.number) if i not in {k, tune}]
        score, test = fit(sample(rest), sample([tune]), seed, stop), sample([k])
        return area(test.labels, score(test.inputs))

    areas = parallel(tested_area, jobs, workers=workers)
    tested = sum(len(parts[k]) for k in range(folds.used))
    each = tested // folds.used
    error = mean_auc_error(areas, tested=each, trained=len(reference) - each)
    return Auc(float(np.mean(areas)), error, tuple(areas), tested)
