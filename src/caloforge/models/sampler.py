"""What generates showers: all that a simulator asks of a model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from caloforge.geometry import Geometry
    from caloforge.models.config import ModelConfig
    from caloforge.showers import Incident, Showers

__all__ = ["Sampler"]


class Sampler(Protocol):
    """A trained model, or the part of one that generates."""

    @property
    def name(self) -> str:
        """Registered name."""
        ...

    @property
    def trains_on(self) -> Literal["points", "cells"]:
        """What it has learnt to make."""
        ...

    @property
    def config(self) -> ModelConfig:
        """Its sizes."""
        ...

    @property
    def geometry(self) -> Geometry:
        """The read-out."""
        ...

    @property
    def learnt_numbers(self) -> int:
        """How many parameters there are."""
        ...

    @property
    def stored_numbers(self) -> int:
        """Numbers of data that it draws from, which are no parameters."""
        ...

    def work_on(self, device: str, *, threads: int) -> None:
        """Say where it works, see ``caloforge.devices.find_device``."""
        ...

    def draw(self, incident: Incident, index: NDArray[np.int64], *, seed: int) -> Showers:
        """Generate one shower per particle, of points or of cells; no threshold is applied.

        Args:
            incident: The particles.
            index: Global indices of the showers, ``(B,)``.
            seed: Shower ``i`` depends on (seed, index) alone.
        """
        ...
