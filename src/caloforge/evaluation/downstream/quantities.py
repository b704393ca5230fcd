"""What is measured of a reconstruction: resolution, bias, accuracy, area under the ROC curve."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
from scipy.stats import rankdata

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from caloforge.evaluation.downstream.crossing import Reconstructed

__all__ = [
    "accuracy",
    "area",
    "bias",
    "bias_by_energy",
    "energy_edges",
    "resolution",
    "resolution_by_energy",
]

_CENTRAL = (0.16, 0.84)
_BINS = 5
_FEWEST = 10


def resolution(tested: Reconstructed) -> NDArray[np.float64]:
    """Half of the central 68 % interval of E_rec / E_true, of every network ``(K,)``."""
    low, high = np.quantile(tested.ratio, _CENTRAL, axis=1)
    return np.asarray(0.5 * (high - low))


def bias(tested: Reconstructed) -> NDArray[np.float64]:
    """Median of E_rec / E_true - 1, of every network ``(K,)``."""
    return np.asarray(np.median(tested.ratio, axis=1) - 1.0)


def accuracy(tested: Reconstructed) -> NDArray[np.float64]:
    """Share of the showers whose likeliest kind is theirs, averaged over the kinds, ``(K,)``."""
    right = tested.probability.argmax(axis=2) == tested.labels
    shares = [right[:, tested.labels == kind].mean(axis=1) for kind in np.unique(tested.labels)]
    return np.asarray(np.mean(shares, axis=0))


def area(tested: Reconstructed) -> NDArray[np.float64]:
    """Area under the ROC curve of each kind against the others, averaged over the kinds, ``(K,)``."""
    kinds = np.unique(tested.labels)
    areas = [_area(tested.probability[:, :, k], tested.labels == k) for k in kinds]
    return np.asarray(np.mean(areas, axis=0))


def _area(scores: NDArray[np.float64], positive: NDArray[np.bool_]) -> NDArray[np.float64]:
    count = int(positive.sum())
    ranks = rankdata(scores, axis=1)[:, positive].sum(axis=1)
    return np.asarray((ranks - 0.5 * count * (count + 1)) / (count * (len(positive) - count)))


def energy_edges(energy: NDArray[np.float64]) -> NDArray[np.float64]:
    """Edges of five intervals of the incident energy [MeV] with equally many showers, ``(6,)``."""
    return np.asarray(np.unique(np.quantile(energy, np.linspace(0.0, 1.0, _BINS + 1))))


def resolution_by_energy(
    halves: tuple[Reconstructed, Reconstructed], edges: NDArray[np.float64]
) -> list[float | None]:
    """Resolution in every interval of the incident energy; None with fewer than ten showers."""
    return _by_energy(halves, edges, resolution)


def bias_by_energy(
    halves: tuple[Reconstructed, Reconstructed], edges: NDArray[np.float64]
) -> list[float | None]:
    """Bias in every interval of the incident energy; None with fewer than ten showers."""
    return _by_energy(halves, edges, bias)


def _by_energy(
    halves: tuple[Reconstructed, Reconstructed],
    edges: NDArray[np.float64],
    compute: Callable[[Reconstructed], NDArray[np.float64]],
) -> list[float | None]:
    found: list[float | None] = []
    for low, high in pairwise(edges):
        inside = [half.select((half.energy >= low) & (half.energy <= high)) for half in halves]
        enough = min(len(part) for part in inside) >= _FEWEST
        found.append(float(np.mean([compute(part).mean() for part in inside])) if enough else None)
    return found
