"""The terms of the losses between two lines of the log."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

__all__ = ["Terms"]


class Terms:
    """Collects what every step says, and averages it; the device is asked when numbers are needed."""

    def __init__(self) -> None:
        self._values: dict[str, list[float]] = {}
        self._waiting: dict[str, list[Tensor]] = {}
        self._latest: Tensor | None = None

    @property
    def values(self) -> dict[str, list[float]]:
        """Every term of every step, by name."""
        for name, waiting in self._waiting.items():
            self._values.setdefault(name, []).extend(torch.stack(waiting).tolist())
        self._waiting.clear()
        return self._values

    @values.setter
    def values(self, values: dict[str, list[float]]) -> None:
        self._values = values
        self._waiting.clear()

    @property
    def latest(self) -> float:
        """The last loss."""
        return math.nan if self._latest is None else float(self._latest)

    def add(self, terms: Mapping[str, Tensor], *, prefix: str = "") -> None:
        """Note the terms of a step, their names behind ``prefix``."""
        for name, value in terms.items():
            self._waiting.setdefault(f"{prefix}{name}", []).append(value.detach())
        self._latest = terms["loss"].detach()

    def means(self) -> dict[str, float]:
        """Means over the steps since they were cleared."""
        return {name: sum(values) / len(values) for name, values in self.values.items()}

    def clear(self) -> None:
        """Start anew."""
        self.values = {}
