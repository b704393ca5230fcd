"""Runs of different lengths on end."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

__all__ = ["firsts"]


def firsts(lengths: Sequence[int] | NDArray[np.integer]) -> NDArray[np.int32]:
    """Where each begins, and where the last one ends, ``(n + 1,)``."""
    return np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)]).astype(np.int32)
