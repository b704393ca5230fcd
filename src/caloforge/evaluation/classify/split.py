"""How showers are divided: what to learn from, what to choose and calibrate with, what to report on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from caloforge.evaluation.pair import Observed

__all__ = ["PUBLISHED_SIZES", "Split", "equal_sizes", "split", "split_sizes"]

PUBLISHED_SIZES = {121_000: (80_000, 20_000), 120_800: (80_000, 20_000), 100_000: (60_000, 20_000)}
"""Showers to train and to test with, by the showers of a CaloChallenge sample (reference section 13.4)."""


@dataclass(frozen=True)
class Split:
    """Row numbers of the three parts; classes follow each other, see ``Examples``."""

    train: NDArray[np.int64]
    tune: NDArray[np.int64]
    report: NDArray[np.int64]


def split_sizes(count: int) -> tuple[int, int, int]:
    """Showers of each class in the three parts: the CaloChallenge's numbers, or 60, 20, 20 %."""
    train, tune = PUBLISHED_SIZES.get(count, (int(count * 0.6), int(count * 0.2)))
    return train, tune, count - train - tune


def split(counts: Sequence[int], rng: np.random.Generator) -> Split:
    """Divide classes at random.

    Classes of one size are divided alike: showers of two classes that were made for the same
    particle are in the same part, so that no classifier is asked about the twin of a shower that it
    learnt with another label.
    """
    parts: list[list[NDArray[np.int64]]] = [[], [], []]
    orders: dict[int, NDArray[np.int64]] = {}
    start = 0
    for count in counts:
        order = orders.setdefault(count, rng.permutation(count))
        cut = np.cumsum(split_sizes(count))[:-1]
        for part, rows in zip(parts, np.split(order, cut), strict=True):
            part.append(np.sort(rows) + start)
        start += count
    return Split(*(np.concatenate(part) for part in parts))


def equal_sizes(samples: Sequence[Observed], rng: np.random.Generator) -> tuple[Observed, ...]:
    """Draw as many showers of each sample as the smallest one has."""
    count = min(len(sample) for sample in samples)
    return tuple(
        sample if len(sample) == count else sample.select(np.sort(rng.permutation(len(sample))[:count]))
        for sample in samples
    )
