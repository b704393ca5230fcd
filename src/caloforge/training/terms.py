"""The terms of the losses between two lines of the log."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

__all__ = ["Terms"]


class Terms:
    """Collects what every step says, and averages it.

    Attributes:
        values: Every term of every step, by name.
        latest: The last loss.
    """

    def __init__(self) -> None:
        self.values: dict[str, list[float]] = {}
        self.latest = math.nan

    def add(self, terms: Mapping[str, Tensor], *, prefix: str = "") -> None:
        """Note the terms of a step, their names behind ``prefix``."""
        for name, value in terms.items():
            self.values.setdefault(f"{prefix}{name}", []).append(float(value.detach()))
        self.latest = self.values[f"{prefix}loss"][-1]

    def means(self) -> dict[str, float]:
        """Means over the steps since they were cleared."""
        return {name: sum(values) / len(values) for name, values in self.values.items()}

    def clear(self) -> None:
        """Start anew."""
        self.values.clear()
