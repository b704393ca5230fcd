"""Real showers that a baseline draws from, ranked by their incident energy."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from caloforge.errors import DataError
from caloforge.showers import Showers

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from numpy.typing import NDArray

__all__ = ["NEIGHBOURS", "gather", "nearest"]

NEIGHBOURS = 40  # showers of nearly the same energy that points or cells are drawn from


def gather(
    blocks: Iterable[Showers], *, path: Path, least: int
) -> tuple[Showers, NDArray[np.float64], NDArray[np.int64]]:
    """Join the blocks of a pool.

    Args:
        blocks: Showers of the pool.
        path: Its file, for the error.
        least: Showers that it must have.

    Returns:
        The showers, their incident energies in rising order ``(N,)``, and the rank in that order of
        the shower of every hit ``(H,)``.

    Raises:
        DataError: There are fewer showers than ``least``.
    """
    showers = Showers.concatenate(list(blocks))
    if len(showers) < least:
        msg = f"The pool {path} has {len(showers)} showers, the baseline needs {least}."
        raise DataError(msg)
    order = np.argsort(showers.incident.energy, kind="stable")
    rank = np.empty_like(order)
    rank[order] = np.arange(len(order))
    return showers, showers.incident.energy[order], rank[showers.shower]


def nearest(pool: NDArray[np.float64], energy: NDArray[np.float64], neighbours: int) -> NDArray[np.int64]:
    """Rank of the first of the ``neighbours`` showers of a pool that are nearest to energies ``(...)``.

    Args:
        pool: Incident energies in rising order.
        energy: Those looked for.
        neighbours: How many, half of them below.
    """
    middle = np.searchsorted(pool, energy)
    lowest: NDArray[np.int64] = np.clip(middle - neighbours // 2, 0, len(pool) - neighbours)
    return lowest
