"""Kernel physics distance: maximum mean discrepancy of high-level features with a polynomial kernel."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import numpy as np

from caloforge.evaluation.jackknife import group_starts, jackknife_error
from caloforge.evaluation.results import Value
from caloforge.evaluation.standardised import CLIP, challenge_features, standardised_features

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from caloforge.evaluation.pair import Pair

__all__ = ["Batches", "batch_discrepancies", "discrepancy", "kernel_metric"]

_BLOCK = 512
_RECOMMENDED = 50_000
_GROUPS = 20
_MOST = 20_000


@dataclass(frozen=True)
class Batches:
    """Batches that the median is taken over; the CaloChallenge's choices.

    Attributes:
        number: Batches.
        size: Showers of each sample in one, drawn with replacement.
        seed: Of the first batch.
        step: Added to the seed for each further batch.
    """

    number: int = 10
    size: int = 10_000
    seed: int = 42
    step: int = 1000

    @classmethod
    def scaled(cls, count: int) -> Batches:
        """For samples of ``count`` showers instead of 100 000."""
        return cls(size=min(cls.size, count // 10))


def batch_discrepancies(
    reference: NDArray[np.float64], generated: NDArray[np.float64], batches: Batches
) -> NDArray[np.float64]:
    """Squared discrepancies of batches of the samples ``(n, F)`` and ``(m, F)``, as JetNet draws them.

    With replacement: some pairs in a batch are copies of one shower, which raises the mean for samples
    of one origin from 0 to (1/n + 1/m) times the mean of k(x, x) - k(x, x'), whatever the batches' size.
    """

    def batch(number: int) -> float:
        rng = np.random.default_rng(batches.seed + batches.step * number)
        first, second = (sample[rng.choice(len(sample), batches.size)] for sample in (reference, generated))
        return discrepancy(first, second)[0]

    return np.array([batch(number) for number in range(batches.number)])


def discrepancy(
    first: NDArray[np.float64], second: NDArray[np.float64], *, groups: int = 1, block: int = _BLOCK
) -> tuple[float, float]:
    """Unbiased estimate of the squared maximum mean discrepancy, and its jackknife error.

    Kernel (x.y / F + 1)^4; equation 8 of 2211.10295, reference section 13.5. A shower is not
    compared with itself, which makes the estimate 0 on average for samples of one origin. It is
    computed in blocks of ``block`` rows, and no kernel of all pairs is ever there.

    Args:
        first: Features ``(n, F)``.
        second: Features ``(m, F)``.
        groups: Of the jackknife; with one there is no error (0).
        block: Rows.
    """
    orders = [group_starts(len(sample), groups) for sample in (first, second)]
    samples = [sample[order] for sample, (order, _) in zip((first, second), orders, strict=True)]
    starts = [start for _, start in orders]
    sums = [
        _group_sums(samples[i], samples[j], starts[i], starts[j], block) for i, j in ((0, 0), (1, 1), (0, 1))
    ]
    for k in (0, 1):
        own = _power(np.einsum("if,if->i", samples[k], samples[k]), samples[k].shape[1])
        sums[k][np.diag_indices(groups)] -= np.add.reduceat(own, starts[k])
    counts = [np.diff(np.append(start, len(s))) for start, s in zip(starts, samples, strict=True)]
    value = _estimate(sums, counts, np.ones(groups, dtype=bool))
    if groups == 1:
        return value, 0.0
    without = [_estimate(sums, counts, np.arange(groups) != k) for k in range(groups)]
    return value, jackknife_error(np.array(without))


def _estimate(
    sums: list[NDArray[np.float64]], counts: list[NDArray[np.int64]], keep: NDArray[np.bool_]
) -> float:
    n, m = (float(count[keep].sum()) for count in counts)
    own, other, cross = (part[np.ix_(keep, keep)].sum() for part in sums)
    return float(own / (n * (n - 1)) + other / (m * (m - 1)) - 2.0 * cross / (n * m))


def _group_sums(
    first: NDArray[np.float64],
    second: NDArray[np.float64],
    first_starts: NDArray[np.int64],
    second_starts: NDArray[np.int64],
    block: int,
) -> NDArray[np.float64]:
    """Kernel summed over all pairs of each two groups, ``(g, g)``; the samples are sorted by group."""
    rows = np.empty((len(first), len(second_starts)))
    for start in range(0, len(first), block):
        chosen = slice(start, start + block)
        rows[chosen] = np.add.reduceat(
            _power(first[chosen] @ second.T, first.shape[1]), second_starts, axis=1
        )
    return np.add.reduceat(rows, first_starts, axis=0)


def _power(products: NDArray[np.float64], features: int) -> NDArray[np.float64]:
    """The kernel of scalar products, in place."""
    products /= features
    products += 1.0
    np.square(products, out=products)
    return np.square(products, out=products)


def kernel_metric(pair: Pair) -> list[Value]:
    """Kernel physics distance of the high-level features: the CaloChallenge's, and the mended one."""
    return [_official(pair), _mended(pair)]


def _official(pair: Pair) -> Value:
    first, second = challenge_features(pair)
    batches = Batches() if pair.frame.level == "official" else Batches.scaled(min(pair.sizes))
    values = batch_discrepancies(first, second, batches)
    low, high = np.percentile(values, [16.275, 83.725])
    settings = {
        **asdict(batches),
        "values": values.tolist(),
        "features": first.shape[1],
        "scales": "largest |value| of the reference",
    }
    return Value(
        "distance.kpd",
        "KPD of high-level features",
        float(np.median(values)),
        float(high - low) / 2.0,
        settings,
        _note(batches, min(pair.sizes)),
    )


def _note(batches: Batches, count: int) -> str:
    if batches.size != Batches.size:
        return f"Batches of {batches.size} showers instead of the CaloChallenge's 10 000."
    if count < _RECOMMENDED:
        return f"The batches repeat showers: there are {count}, JetNet recommends {_RECOMMENDED} at least."
    return ""


def _mended(pair: Pair) -> Value:
    """All showers once, standardised features: no shower is compared with a copy of itself."""
    first, second = (sample[:: -(-len(sample) // _MOST)] for sample in standardised_features(pair))
    value, error = discrepancy(first, second, groups=_GROUPS)
    settings = {
        "features": first.shape[1],
        "showers": [len(first), len(second)],
        "scales": "standard deviation of the reference",
        "clip": CLIP,
        "groups": _GROUPS,
    }
    return Value("distance.kpd_mended", "KPD of all showers, standardised features", value, error, settings)
