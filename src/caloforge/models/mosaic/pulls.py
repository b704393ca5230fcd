"""How much hits beside a block make its patterns more frequent that hit the cells next to them."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from caloforge.models.mosaic.tables import ENERGY_UNIT
from caloforge.models.mosaic.touching import TOUCHES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from caloforge.models.mosaic.forest import Forest

__all__ = ["Apart", "Pulls", "fit_pulls", "no_pulls"]

_CHOICES = 16  # patterns that a row is compared with, its own among them
_ROUNDS = 12
_PRIOR = 3.0  # rows' worth of no pull
_MOST = 1.5


class Pulls(NamedTuple):
    """As ``Tables`` hold them, ``P`` each."""

    place: NDArray[np.int16]
    child: NDArray[np.uint8]
    amount: NDArray[np.int16]


class Apart(NamedTuple):
    """Real patterns: contexts ``(r, L)``, hits ``(r, m)``, trees' buckets ``(r,)``."""

    context: NDArray[np.int16]
    hit: NDArray[np.bool_]
    bucket: NDArray[np.integer]


def no_pulls() -> Pulls:
    """None."""
    return Pulls(np.zeros(0, np.int16), np.zeros(0, np.uint8), np.zeros(0, np.int16))


def fit_pulls(
    apart: Apart,
    hit: NDArray[np.bool_],
    forest: Forest,
    touch: Sequence[tuple[int, int, int]],
    *,
    rng: np.random.Generator,
) -> Pulls:
    """Fit a conditional logit: in a leaf, a pattern's probability goes with exp(sum of pulls on its hits).

    Every real pattern is compared with others of its leaf, which stand for what the leaf would draw
    (D. McFadden, *Modelling the choice of residential location*, 1978: sampling of alternatives).

    Args:
        apart: Real patterns that no tree was grown on: trees fit those that they were grown on too well.
        hit: Those that they were grown on, ``(n, m)``.
        forest: The trees.
        touch: As of ``Table``.
        rng: Draws the alternatives.
    """
    if not touch or not len(apart.hit):
        return no_pulls()
    place, child, way = (np.array(column) for column in zip(*touch, strict=True))
    number = np.searchsorted(TOUCHES, way)
    reached = np.zeros((len(apart.hit), len(TOUCHES), hit.shape[1]), np.float32)
    pulling = (apart.context > 0)[:, place]
    for entry in range(len(place)):
        reached[:, number[entry], child[entry]] += pulling[:, entry]
    choices = np.concatenate([apart.hit[:, None], hit[_others(forest, apart, rng)]], axis=1)
    terms = np.einsum("rwm,rcm->rcw", reached, choices.astype(np.float32))
    amount = np.round(ENERGY_UNIT * _logit(terms)).astype(np.int16)[number]
    some = amount != 0
    return Pulls(place[some].astype(np.int16), child[some].astype(np.uint8), amount[some])


def _others(forest: Forest, apart: Apart, rng: np.random.Generator) -> NDArray[np.int64]:
    """Rows of the leaves of patterns that were held apart, ``(r, _CHOICES - 1)``."""
    leaf = forest.leaves(apart.context, apart.bucket)
    count = forest.count[leaf].astype(np.int64)
    which = rng.integers(count[:, None], size=(len(leaf), _CHOICES - 1))
    rows: NDArray[np.int64] = forest.order[forest.start[leaf].astype(np.int64)[:, None] + which]
    return rows


def _logit(terms: NDArray[np.float32]) -> NDArray[np.float64]:
    """Maximum of the likelihood of the first choice with a prior of no pulls, by Newton's steps.

    Args:
        terms: ``(r, choices, ways)``.
    """
    ways = terms.shape[2]
    pull = np.zeros(ways)
    for _ in range(_ROUNDS):
        weight = np.exp(terms @ pull)
        weight /= weight.sum(axis=1, keepdims=True)
        mean = np.einsum("rc,rcw->rw", weight, terms)
        slope = (terms[:, 0] - mean).sum(axis=0, dtype=np.float64) - _PRIOR * pull
        square = np.einsum("rc,rcv,rcw->vw", weight, terms, terms, optimize=True) - mean.T @ mean
        pull = np.clip(pull + np.linalg.solve(square + _PRIOR * np.eye(ways), slope), -_MOST, _MOST)
    return pull
