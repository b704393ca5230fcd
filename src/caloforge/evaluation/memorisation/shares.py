"""Shares of what showers have, with errors that know that what one shower has goes together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Counted"]


@dataclass(frozen=True)
class Counted:
    """How many things every shower has, and how many of them are counted, ``(n,)`` each."""

    things: NDArray[np.floating]
    counted: NDArray[np.floating]

    @property
    def share(self) -> float:
        """Of all things; not a number when there are none."""
        total = float(self.things.sum())
        return float(self.counted.sum()) / total if total else float("nan")

    @property
    def error(self) -> float:
        """From the spread over the showers, and at least that of one thing more; infinite without any."""
        total = float(self.things.sum())
        if not total:
            return float("inf")
        off = self.counted - self.share * self.things
        return float(max(np.sqrt(np.square(off).sum()), 1.0)) / total
