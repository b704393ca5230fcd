"""Frechet physics distance: how far two samples are apart when both are taken for Gaussian clouds."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy.linalg import eigh, svdvals
from scipy.optimize import nnls

from caloforge.evaluation.jackknife import group_starts, unbiased_estimate
from caloforge.evaluation.results import Value
from caloforge.evaluation.standardised import CLIP, challenge_features, standardised_features

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from caloforge.evaluation.pair import Pair

__all__ = ["Draws", "Extrapolation", "Moments", "extrapolate", "frechet_distance", "frechet_metric", "mended"]

_BLOCK = 4096
_RECOMMENDED = 50_000
_PER_FEATURE = {"fpd": 20, "fpd_mended": 2}
_GROUPS = 10


@dataclass(frozen=True)
class Moments:
    """Mean ``(F,)`` and covariance ``(F, F)`` of a sample, normalised with its size less one."""

    mean: NDArray[np.float64]
    covariance: NDArray[np.float64]

    @classmethod
    def of(cls, sample: NDArray[np.float64], counts: NDArray[np.int64] | None = None) -> Moments:
        """Moments of ``sample``, ``(n, F)``, whose showers count ``counts`` times, ``(n,)``; by blocks."""
        weights = np.ones(len(sample)) if counts is None else counts.astype(np.float64)
        origin = sample[:_BLOCK].mean(axis=0)
        sums = _Sums(0.0, np.zeros_like(origin), np.zeros((len(origin), len(origin))))
        for start in range(0, len(sample), _BLOCK):
            rows = slice(start, start + _BLOCK)
            sums = sums.plus(sample[rows] - origin, weights[rows])
        moments = sums.moments()
        return cls(moments.mean + origin, moments.covariance)


class _Sums(NamedTuple):
    """Sums over showers of 1, x and x x^T; such sums of groups may have a leading axis."""

    number: NDArray[np.float64] | float
    first: NDArray[np.float64]
    second: NDArray[np.float64]

    def plus(self, values: NDArray[np.float64], weights: NDArray[np.float64]) -> _Sums:
        used = weights > 0
        values, weights = values[used], weights[used]
        weighted = values * weights[:, None]
        first, second = weighted.sum(axis=0), values.T @ weighted
        return _Sums(self.number + weights.sum(), self.first + first, self.second + second)

    def moments(self) -> Moments:
        mean = self.first / self.number
        return Moments(mean, (self.second - self.number * np.outer(mean, mean)) / (self.number - 1))

    def of_groups(self, keep: NDArray[np.bool_]) -> Moments:
        count, first, second = (np.asarray(part)[keep].sum(axis=0) for part in self)
        return _Sums(float(count), first, second).moments()


def frechet_distance(first: Moments, second: Moments) -> float:
    """Squared Frechet distance of two Gaussians, |m1 - m2|^2 + Tr(S1 + S2 - 2 (S1 S2)^(1/2)).

    The trace of the root is the sum of the singular values of S1^(1/2) S2^(1/2), which loses no
    digits to near-singular covariances as the root of their product does.
    """
    shift = first.mean - second.mean
    root = svdvals(_root(first.covariance).T @ _root(second.covariance)).sum()
    return float(shift @ shift + np.trace(first.covariance) + np.trace(second.covariance) - 2.0 * root)


def _root(covariance: NDArray[np.float64]) -> NDArray[np.float64]:
    """A matrix R with R R^T the covariance."""
    values, vectors = eigh(covariance)
    return np.asarray(vectors * np.sqrt(np.maximum(values, 0.0)))


@dataclass(frozen=True)
class Draws:
    """How a distance is extrapolated to infinitely many showers; the CaloChallenge's choices.

    Attributes:
        smallest: Showers of the smallest draws.
        largest: Showers of the largest draws.
        sizes: Different sizes, equally spaced in their inverse.
        repetitions: Draws of every size, with replacement.
        seed: Of the draws.
    """

    smallest: int = 10_000
    largest: int = 50_000
    sizes: int = 10
    repetitions: int = 20
    seed: int = 42

    @classmethod
    def scaled(cls, count: int) -> Draws:
        """For samples of ``count`` showers instead of 100 000."""
        own = cls()
        return cls(min(own.smallest, count // 10), min(own.largest, count // 2))

    @property
    def counts(self) -> NDArray[np.int64]:
        """Showers of the draws of every size, cut to integers."""
        inverse = np.linspace(1.0 / self.smallest, 1.0 / self.largest, self.sizes)
        return (1.0 / inverse).astype(np.int64)


@dataclass(frozen=True)
class Extrapolation:
    """A fit of a + b / N with a, b >= 0 to the mean distances of draws of N showers.

    Attributes:
        value: a, the distance for infinitely many showers.
        error: Its standard deviation, from the scatter of the means about the line.
        slope: b.
        means: The mean distances.
    """

    value: float
    error: float
    slope: float
    means: tuple[float, ...]


def extrapolate(
    reference: NDArray[np.float64], generated: NDArray[np.float64], draws: Draws
) -> Extrapolation:
    """The Frechet physics distance of 2211.10295, section IV, as JetNet computes it (section 13.5).

    Draws with replacement: the line ends at the distance of the two samples as they are, not at
    that of what they were drawn from. It is above 0 for samples of one origin.

    Args:
        reference: Features ``(n, F)``.
        generated: Features ``(m, F)``.
        draws: Sizes, repetitions and seed.
    """
    rng = np.random.default_rng(draws.seed)

    def distance(count: int) -> float:
        first, second = (
            Moments.of(sample, np.bincount(rng.choice(len(sample), count), minlength=len(sample)))
            for sample in (reference, generated)
        )
        return frechet_distance(first, second)

    means = [np.mean([distance(n) for _ in range(draws.repetitions)]) for n in draws.counts.tolist()]
    return _fit(draws.counts, np.array(means))


def _fit(counts: NDArray[np.int64], means: NDArray[np.float64]) -> Extrapolation:
    scale = float(counts.min())
    design = np.column_stack([np.ones(len(counts)), scale / counts])
    (value, slope), residual = nnls(design, means)
    variance = np.linalg.inv(design.T @ design)[0, 0] * residual**2 / (len(counts) - 2)
    return Extrapolation(float(value), float(np.sqrt(variance)), float(slope) * scale, tuple(means.tolist()))


def mended(
    reference: NDArray[np.float64], generated: NDArray[np.float64], *, groups: int = _GROUPS
) -> tuple[float, float, float]:
    """The Frechet distance of what two samples were drawn from: 0 on average for one origin.

    The distance of two samples is biased upwards by their noise. ``unbiased_estimate`` takes out
    what goes as 1/n and 1/n^2; the result scatters about the truth and may be negative.

    Args:
        reference: Features ``(n, F)``.
        generated: Features ``(m, F)``.
        groups: Of the jackknife.

    Returns:
        The estimate, its standard deviation, and the plain distance of the samples.
    """
    first, second = _group_sums(reference, groups), _group_sums(generated, groups)

    def distance(keep: NDArray[np.bool_]) -> float:
        return frechet_distance(first.of_groups(keep), second.of_groups(keep))

    return unbiased_estimate(distance, groups)


def _group_sums(sample: NDArray[np.float64], groups: int) -> _Sums:
    order, starts = group_starts(len(sample), groups)
    parts = [sample[rows] for rows in np.split(order, starts[1:])]
    return _Sums(
        np.array([len(part) for part in parts], dtype=np.float64),
        np.array([part.sum(axis=0) for part in parts]),
        np.array([part.T @ part for part in parts]),
    )


def frechet_metric(pair: Pair) -> list[Value]:
    """Frechet physics distance of the high-level features: the CaloChallenge's, and without bias."""
    return [_official(pair), _mended(pair)]


def _official(pair: Pair) -> Value:
    name, title = "distance.fpd", "FPD of high-level features"
    first, second = challenge_features(pair)
    few = _too_few(pair, "fpd", first.shape[1])
    if few:
        return Value(name, title, None, note=few)
    official = pair.frame.level == "official"
    draws = Draws() if official else Draws.scaled(min(pair.sizes))
    found = extrapolate(first, second, draws)
    settings = {
        **asdict(draws),
        "counts": draws.counts.tolist(),
        "means": list(found.means),
        "slope": found.slope,
        "features": first.shape[1],
        "scales": "largest |value| of the reference",
    }
    return Value(name, title, found.value, found.error, settings, _note(draws, min(pair.sizes)))


def _note(draws: Draws, count: int) -> str:
    if (draws.smallest, draws.largest) != (Draws.smallest, Draws.largest):
        own = f"{draws.smallest} to {draws.largest}"
        return f"Draws of {own} showers instead of the CaloChallenge's 10 000 to 50 000."
    if count < _RECOMMENDED:
        return f"The draws repeat showers: there are {count}, JetNet recommends {_RECOMMENDED} at least."
    return ""


def _mended(pair: Pair) -> Value:
    name, title = "distance.fpd_mended", "FPD without bias, per standardised feature"
    first, second = standardised_features(pair)
    features = first.shape[1]
    few = _too_few(pair, "fpd_mended", features)
    if few:
        return Value(name, title, None, note=few)
    value, error, plain = mended(first, second)
    settings = {
        "features": features,
        "scales": "standard deviation of the reference",
        "clip": CLIP,
        "groups": _GROUPS,
        "with_bias": plain / features,
    }
    return Value(name, title, value / features, error / features, settings)


def _too_few(pair: Pair, kind: str, features: int) -> str:
    """A covariance of F features from few showers is noise, and so is the distance of two of them."""
    needed = _PER_FEATURE[kind] * features
    if min(pair.sizes) >= needed:
        return ""
    return (
        f"Too few showers for {features} features: {min(pair.sizes)} in the smaller sample, "
        f"{needed} are needed ({_PER_FEATURE[kind]} for each feature)."
    )
