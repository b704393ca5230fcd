"""What fitting learns from: steps of real showers, and trees on their contexts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["Samples", "Tree"]


@dataclass(frozen=True, eq=False)
class Samples:
    """Steps of real showers that use one table: ``n`` steps, ``L`` places of context, ``m`` children.

    Attributes:
        context: Codes, ``(n, L)`` int16.
        hits: Of the parents, ``(n,)`` int32.
        excess: Energies above threshold of the parents [MeV], ``(n,)`` float32.
        child_hits: ``(n, m)`` int32.
        child_excess: Energies above threshold [MeV], ``(n, m)`` float32.
    """

    context: NDArray[np.int16]
    hits: NDArray[np.int32]
    excess: NDArray[np.float32]
    child_hits: NDArray[np.int32]
    child_excess: NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Tree:
    """A tree as ``Tables`` hold them, ``V`` nodes.

    Attributes:
        feature: Column of the context, -1 for a leaf, ``(V,)`` int16.
        limit: Codes up to it go to ``kid``, those above to ``kid + 1``, ``(V,)`` int16.
        kid: ``(V,)`` int32, after its parent.
        start: Where a node's rows begin in ``order``, ``(V,)`` int32.
        count: How many rows a node has, ``(V,)`` int32.
        order: The rows that the tree was grown on, leaf after leaf, ``(n,)`` int32.
    """

    feature: NDArray[np.int16]
    limit: NDArray[np.int16]
    kid: NDArray[np.int32]
    start: NDArray[np.int32]
    count: NDArray[np.int32]
    order: NDArray[np.int32]
