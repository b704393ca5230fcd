"""From scores to numbers: areas, calibrated probabilities, divergences, ROC curves."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.special import expit
from sklearn.isotonic import IsotonicRegression
from sklearn.metrics import roc_curve

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["ROC_POINTS", "auc_error", "calibrated", "divergence", "roc_points"]

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
    model = IsotonicRegression(out_of_bounds="clip", y_min=_CERTAIN, y_max=1.0 - _CERTAIN)
    model.fit(expit(tune), labels)
    return np.asarray(model.predict(expit(scores)))


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


def roc_points(labels: NDArray[np.int64], scores: NDArray[np.float64]) -> dict[str, list[float]]:
    """At most 101 points of the ROC curve, evenly along it: label 1 accepted against label 0 accepted."""
    false, true, _ = roc_curve(labels, scores)
    length = np.concatenate([[0.0], np.cumsum(np.diff(false) + np.diff(true))])
    chosen = np.unique(np.searchsorted(length, np.linspace(0.0, length[-1], ROC_POINTS) - 1e-12))
    return {
        "false_positive": false[chosen].round(5).tolist(),
        "true_positive": true[chosen].round(5).tolist(),
    }
