"""The source of a sampler's random numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from caloforge.streams import Streams

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

__all__ = ["StreamNoise"]


class StreamNoise:
    """Numbers that depend on (seed, shower) alone; see ``caloforge.streams``.

    Args:
        seed: The user's seed.
        shower: Global indices of the showers, ``(B,)``.
        device: Where the tensors go.
    """

    def __init__(self, seed: int, shower: NDArray[np.integer], *, device: str | torch.device = "cpu") -> None:
        self._streams = Streams(seed, shower)
        self._device = device

    def normal(self, stage: str, counts: Tensor | int, width: int) -> Tensor:
        """Standard normal numbers, ``(sum of counts, width)``, for the sub-stream ``stage``."""
        lengths = counts if isinstance(counts, int) else counts.cpu().numpy()
        return torch.from_numpy(self._streams.normal(stage, lengths, width=width)).to(self._device)

    def uniform(self, stage: str, counts: Tensor | int, width: int) -> Tensor:
        """Numbers in (0, 1), float64, ``(sum of counts, width)``, for the sub-stream ``stage``."""
        lengths = counts if isinstance(counts, int) else counts.cpu().numpy()
        return torch.from_numpy(self._streams.uniform(stage, lengths, width=width)).to(self._device)

    def keys(self, stage: str) -> NDArray[np.uint64]:
        """One whole number of 64 bits a shower, ``(B,)``, for the sub-stream ``stage``."""
        return self._streams.keys(stage)
