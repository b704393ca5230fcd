"""Points that differ in their seed alone: what repetitions say about differences between configurations."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from caloforge.sweeps.results import Judged, Row

__all__ = ["Group", "groups_of", "scatter_of", "scatter_sentence"]


@dataclass(frozen=True)
class Group:
    """One configuration.

    Attributes:
        values: What is varied, by key.
        numbers: Of its points that are judged.
        mean: Of the judged numbers.
        scatter: Their standard deviation; None of a single one.
    """

    values: dict[str, str]
    numbers: tuple[int, ...]
    mean: float
    scatter: float | None

    def __len__(self) -> int:
        return len(self.numbers)


def groups_of(rows: Sequence[Row], judged: Judged) -> list[Group]:
    """The configurations that have been judged, the best one first."""
    found: dict[tuple[tuple[str, str], ...], list[int]] = {}
    for row in rows:
        if row.number in judged.values:
            found.setdefault(tuple(row.point.values.items()), []).append(row.number)
    groups = [_group(dict(values), numbers, judged) for values, numbers in found.items()]
    return sorted(groups, key=lambda group: group.mean)


def _group(values: dict[str, str], numbers: list[int], judged: Judged) -> Group:
    there = np.array([judged.values[number] for number in numbers])
    scatter = float(there.std(ddof=1)) if len(there) > 1 else None
    return Group(values, tuple(numbers), float(there.mean()), scatter)


def scatter_of(groups: Sequence[Group]) -> tuple[float, int] | None:
    """The standard deviation of one configuration's seeds, pooled over all, and its degrees of freedom."""
    repeated = [(group.scatter, len(group) - 1) for group in groups if group.scatter is not None]
    freedom = sum(number for _, number in repeated)
    if not freedom:
        return None
    return math.sqrt(sum(number * scatter**2 for scatter, number in repeated) / freedom), freedom


def scatter_sentence(groups: Sequence[Group]) -> str:
    """Whether the best configuration differs from the next one by more than seeds do; "" without seeds."""
    found = scatter_of(groups)
    if found is None:
        return ""
    scatter, freedom = found
    told = f"Seeds scatter by {scatter:.3g} (standard deviation, {freedom} degrees of freedom)"
    if len(groups) < 2:
        return f"{told}."
    best, other = groups[0], groups[1]
    apart, error = other.mean - best.mean, scatter * math.sqrt(1 / len(best) + 1 / len(other))
    if not error:
        return f"{told}."
    return f"{told}; the best mean is {apart:.3g} below the next one: {apart / error:.1f} times its error."
