"""What is random in training: the showers of a step, and its random numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Draws"]


class Draws:
    """Random numbers by (seed, purpose, number): a resumed run draws those of an uninterrupted one.

    They do not know of processes that train together: all draw what one would, and each takes its share.

    Args:
        seed: The run's seed.
    """

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._orders: dict[str, tuple[int, NDArray[np.int64]]] = {}

    def numpy(self, purpose: str, number: int) -> np.random.Generator:
        """The numpy generator of a step."""
        return _generator([self._seed, *purpose.encode(), number, 0])  # not as an epoch's

    def torch(self, purpose: str, number: int, *, device: torch.device | str) -> torch.Generator:
        """The torch generator of a step."""
        seed = int(self.numpy(f"torch {purpose}", number).integers(2**63))
        return torch.Generator(device=device).manual_seed(seed)

    def rows(self, rows: NDArray[np.int64], purpose: str, number: int, size: int) -> NDArray[np.int64]:
        """Draw number ``number`` of ``size`` of the ``rows``: every epoch is a new permutation.

        Args:
            rows: What is drawn from, always the same for a purpose.
            purpose: What for.
            number: Counts the draws from 0.
            size: Rows of a draw; all, where there are fewer.

        Returns:
            The rows, rising.
        """
        size = min(size, len(rows))
        per_epoch = max(1, len(rows) // size)
        epoch, place = divmod(number, per_epoch)
        start = place * size
        return np.sort(self._order(rows, purpose, epoch)[start : start + size])

    def _order(self, rows: NDArray[np.int64], purpose: str, epoch: int) -> NDArray[np.int64]:
        """The permutation of an epoch, made once."""
        known = self._orders.get(purpose)
        if known is None or known[0] != epoch or len(known[1]) != len(rows):
            order = _generator([self._seed, *purpose.encode(), epoch]).permutation(rows)
            known = self._orders[purpose] = (epoch, order)
        return known[1]


def _generator(words: list[int]) -> np.random.Generator:
    return np.random.Generator(np.random.Philox(np.random.SeedSequence(words)))
