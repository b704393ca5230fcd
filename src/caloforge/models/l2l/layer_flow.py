"""What a flow of the cells of a layer is asked, and what it is told."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["LayerFlow", "Seen"]


@dataclass(frozen=True)
class Seen:
    """What is known before a layer is drawn, a row a layer of a shower.

    Attributes:
        cells: Numbers of the cells of the layers in front, the farthest first, ``(R, N)``.
        scalars: Of the particle, of this layer and of those in front, ``(R, S)``; the layer's own, and the
            particle's, come first.
        place: Number of the layer, ``(R,)`` int64.
    """

    cells: Tensor
    scalars: Tensor
    place: Tensor

    def repeated(self, count: int) -> Seen:
        """Every row so many times."""
        every = (self.cells, self.scalars, self.place)
        return Seen(*(values.repeat_interleave(count, 0) for values in every)) if count > 1 else self


class LayerFlow(Protocol):
    """A flow of the cells of one layer."""

    def start(self, x: Tensor, seen: Seen) -> None:
        """Fit scales that a first batch decides, unless they came with weights."""
        ...

    def log_prob(self, x: Tensor, seen: Seen) -> Tensor:
        """Log-densities ``(R,)`` of numbers of cells ``(R, n)``."""
        ...

    def sample(self, noise: Tensor, seen: Seen) -> Tensor:
        """Numbers of cells ``(R, n)`` out of standard normal noise ``(R, n)``."""
        ...
