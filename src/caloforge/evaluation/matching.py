"""Showers of like particles: whether two samples have the same ones, and which others come nearest to them.

Showers that were generated for the reference's own particles are closer to it than other Geant4 showers are,
whose energies are drawn anew. A fair floor has Geant4 showers of like energies (and directions, and kinds).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.optimize import linear_sum_assignment
from scipy.spatial import KDTree

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from caloforge.features import FeatureTable

__all__ = ["apart", "match_particles", "neighbour_pairs", "share_particles"]

_SAME = 1e-4  # files keep single precision, and some in other units
_BLOCK = 256  # showers assigned at once: the table of distances stays small
_NEAREST = 32  # others that a shower can take where there are very many
_FLAT = 1e-12
_ANGLE = 1e-3  # rad: angles that differ less tell nothing


def share_particles(reference: FeatureTable, generated: FeatureTable) -> bool:
    """Whether showers ``i`` of both have the same particle, as after ``--like``, as far as both go."""
    count = min(len(reference), len(generated))
    first, second = (table.select(slice(0, count)) for table in (reference, generated))
    if np.any(_kinds(first) != _kinds(second)):
        return False
    energy = np.abs(second["energy"] - first["energy"]) <= _SAME * first["energy"]
    return bool(np.all(energy) and np.all(_angles(first, second) <= _ANGLE))


def match_particles(wanted: FeatureTable, others: FeatureTable) -> NDArray[np.int64] | None:
    """For every shower another one with a like particle, each at most once.

    The sum of squared distances in log energy and direction, both in standard deviations of ``wanted``, is
    least within blocks of neighbouring energies; the kind of particle is the same.

    Returns:
        Rows of ``others``, ``(n,)``; None when there are too few of a kind.
    """
    kinds = _kinds(wanted), _kinds(others)
    places = _places(wanted, wanted), _places(others, wanted)
    found = np.full(len(wanted), -1, np.int64)
    for kind in np.unique(kinds[0]):
        rows, candidates = (np.flatnonzero(own == kind) for own in kinds)
        if len(candidates) < len(rows):
            return None
        for block, near in _blocks(places[0][rows, 0], places[1][candidates, 0]):
            chosen, available = rows[block], candidates[near]
            found[chosen] = available[_assign(places[0][chosen], places[1][available])]
    return found


def neighbour_pairs(
    table: FeatureTable, size: int, rng: np.random.Generator
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """``size`` pairs of showers of like particles, all different ones, as rows ``(size,)`` each.

    Showers beside each other in energy are put on two sides, which are then matched; chance chooses the
    showers when there are more than enough, and turns the pairs.
    """
    rows = rng.permutation(len(table))[: 2 * size]
    rows = rows[np.lexsort((table["energy"][rows], _kinds(table)[rows]))]
    first, second = rows[0::2], rows[1::2]
    matched = match_particles(table.select(first), table.select(second))
    if matched is not None:  # else an odd number of one kind: a pair of two kinds is left as it is
        second = second[matched]
    turned = rng.random(size) < 0.5
    return np.where(turned, second, first), np.where(turned, first, second)


def apart(first: FeatureTable, second: FeatureTable) -> dict[str, Any]:
    """How far the particles of matched showers are from each other, as JSON types."""
    energy = np.abs(second["energy"] / first["energy"] - 1.0)
    angle = _angles(first, second)
    told = {
        "median_energy_difference": float(np.median(energy)),
        "largest_energy_difference": float(energy.max()),
    }
    if angle.max() > _ANGLE:
        told |= {"median_angle_rad": float(np.median(angle)), "largest_angle_rad": float(angle.max())}
    return told


def _kinds(table: FeatureTable) -> NDArray[np.generic]:
    return np.asarray(table["pdg"]) if "pdg" in table.names else np.zeros(len(table), np.int64)


def _directions(table: FeatureTable) -> NDArray[np.float64]:
    theta, phi = (np.asarray(table[name], np.float64) for name in ("theta", "phi"))
    return np.column_stack([np.sin(theta) * np.cos(phi), np.sin(theta) * np.sin(phi), np.cos(theta)])


def _angles(first: FeatureTable, second: FeatureTable) -> NDArray[np.float64]:
    """Angles between the directions [rad], ``(n,)``; from chords, which are exact for small ones."""
    chord = np.linalg.norm(_directions(first) - _directions(second), axis=1)
    return np.asarray(2.0 * np.arcsin(np.minimum(chord / 2.0, 1.0)))


def _places(table: FeatureTable, scale: FeatureTable) -> NDArray[np.float64]:
    """Log energy and direction in standard deviations of ``scale``, ``(n, 4)``; 0 for what does not vary."""
    values, own = (
        np.column_stack([np.log(np.asarray(t["energy"], np.float64)), _directions(t)]) for t in (table, scale)
    )
    spread = own.std(axis=0)
    return np.asarray(np.where(spread > _FLAT, values / np.where(spread > _FLAT, spread, 1.0), 0.0))


def _blocks(
    wanted: NDArray[np.float64], others: NDArray[np.float64]
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Rows of both that are assigned to each other: neighbours in energy, at least as many others."""
    orders = np.argsort(wanted, kind="stable"), np.argsort(others, kind="stable")
    ends = np.append(np.arange(_BLOCK, len(wanted), _BLOCK), len(wanted))
    cuts = np.append(_cuts(wanted[orders[0]], others[orders[1]], ends[:-1]), len(others))
    # every block has enough, and leaves enough for those behind it
    cuts = ends + np.clip(np.maximum.accumulate(cuts - ends), 0, len(others) - len(wanted))
    starts = np.append(0, ends[:-1]), np.append(0, cuts[:-1])
    for first, last, begin, end in zip(starts[0], ends, starts[1], cuts, strict=True):
        yield orders[0][first:last], orders[1][begin:end]


def _cuts(
    wanted: NDArray[np.float64], others: NDArray[np.float64], ends: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Where rising ``others`` are cut if rising ``wanted`` are cut at ``ends``; equal ones by their share."""
    between = (wanted[ends - 1] + wanted[ends]) / 2.0
    (first, last), (begin, end) = (
        (np.searchsorted(values, between, side="left"), np.searchsorted(values, between, side="right"))
        for values in (wanted, others)
    )
    share = (ends - first) / np.maximum(last - first, 1)
    return np.asarray(begin + (share * (end - begin)).astype(np.int64))


def _assign(wanted: NDArray[np.float64], others: NDArray[np.float64]) -> NDArray[np.int64]:
    """Which of ``others``, ``(m, 4)``, each of ``wanted``, ``(n, 4)``, takes; ``n <= m``."""
    if len(others) > _NEAREST * _BLOCK:  # else the table of distances grows with their number
        near = _nearest(wanted, others)
        return near[_least(wanted, others[near])]
    return _least(wanted, others)


def _least(wanted: NDArray[np.float64], others: NDArray[np.float64]) -> NDArray[np.int64]:
    """The assignment with the least sum of squared distances."""
    squares = (wanted**2).sum(axis=1)[:, None] + (others**2).sum(axis=1) - 2.0 * wanted @ others.T
    return np.asarray(linear_sum_assignment(np.maximum(squares, 0.0))[1])


def _nearest(wanted: NDArray[np.float64], others: NDArray[np.float64]) -> NDArray[np.int64]:
    """Rows of ``others`` that are among the nearest of any, enough for all: rising, ``n`` or more of them."""
    tree, number = KDTree(others), _NEAREST
    found = np.unique(tree.query(wanted, k=number)[1])
    while len(found) < len(wanted):  # many want the same ones
        number *= 2
        found = np.unique(tree.query(wanted, k=min(number, len(others)))[1])
    return np.asarray(found)
