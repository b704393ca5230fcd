"""Real residuals, sorted into the leaves of a tree by what they were seen with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

__all__ = ["Donors"]

_SPREAD_WEIGHT = 0.7  # of how wide residuals are, beside where they lie, in the choice of a cut
_TINY = 1e-9


class Donors(nn.Module):
    """A regression tree whose leaves keep the residuals that fell into them.

    It is a distributional tree (arXiv:2005.14458 has forests of such): a leaf is a sample of the
    conditional distribution, whatever its shape; columns of one donor belong together. A residual
    that could not be seen (NaN) stays unknown in the donor.

    Args:
        terms: Numbers that the tree asks for.
        columns: Columns of a residual, ``D``.
        leaves: Most leaves.
        size: Most donors, no fewer than leaves.
        leaf: Fewest training rows of a leaf.
    """

    feature: Tensor
    cut: Tensor
    below: Tensor
    depth: Tensor
    first: Tensor
    number: Tensor
    residual: Tensor
    seen: Tensor

    def __init__(self, terms: int, columns: int, *, leaves: int, size: int, leaf: int) -> None:
        super().__init__()
        self.terms, self.leaves, self.leaf = terms, leaves, leaf
        nodes = 2 * leaves - 1
        self.register_buffer("feature", torch.zeros(nodes, dtype=torch.int16))
        self.register_buffer("cut", torch.zeros(nodes, dtype=torch.float32))
        self.register_buffer("below", torch.zeros(nodes, 2, dtype=torch.int16))
        self.register_buffer("depth", torch.zeros((), dtype=torch.int32))
        self.register_buffer("first", torch.zeros(nodes, dtype=torch.int32))
        self.register_buffer("number", torch.ones(nodes, dtype=torch.int32))
        self.register_buffer("residual", torch.zeros(size, columns, dtype=torch.float16))
        self.register_buffer("seen", torch.zeros(size, columns, dtype=torch.bool))

    def fit(self, terms: Tensor, residual: Tensor, rng: torch.Generator) -> None:
        """Grow the tree; arguments ``(N, terms)`` and ``(N, D)``, NaN for what could not be seen."""
        from sklearn.tree import DecisionTreeRegressor

        x, target = terms.cpu().float().numpy(), _targets(residual.cpu().numpy())
        tree = DecisionTreeRegressor(
            min_samples_leaf=self.leaf, max_leaf_nodes=max(2, self.leaves), random_state=0
        )
        tree.fit(x, target)
        self._keep_tree(tree.tree_)
        leaf, order = tree.apply(x), torch.randperm(len(x), generator=rng).numpy()
        # one of every leaf first: every walk must end at a donor
        first = np.unique(leaf[order], return_index=True)[1]
        order = np.concatenate([order[first], np.delete(order, first)])[: len(self.residual)]
        self._keep_donors(leaf[order], residual.cpu().numpy()[order])

    def forward(self, terms: Tensor, uniform: Tensor) -> Tensor:
        """Draw residuals ``(N, D)`` float64 or NaN for ``terms`` ``(N, T)`` with ``uniform`` ``(N,)``."""
        terms = terms.to(torch.float32)
        node = self._leaf_in_graph(terms) if torch.compiler.is_compiling() else self._leaf_of(terms)
        number = self.number[node]
        row = (self.first[node] + (uniform * number).to(torch.int32).clamp(max=number - 1)).long()
        return self.residual[row].double().where(self.seen[row], torch.nan)

    def _leaf_of(self, terms: Tensor) -> Tensor:
        node = torch.zeros(terms.shape[0], dtype=torch.int64, device=terms.device)
        for _ in range(int(self.depth)):
            asked = self.feature[node].long()
            right = terms.gather(1, asked[:, None])[:, 0] > self.cut[node]
            node = self.below[node, right.long()].long()
        return node

    def _leaf_in_graph(self, terms: Tensor) -> Tensor:
        """The same of all nodes at once: every node's next one, then the next of that, by doubling.

        A dozen operators in place of half a dozen for every step: graphs take long to make.
        """
        right = terms[:, self.feature.long()] > self.cut
        below = self.below.long()
        node = torch.where(right, below[:, 1], below[:, 0])
        for _ in range(max(0, int(self.depth) - 1).bit_length()):
            node = node.gather(1, node)  # leaves lead to themselves
        return node[:, 0]

    def _keep_tree(self, tree: Any) -> None:
        self.depth.fill_(tree.max_depth)
        own = np.arange(tree.node_count)
        inner = tree.children_left >= 0
        below = np.where(inner[:, None], np.stack([tree.children_left, tree.children_right], 1), own[:, None])
        for buffer, values in (
            (self.feature, np.where(inner, tree.feature, 0)),
            (self.cut, np.where(inner, tree.threshold, 0.0)),
            (self.below, below),
        ):
            buffer[: len(values)] = torch.from_numpy(values).to(buffer)

    def _keep_donors(self, leaf: NDArray[np.int64], residual: NDArray[np.float64]) -> None:
        order = np.argsort(leaf, kind="stable")
        number = np.bincount(leaf, minlength=len(self.number))
        self.number.copy_(torch.from_numpy(number))
        self.first.copy_(torch.from_numpy(np.cumsum(number) - number))
        ordered = torch.from_numpy(residual[order])
        self.seen[: len(order)] = ~ordered.isnan()
        self.residual[: len(order)] = ordered.nan_to_num(0.0).to(self.residual)


def _targets(residual: NDArray[np.float64]) -> NDArray[np.float64]:
    """What cuts are chosen by: where residuals lie, and how wide they are."""
    known = np.nan_to_num(residual)
    known = known / (np.sqrt((known**2).mean(0)) + _TINY)
    return np.concatenate([known, _SPREAD_WEIGHT * np.abs(known)], axis=1)
