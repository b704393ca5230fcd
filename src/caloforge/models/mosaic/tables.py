"""What is fitted: trees over contexts, and the real splits in their leaves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = [
    "BUCKETS",
    "ENERGY_UNIT",
    "HIT_UNIT",
    "MOST_CHILDREN",
    "MOST_PULL",
    "POWER_UNIT",
    "TREND_SHIFT",
    "Roots",
    "Tables",
    "exponentials",
    "squared_sines",
]

BUCKETS = 24
"""Trees of a table: one for each number of hits 1, 2, ..., the last for more; bucket 0 is unused."""

HIT_UNIT, ENERGY_UNIT = 8192, 512
"""A split variable of 1 in whole numbers: of the hits (an angle), of the energies (a logarithm)."""

MOST_CHILDREN = 16
"""Of a pattern."""

MOST_PULL = 2048
"""Patterns become more or less frequent by up to exp(MOST_PULL / ENERGY_UNIT)."""

TREND_SHIFT = 12
"""Bits behind the point of the trends' weights."""

POWER_UNIT = round(16 * ENERGY_UNIT * np.log(2))
"""A power of the incident energy of 1 in whole numbers: in steps of ``exponentials()`` for a factor of two,
4 bits behind the point."""

_EXPONENTS = 4096  # to both sides


def squared_sines() -> NDArray[np.float32]:
    """sin(z)^2 for split variables of hits from 0 to pi/2, ``(Z,)``; the share of the first child."""
    return (np.sin(np.arange(int(HIT_UNIT * np.pi / 2) + 1) / HIT_UNIT) ** 2).astype(np.float32)


def exponentials() -> NDArray[np.float32]:
    """exp(z) for split variables of energies from -8 to just under 8, ``(8192,)``: mean energies' ratio."""
    return np.exp((np.arange(2 * _EXPONENTS) - _EXPONENTS) / ENERGY_UNIT).astype(np.float32)


@dataclass(frozen=True, eq=False)
class Roots:
    """Real showers' hits and energies of the root nodes.

    A shower starts from a real one whose particle is like its own, turned or mirrored, and scaled.

    Attributes:
        energy: Incident energies [MeV], rising, ``(D,)`` float32.
        codes: Of the conditions, the energy's first, ``(D, C)`` int16.
        hits: Hits of the root nodes, ``(D, R)`` int32.
        excess: Energies above threshold [MeV], ``(D, R)`` float32.
        turn: Symmetries as permutations of the root nodes, ``(S, R)`` int32.
        hit_power: With what power of the incident energy hits go, times ``POWER_UNIT``, ``(R,)`` int32.
        energy_power: The same of energies, but for the first power, ``(R,)`` int32.
        scale: What a code of each condition counts in distances of particles, up to 4096, ``(C,)`` int32.
        window: Real showers up to this distance are drawn from; to sqrt(2), 2, ... times it where these are
            too few.
        nearest: How many are enough.
    """

    energy: NDArray[np.float32]
    codes: NDArray[np.int16]
    hits: NDArray[np.int32]
    excess: NDArray[np.float32]
    turn: NDArray[np.int32]
    hit_power: NDArray[np.int32]
    energy_power: NDArray[np.int32]
    scale: NDArray[np.int32]
    window: int
    nearest: int


@dataclass(frozen=True, eq=False)
class Tables:
    """All tables on end. ``K`` tables, ``V`` tree nodes, ``D`` donors, ``H`` shares.

    Attributes:
        roots: The tree of every number of hits, ``(K, BUCKETS)`` int32.
        feature: Place in the context that a tree node looks at, -1 for a leaf, ``(V,)`` int16.
        limit: Its codes up to this go to ``kid``, those above to ``kid + 1``, ``(V,)`` int16.
        kid: ``(V,)`` int32.
        start: First donor of a leaf, ``(V,)`` int32.
        count: Donors of a leaf, ``(V,)`` int32.
        weights_start: Where a table's trend begins, ``(K + 1,)`` int32; trends have twice as many weights
            as the context has places: those of the hits, then those of the energies.
        weights: Of the trends, with ``TREND_SHIFT`` bits behind the point, int32.
        bias: Of the trends, ``(K, 2)`` int64.
        hit_weight: Of the energies' trend on the hits that were drawn: ``hit_code`` of the first child minus
            that of the second; with as many bits behind the point, ``(K,)`` int64.
        split_hits: Hits of the first child, in tables of few hits, ``(D,)`` uint8.
        split_angle: Residual split variable of the hits in units of ``1 / HIT_UNIT``, ``(D,)`` int16.
        split_ratio: The same of the energies in units of ``1 / ENERGY_UNIT``, ``(D,)`` int16.
        pattern: Which children are hit, bit by bit, ``(D,)`` uint16.
        share_start: Where a donor's shares begin, ``(D,)`` int32.
        share: Of the energy above threshold, of the hit children on end, ``(H,)`` float32.
        pull_start: Where a table's pulls begin, ``(K + 1,)`` int32.
        pull_place: Place in the context of a cell that pulls, ``(P,)`` int16.
        pull_child: The child that it touches, ``(P,)`` uint8.
        pull: By how much a hit there makes patterns that hit this child more frequent: logarithm in units of
            ``1 / ENERGY_UNIT``, ``(P,)`` int16.
        sine: ``squared_sines()``.
        exponential: ``exponentials()``.
    """

    roots: NDArray[np.int32]
    feature: NDArray[np.int16]
    limit: NDArray[np.int16]
    kid: NDArray[np.int32]
    start: NDArray[np.int32]
    count: NDArray[np.int32]
    weights_start: NDArray[np.int32]
    weights: NDArray[np.int32]
    bias: NDArray[np.int64]
    hit_weight: NDArray[np.int64]
    split_hits: NDArray[np.uint8]
    split_angle: NDArray[np.int16]
    split_ratio: NDArray[np.int16]
    pattern: NDArray[np.uint16]
    share_start: NDArray[np.int32]
    share: NDArray[np.float32]
    pull_start: NDArray[np.int32]
    pull_place: NDArray[np.int16]
    pull_child: NDArray[np.uint8]
    pull: NDArray[np.int16]
    sine: NDArray[np.float32]
    exponential: NDArray[np.float32]
