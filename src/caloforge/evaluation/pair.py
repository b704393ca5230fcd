"""Two samples to compare, and the frame that all comparisons of one evaluation share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from caloforge.features import Binning, FeatureTable
    from caloforge.geometry import Geometry

__all__ = ["Frame", "Pair"]


@dataclass(frozen=True)
class Frame:
    """What all comparisons of one evaluation share.

    Attributes:
        geometry: The read-out.
        binning: Bins derived from the reference.
        reference: All showers of the reference: windows and scales come from them.
        seed: Of all random choices.
    """

    geometry: Geometry
    binning: Binning
    reference: FeatureTable
    seed: int

    def rng(self, name: str) -> np.random.Generator:
        """Random numbers that depend on the seed and ``name`` alone."""
        return np.random.default_rng([self.seed, *name.encode()])


@dataclass(frozen=True)
class Pair:
    """A reference and a generated sample.

    Attributes:
        reference: Showers of the reference.
        generated: Showers of the model, or other showers of the reference for a floor.
        frame: Shared settings.
        resamples: Bootstrap repetitions for errors; 0 when no error is needed.
    """

    reference: FeatureTable
    generated: FeatureTable
    frame: Frame
    resamples: int = 40

    @property
    def sizes(self) -> tuple[int, int]:
        """Showers of the reference and of the generated sample."""
        return len(self.reference), len(self.generated)
