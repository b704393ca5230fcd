"""What a model's sampler asks of its random numbers, and these numbers as inputs of a graph."""

from __future__ import annotations

import copy
import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Self

import torch

from caloforge.nn.sets import same_size

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    from caloforge.models.base import Noise

__all__ = ["GivenNoise", "NoisePort", "RecordedNoise", "ReplayedNoise", "VectorNoise"]

Kind = Literal["normal", "uniform"]
_ROOM = 1.5


@dataclass(frozen=True)
class NoisePort:
    """An input of random numbers.

    Attributes:
        stream: The sub-stream that the sampler draws from.
        kind: ``normal`` (float32), or ``uniform`` in (0, 1) (float64).
        width: Numbers in a row.
        fixed: Whether every shower has one row; otherwise the graph says how many.
    """

    stream: str
    kind: Kind
    width: int
    fixed: bool

    @property
    def name(self) -> str:
        """Of the graph's input."""
        return _name_of(self.stream)

    @property
    def dtype(self) -> torch.dtype:
        """Of its tensors."""
        return torch.float32 if self.kind == "normal" else torch.float64


class RecordedNoise:
    """Draws as another source does, and remembers what was asked for.

    Attributes:
        ports: The requests, in order.
        tensors: What was drawn for them, by name.
    """

    def __init__(self, source: Noise) -> None:
        self._source = source
        self.ports: list[NoisePort] = []
        self.tensors: dict[str, Tensor] = {}

    def normal(self, stage: str, counts: Tensor | int, width: int) -> Tensor:
        """As of ``Noise``."""
        return self._keep("normal", stage, counts, width, self._source.normal(stage, counts, width))

    def uniform(self, stage: str, counts: Tensor | int, width: int) -> Tensor:
        """As of ``Noise``."""
        return self._keep("uniform", stage, counts, width, self._source.uniform(stage, counts, width))

    def keys(self, stage: str) -> NDArray[np.uint64]:
        """Not to be had: a graph takes tensors of random numbers."""
        raise NotImplementedError(stage)

    def _keep(self, kind: Kind, stage: str, counts: Tensor | int, width: int, drawn: Tensor) -> Tensor:
        port = NoisePort(stage, kind, width, fixed=isinstance(counts, int))
        self.ports.append(port)
        self.tensors[port.name] = drawn
        return drawn


class GivenNoise:
    """Hands out given tensors, while a sampler is traced.

    Attributes:
        counts: Rows per shower that were asked for where the data decide on them, by stream.
    """

    def __init__(self, tensors: Mapping[str, Tensor]) -> None:
        self._tensors = tensors
        self.counts: dict[str, Tensor] = {}

    def normal(self, stage: str, counts: Tensor | int, width: int) -> Tensor:  # noqa: ARG002
        """As of ``Noise``."""
        drawn = self._tensors[stage]
        if not isinstance(counts, int):
            self.counts[stage] = counts
            same_size(drawn.shape[0], counts.sum().item())
        return drawn

    uniform = normal

    def keys(self, stage: str) -> NDArray[np.uint64]:
        """Not to be had."""
        raise NotImplementedError(stage)


class ReplayedNoise:
    """Hands out again what was drawn before, as fast as can be.

    Args:
        recorded: Of the same sampler and particles.
    """

    def __init__(self, recorded: RecordedNoise) -> None:
        self._tensors = recorded.tensors

    def normal(self, stage: str, counts: Tensor | int, width: int) -> Tensor:  # noqa: ARG002
        """As of ``Noise``."""
        return self._tensors[_name_of(stage)]

    uniform = normal

    def keys(self, stage: str) -> NDArray[np.uint64]:
        """Not to be had."""
        raise NotImplementedError(stage)


class VectorNoise:
    """Takes all random numbers from one vector of standard normal ones, one request behind the other.

    Args:
        recorded: What a shower asked for that has many hits: there is room for half as much again. Rows
            beyond it are the first ones again.

    Attributes:
        size: Numbers in the vector.
    """

    def __init__(self, recorded: RecordedNoise) -> None:
        self._places: dict[str, tuple[int, int, NoisePort]] = {}
        self.size = 0
        for port in recorded.ports:
            drawn = recorded.tensors[port.name].shape[0]
            rows = 1 if port.fixed else math.ceil(_ROOM * drawn)
            self._places[port.stream] = (self.size, rows, port)
            self.size += rows * port.width
        self._vector = torch.zeros(0)

    def of(self, vector: Tensor) -> Self:
        """The numbers of a vector ``(size,)``."""
        other = copy.copy(self)
        other._vector = vector
        return other

    def normal(self, stage: str, counts: Tensor | int, width: int) -> Tensor:
        """As of ``Noise``."""
        start, rows, port = self._places[stage]
        drawn = self._vector[start : start + rows * width].reshape(rows, width)
        if port.fixed or isinstance(counts, int):
            return drawn
        return drawn[torch.arange(int(counts.sum())) % rows]

    def uniform(self, stage: str, counts: Tensor | int, width: int) -> Tensor:
        """As of ``Noise``."""
        drawn: Tensor = torch.special.ndtr(self.normal(stage, counts, width).double())
        return drawn

    def keys(self, stage: str) -> NDArray[np.uint64]:
        """Not to be had."""
        raise NotImplementedError(stage)


def _name_of(stream: str) -> str:
    return "noise_" + re.sub(r"\W+", "_", stream)
