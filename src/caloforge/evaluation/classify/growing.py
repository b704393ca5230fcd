"""A tree of boosted trees on binned inputs: grown by the compiled engine, or in numpy, which specifies it.

The leaf with the largest gain is divided first; histograms of the larger one of two kids are what the smaller
one leaves of their parent's (LightGBM, Ke et al., NeurIPS 2017; gains as of equation 7 of arXiv:1603.02754).
"""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

__all__ = ["ENGINE", "Growth", "Table", "Tree", "grow", "grow_in_numpy"]

ENGINE = "CALOFORGE_TREES_ENGINE"
"""Environment variable: ``numpy`` leaves the compiled engine out."""

_TINY = 1e-15

log = logging.getLogger(__name__)


class Table(NamedTuple):
    """What a tree grows on.

    Attributes:
        bins: Of the inputs, ``(F, n)`` uint8.
        used: Bins of every input, ``(F,)`` int32.
        gradient: Of the loss at every row, ``(n,)`` float32.
        hessian: The same, ``(n,)`` float32.
    """

    bins: NDArray[np.uint8]
    used: NDArray[np.int32]
    gradient: NDArray[np.float32]
    hessian: NDArray[np.float32]


class Growth(NamedTuple):
    """How a tree grows.

    Attributes:
        width: Bins of an input at most.
        leaves: Leaves at most.
        fewest: Rows of a leaf at least.
        curvature: Sum of the hessians of a leaf at least.
    """

    width: int
    leaves: int
    fewest: int = 20
    curvature: float = 1e-3


class Tree(NamedTuple):
    """A tree; node 0 is the root, of a node's two kids the second follows the first.

    Attributes:
        column: Input that a node asks for, -1 in a leaf, ``(nodes,)`` int32.
        bin: Rows up to this bin go to the first kid, ``(nodes,)`` int32.
        kid: The first one, ``(nodes,)`` int32.
        value: Newton's step of a node, ``(nodes,)``.
        leaf: Of every row that it grew on, ``(n,)`` int32.
        looked: Nodes that a cut was looked for in.
    """

    column: NDArray[np.int32]
    bin: NDArray[np.int32]
    kid: NDArray[np.int32]
    value: NDArray[np.float64]
    leaf: NDArray[np.int32]
    looked: int

    def leaf_of(self, bins: NDArray[np.uint8]) -> NDArray[np.intp]:
        """The leaves of other rows ``(F, m)``."""
        node, rows = np.zeros(bins.shape[1], np.intp), np.arange(bins.shape[1])
        while len(rows := rows[self.column[node[rows]] >= 0]):
            at = node[rows]
            node[rows] = self.kid[at] + (bins[self.column[at], rows] > self.bin[at])
        return node


def grow(table: Table, masks: NDArray[np.bool_], growth: Growth) -> Tree:
    """Grow a tree, with the compiled engine where there is one; arguments as of ``grow_in_numpy``."""
    compiled = _compiled()
    if compiled is None:
        return grow_in_numpy(table, masks, growth)
    return Tree(*compiled(*table, masks.view(np.uint8), *growth))


def _compiled() -> Callable[..., tuple[Any, ...]] | None:
    if os.environ.get(ENGINE) == "numpy":
        return None
    try:
        engine = import_module("caloforge._engine")
    except ImportError:
        return None
    found: Callable[..., tuple[Any, ...]] | None = getattr(engine, "boost_tree", None)
    if found is None:
        _say_old()
    return found


@cache
def _say_old() -> None:
    """Once a process."""
    log.warning("The compiled engine is older than the package, trees grow in numpy: run `make venv`.")


def grow_in_numpy(table: Table, masks: NDArray[np.bool_], growth: Growth) -> Tree:
    """Grow a tree.

    Args:
        table: What it grows on.
        masks: Inputs that the nodes look at, in the order in which they look, ``(2 leaves - 1, F)``.
        growth: How it grows.
    """
    grower = _Grower(table, masks, growth)
    leaves = 1
    while leaves < growth.leaves and (node := grower.best()) >= 0:
        leaves += 1
        grower.divide(node, more=leaves < growth.leaves)
    return grower.tree()


@dataclass
class _Node:
    """Rows, their sums of gradients, hessians and numbers, and the best cut."""

    rows: NDArray[np.intp]
    sums: NDArray[np.float64]
    value: float
    gain: float = 0.0
    column: int = -1
    bin: int = 0
    left: NDArray[np.float64] | None = None
    histogram: NDArray[np.float64] | None = None
    kid: int = 0


class _Grower:
    def __init__(self, table: Table, masks: NDArray[np.bool_], growth: Growth) -> None:
        self.table, self.masks, self.growth, self.looked = table, masks, growth, 0
        self.inner = np.arange(growth.width) < table.used[:, None] - 1  # bins that a cut can follow
        self.shift = np.arange(len(table.bins))[:, None] * growth.width
        root = _Node(np.arange(table.bins.shape[1]), np.zeros(3), 0.0)
        root.histogram = self.count(root)
        root.sums = np.cumsum(root.histogram[:, 0], axis=1)[:, -1]
        self.nodes = [root]
        if self.splits(root) and root.sums[1] >= growth.curvature:
            self.look(root)

    def splits(self, node: _Node) -> bool:
        return len(node.rows) >= 2 * self.growth.fewest

    def best(self) -> int:
        gains = [0.0 if node.kid else node.gain for node in self.nodes]
        found = int(np.argmax(gains))
        return found if gains[found] > 0 else -1

    def count(self, node: _Node) -> NDArray[np.float64]:
        """Histograms ``(3, F, bins)`` of gradients, hessians and numbers; sums in the order of the rows."""
        columns, rows = len(self.table.bins), node.rows
        place = (self.table.bins[:, rows] + self.shift).ravel()
        size, shape = columns * self.growth.width, (columns, self.growth.width)
        weights = (np.tile(values[rows], columns) for values in (self.table.gradient, self.table.hessian))
        sums = [np.bincount(place, weights=weight, minlength=size) for weight in weights]
        return np.stack([*sums, np.bincount(place, minlength=size)]).reshape(3, *shape)

    def look(self, node: _Node) -> None:
        """Find the best cut of a node."""
        chosen = np.flatnonzero(self.masks[self.looked])
        self.looked += 1
        assert node.histogram is not None
        left = np.cumsum(node.histogram[:, chosen], axis=2)
        right = node.sums[:, None, None] - left
        gain = node.sums[0] * node.value - left[0] * _value(left) - right[0] * _value(right)
        fits = self.inner[chosen] & (np.minimum(left[2], right[2]) >= self.growth.fewest)
        fits &= np.minimum(left[1], right[1]) >= self.growth.curvature
        gain = np.where(fits, gain, 0.0)
        row, column = divmod(int(np.argmax(gain)), self.growth.width)
        if gain[row, column] > 0:
            node.gain, node.column, node.bin = float(gain[row, column]), int(chosen[row]), column
            node.left = left[:, row, column].copy()

    def divide(self, number: int, *, more: bool) -> None:
        """Cut a node; ``more`` says whether its kids may be cut."""
        node = self.nodes[number]
        assert node.left is not None
        below = self.table.bins[node.column, node.rows] <= node.bin
        parts = ((node.rows[below], node.left), (node.rows[~below], node.sums - node.left))
        kids = [_Node(rows, sums, float(_value(sums))) for rows, sums in parts]
        node.kid = len(self.nodes)
        self.nodes += kids
        if more and any(map(self.splits, kids)):
            small, large = kids if len(kids[0].rows) < len(kids[1].rows) else kids[::-1]
            small.histogram = self.count(small)
            assert node.histogram is not None
            large.histogram = node.histogram - small.histogram
            for kid in filter(self.splits, kids):
                self.look(kid)
        node.histogram = None

    def tree(self) -> Tree:
        """The tree as arrays."""
        columns = [(n.column if n.kid else -1, n.bin if n.kid else 0, n.kid) for n in self.nodes]
        column, cut, kid = np.array(columns, np.int32).T.copy()
        leaf = np.empty(self.table.bins.shape[1], np.int32)
        for number, node in enumerate(self.nodes):
            if not node.kid:
                leaf[node.rows] = number
        return Tree(column, cut, kid, np.array([n.value for n in self.nodes]), leaf, self.looked)


def _value(sums: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(-sums[0] / (sums[1] + _TINY))
