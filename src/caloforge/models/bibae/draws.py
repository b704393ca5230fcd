"""Random numbers of showers: of one generator in training, of a stream per shower in sampling."""

from __future__ import annotations

from typing import TYPE_CHECKING

from caloforge import shares

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from caloforge.models.base import Noise

__all__ = ["Drawing", "Streamed"]


class Drawing:
    """Numbers of one generator, in the order in which they are asked for.

    Args:
        rng: The generator.
        count: Showers.
    """

    def __init__(self, rng: torch.Generator, count: int) -> None:
        self.rng, self._count = rng, count

    def normal(self, name: str, width: int) -> Tensor:  # noqa: ARG002
        """Standard normal numbers ``(B, width)``."""
        return shares.normal((self._count, width), self.rng, device=self.rng.device)

    def uniform(self, name: str, width: int) -> Tensor:  # noqa: ARG002
        """Numbers in [0, 1), ``(B, width)``."""
        return shares.uniform((self._count, width), self.rng, device=self.rng.device)


class Streamed:
    """Numbers that depend on the seed, the shower and the name alone.

    Args:
        noise: A sampler's.
    """

    def __init__(self, noise: Noise) -> None:
        self._noise = noise

    def normal(self, name: str, width: int) -> Tensor:
        """Standard normal numbers ``(B, width)`` of the sub-stream ``name``."""
        return self._noise.normal(name, 1, width)

    def uniform(self, name: str, width: int) -> Tensor:
        """Numbers in (0, 1), float64, ``(B, width)``."""
        return self._noise.uniform(name, 1, width)
