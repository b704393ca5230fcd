"""From scores to numbers: areas, calibrated probabilities, divergences, ROC curves."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.optimize import isotonic_regression
from scipy.special import expit
from scipy.stats import chi2

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

__all__ = [
    "ROC_POINTS",
    "area",
    "auc_error",
    "calibrated",
    "divergence",
    "mean_auc_error",
    "mean_error",
    "roc_points",
    "untied",
]

ROC_POINTS = 101
_CERTAIN = 1e-6


def calibrated(
    tune: NDArray[np.float64], labels: NDArray[np.int64], scores: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Probabilities of label 1, by isotonic regression on other showers (reference section 13.4).

    Args:
        tune: Logits of the showers to calibrate with, ``(m,)``.
        labels: Their labels, ``(m,)``.
        scores: Logits, ``(n,)``.

    Returns:
        Probabilities between 1e-6 and 1 - 1e-6, ``(n,)``.
    """
    places, place, counts = np.unique(expit(tune), return_inverse=True, return_counts=True)
    shares = np.bincount(place, weights=labels) / counts
    rising = isotonic_regression(shares, weights=counts).x
    return np.interp(expit(scores), places, np.clip(rising, _CERTAIN, 1.0 - _CERTAIN))


def area(labels: NDArray[np.number], scores: NDArray[np.floating]) -> float:
    """Area under the ROC curve: of pairs of both labels, the share in which label 1 has the higher score.

    Equal scores count one half.

    Args:
        labels: 0 or 1, ``(n,)``.
        scores: Any numbers, ``(n,)``.
    """
    positive, negative = _by_score(labels, scores)
    below = np.cumsum(negative) - negative / 2
    return float(positive @ below / (positive.sum() * negative.sum()))


def _by_score(
    labels: NDArray[np.number], scores: NDArray[np.floating]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """How many of label 1 and of label 0 have each score, from the lowest score on."""
    distinct, place = np.unique(scores, return_inverse=True)
    chosen, size = labels == 1, len(distinct)
    positive, negative = (np.bincount(place[rows], minlength=size) for rows in (chosen, ~chosen))
    return positive.astype(np.float64), negative.astype(np.float64)


def divergence(probabilities: NDArray[np.float64], labels: NDArray[np.int64]) -> tuple[float, float]:
    """Jensen-Shannon divergence 1 - BCE / ln 2 and its standard deviation (reference section 13.4).

    0 for equal samples, 1 for disjoint ones; below 0 when the probabilities are worse than 1/2.
    """
    bits = -np.log2(np.where(labels == 1, probabilities, 1.0 - probabilities))
    return float(1.0 - bits.mean()), float(bits.std() / np.sqrt(len(bits)))


def auc_error(area: float, count: int) -> float:
    """Standard deviation of an area under the ROC curve for ``count`` test showers of each class.

    Hanley and McNeil, Radiology 143 (1982) 29.
    """
    area = max(area, 1.0 - area)
    q1, q2 = area / (2.0 - area), 2.0 * area**2 / (1.0 + area)
    variance = area * (1.0 - area) + (count - 1) * (q1 + q2 - 2.0 * area**2)
    return float(np.sqrt(max(variance, 0.0))) / count


def mean_error(values: Sequence[float], error: float, *, tested: int, trained: int) -> float:
    """Standard deviation of the mean over trainings that divide the same showers differently.

    The trainings are not independent: showers that one is tested with are learnt by another. Their
    correlation is taken as the share of the showers that a training is tested with, Nadeau and Bengio,
    Machine Learning 52 (2003) 239. The spread counts where it is larger than chance allows (1 %).

    Args:
        values: Of every training.
        error: Of one of them, for its number of test showers.
        tested: Test showers of one training.
        trained: Showers that one training learns from.
    """
    number = len(values)
    variance = error**2
    if number > 1:
        spread = float(np.var(values, ddof=1))
        chance = float(chi2.ppf(0.99, number - 1)) / (number - 1)
        variance = spread if spread > chance * variance else variance
    shared = tested / (tested + trained)
    return float(np.sqrt(variance * (1.0 + (number - 1) * shared) / number))


def mean_auc_error(areas: Sequence[float], *, tested: int, trained: int) -> float:
    """``mean_error`` of areas under the ROC curve, for numbers of showers of each class."""
    error = auc_error(float(np.mean(areas)), tested)
    return mean_error(areas, error, tested=tested, trained=trained)


def untied(scores: NDArray[np.floating]) -> float:
    """Share of the variance of an area that ties leave: calibration by few showers gives many of them equal
    probabilities, whose pairs count one half. That of the Mann-Whitney statistic for samples of one origin.
    """
    equal = np.unique(scores, return_counts=True)[1].astype(np.float64)
    whole = float(len(scores))
    return float(1.0 - (equal**3 - equal).sum() / (whole**3 - whole)) if whole > 1 else 1.0


def roc_points(labels: NDArray[np.int64], scores: NDArray[np.float64]) -> dict[str, list[float]]:
    """At most 101 points of the ROC curve, evenly along it: label 1 accepted against label 0 accepted."""
    false, true = _corners(*_by_score(labels, scores))
    length = np.concatenate([[0.0], np.cumsum(np.diff(false) + np.diff(true))])
    chosen = np.unique(np.searchsorted(length, np.linspace(0.0, length[-1], ROC_POINTS) - 1e-12))
    return {
        "false_positive": false[chosen].round(5).tolist(),
        "true_positive": true[chosen].round(5).tolist(),
    }


def _corners(
    positive: NDArray[np.float64], negative: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Label 0 and label 1 accepted where the ROC curve turns, from (0, 0) to (1, 1)."""
    false, true = (np.concatenate([[0.0], np.cumsum(counts[::-1])]) for counts in (negative, positive))
    inner = (np.diff(false, 2) != 0) | (np.diff(true, 2) != 0)
    turns = np.concatenate([[True], inner, [True]])
    return false[turns] / false[-1], true[turns] / true[-1]
