"""Whether an area under the ROC curve still rises with the number of showers."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from caloforge.evaluation.pair import Observed, Pair

__all__ = ["FEWEST_FOR_DIVERGENCE", "at_most", "by_size", "rising_note"]

FEWEST_FOR_DIVERGENCE = 5000
"""Showers of each class that a divergence of calibrated probabilities needs. A fifth of them calibrate and
another fifth are judged: with 1000 in all, equal samples have -0.05 +- 0.07, twice the error that is told."""

_FEWEST = 50
_SURE = 2.0


def at_most(pair: Pair, name: str, most: int) -> Pair:
    """The pair with so many showers of each sample at most, chosen at random.

    Of two samples that share particles they are those with the same ones.

    Args:
        pair: All showers.
        name: Of the random numbers.
        most: Showers of a sample.
    """

    def some(sample: Observed) -> Observed:
        if len(sample) <= most:
            return sample
        order = pair.frame.rng(f"{name}.most").permutation(len(sample))
        return sample.select(np.sort(order[:most]))

    twins = pair.twins()
    return replace(twins, first=some(twins.first), second=some(twins.second))


def by_size(
    pair: Pair,
    name: str,
    area: Callable[[Pair, np.random.Generator], tuple[float, float]],
    whole: tuple[float, float],
) -> dict[str, list[Any]]:
    """Areas with a quarter, a half and all of the showers.

    Args:
        pair: All showers.
        name: Of the random numbers that choose showers and train.
        area: Area and error for fewer showers.
        whole: Area and error for all showers.

    Returns:
        ``showers`` of each class, ``auc`` and ``error``, as JSON types.
    """
    count = min(pair.sizes)
    rng = pair.frame.rng(f"{name}.sizes")
    order = rng.permutation(count)
    sizes = [n for n in (count // 4, count // 2) if n >= _FEWEST]
    found = [area(_part(pair, np.sort(order[:n])), rng) for n in sizes]
    areas, errors = zip(*found, whole, strict=True)
    return {"showers": [*sizes, count], "auc": list(areas), "error": list(errors)}


def rising_note(sizes: dict[str, list[Any]]) -> str:
    """Say that the area with all showers is larger than with half of them; "" when it is not."""
    areas, errors = sizes["auc"], sizes["error"]
    if len(areas) < 2 or areas[-1] - areas[-2] < _SURE * float(np.hypot(errors[-1], errors[-2])):
        return ""
    half, whole = (f"{a:.3f} with {n}" for a, n in zip(areas[-2:], sizes["showers"][-2:], strict=True))
    return f"A lower bound: it still rises with the number of showers ({half}, {whole})."


def _part(pair: Pair, rows: NDArray[np.int64]) -> Pair:
    return replace(pair, first=pair.first.select(rows), second=pair.second.select(rows))
