"""Delete-group jackknife: bias and error of a statistic of two samples, without random numbers.

The showers are dealt out to ``g`` groups in turns, so that the groups are alike also in files that
are sorted by energy, and a generated shower is in the group of the real one that it was made like.
The statistic is computed again without one group of both samples, and without two.
"""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

__all__ = ["group_starts", "jackknife_error", "unbiased_estimate"]


def group_starts(count: int, groups: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Order of ``count`` showers by group, ``(count,)``, and where each group begins, ``(groups,)``."""
    group = np.arange(count) % groups
    order = np.argsort(group, kind="stable")
    return order, np.searchsorted(group[order], np.arange(groups))


def jackknife_error(without_one: NDArray[np.float64]) -> float:
    """Standard deviation of a statistic, from its values without one group each, ``(g,)``."""
    groups = len(without_one)
    return float(np.sqrt((groups - 1) * np.var(without_one)))


def unbiased_estimate(
    statistic: Callable[[NDArray[np.bool_]], float], groups: int
) -> tuple[float, float, float]:
    """A statistic without the parts of its bias that go as 1/n and as 1/n^2.

    Second-order jackknife of Schucany, Gray and Owen (J. Am. Stat. Assoc. 66 (1971) 524) for groups.

    Args:
        statistic: From the groups to keep, ``(g,)``, to a number.
        groups: ``g``; ``1 + g (g + 1) / 2`` values are computed.

    Returns:
        The estimate, its standard deviation and the plain value.
    """
    plain = statistic(np.ones(groups, dtype=bool))
    one, two = (
        np.array([statistic(~np.isin(np.arange(groups), dropped)) for dropped in _subsets(groups, size)])
        for size in (1, 2)
    )
    weights = 0.5 * np.array([groups**2, -2 * (groups - 1) ** 2, (groups - 2) ** 2])
    value = float(weights @ [plain, one.mean(), two.mean()])
    return value, jackknife_error(one), plain


def _subsets(groups: int, size: int) -> list[list[int]]:
    return [list(subset) for subset in combinations(range(groups), size)]
