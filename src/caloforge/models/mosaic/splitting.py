"""Real splits in two as what a table keeps of them: a trend, and residuals in the leaves of trees."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from caloforge.models.mosaic.codes import hit_code
from caloforge.models.mosaic.tables import ENERGY_UNIT, HIT_UNIT, TREND_SHIFT
from caloforge.models.mosaic.trend import Trend, fit_trend, no_trend

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from caloforge.models.mosaic.samples import Samples

__all__ = ["Splits", "fit_splits"]

_LEAST = 1e-4  # MeV above threshold
_FAR = 32_000  # residuals are kept in 16 bits


class Splits(NamedTuple):
    """``n`` real splits, and their trends.

    Attributes:
        first: Hits of the first child, ``(n,)`` uint8, 255 for more.
        angle: Residual of the hits' split variable, ``(n,)`` int16.
        ratio: Residual of the energies', ``(n,)`` int16.
        hit_trend: Of the hits.
        energy_trend: Of the energies.
        hit_weight: Of the energies on the hits that were drawn.
        targets: What trees are grown for, ``(n, K)`` float32.
    """

    first: NDArray[np.uint8]
    angle: NDArray[np.int16]
    ratio: NDArray[np.int16]
    hit_trend: Trend
    energy_trend: Trend
    hit_weight: int
    targets: NDArray[np.float32]


def fit_splits(samples: Samples, *, few: bool, rng: np.random.Generator) -> Splits:
    """Take trends and residuals of real splits.

    The split variable of the hits is the angle whose squared sine is the first child's share, which
    makes a binomial equally wide everywhere; whole numbers are blurred by less than a hit. That of the
    energies is the logarithm of the ratio of mean energies above threshold, of both children.

    Args:
        samples: Of one table.
        few: Whether hits are drawn themselves, so that they need no trend.
        rng: Blurs the hits.
    """
    hits, first = samples.hits, samples.child_hits[:, 0]
    second = hits - first
    both = (first > 0) & (second > 0)
    places = samples.context.shape[1]
    ratio, angle = _ratio(samples, both), _angle(hits, first, rng)
    hit_trend = no_trend(places) if few else fit_trend(samples.context, angle, unit=HIT_UNIT)
    drawn = hit_code(first).astype(np.int64) - hit_code(second)
    energy_trend, hit_weight = _energy_trend(samples.context, ratio, drawn, both)
    ratio_rest = np.round(ratio * ENERGY_UNIT) - energy_trend.at(samples.context)
    ratio_rest = np.where(both, ratio_rest - ((hit_weight * drawn) >> TREND_SHIFT), 0)
    angle_rest = np.round(angle * HIT_UNIT) - hit_trend.at(samples.context)
    return Splits(
        np.minimum(first, 255).astype(np.uint8),
        _short(angle_rest),
        _short(ratio_rest),
        hit_trend,
        energy_trend,
        hit_weight,
        _targets(first / hits, angle_rest / HIT_UNIT, ratio_rest / ENERGY_UNIT, few=few),
    )


def _short(values: NDArray[np.float64]) -> NDArray[np.int16]:
    return np.clip(values, -_FAR, _FAR).astype(np.int16)


def _angle(
    hits: NDArray[np.integer], first: NDArray[np.integer], rng: np.random.Generator
) -> NDArray[np.float64]:
    return np.arcsin(np.sqrt((first + rng.random(len(hits))) / (hits + 1.0)))


def _ratio(samples: Samples, both: NDArray[np.bool_]) -> NDArray[np.float64]:
    mean = np.maximum(samples.child_excess, _LEAST) / np.maximum(samples.child_hits, 1)
    return np.where(both, np.log(mean[:, 0]) - np.log(mean[:, 1]), 0.0)


def _energy_trend(
    context: NDArray[np.int16],
    ratio: NDArray[np.float64],
    drawn: NDArray[np.int64],
    both: NDArray[np.bool_],
) -> tuple[Trend, int]:
    """The trend in the context and in the hits that were drawn."""
    terms = np.column_stack([context, drawn])[both]
    trend = fit_trend(terms, ratio[both], unit=ENERGY_UNIT)
    return Trend(trend.weight[:-1], trend.bias), int(trend.weight[-1])


def _targets(
    share: NDArray[np.float64], angle: NDArray[np.float64], ratio: NDArray[np.float64], *, few: bool
) -> NDArray[np.float32]:
    """What leaves shall agree in: means and widths, the hits before the energies."""
    if few:
        columns = [2 * share, 0.4 * ratio, 0.2 * np.abs(ratio)]
    else:
        scale = 0.3 * angle.std() / max(ratio.std(), 1e-3)
        columns = [angle, np.abs(angle), scale * ratio, scale * np.abs(ratio)]
    return np.column_stack(columns).astype(np.float32)
