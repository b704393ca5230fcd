"""Two samples to compare, and the frame that all comparisons of one evaluation share."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np

from caloforge.evaluation.histograms import resample
from caloforge.geometry.challenge import known_set

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from caloforge.evaluation.memorisation.training import Training
    from caloforge.features import Binning, CellStore, FeatureTable
    from caloforge.geometry import Geometry
    from caloforge.geometry.challenge import DataSet

__all__ = ["LEVELS", "Frame", "Level", "Observed", "Pair"]

Level = Literal["quick", "fast", "standard", "official"]
LEVELS: tuple[Level, ...] = get_args(Level)


@dataclass(frozen=True)
class Frame:
    """What all comparisons of one evaluation share.

    Attributes:
        geometry: The read-out.
        binning: Bins derived from the reference.
        reference: All showers of the reference: windows and scales come from them.
        seed: Of all random choices.
        level: How much work is asked for. "official" wants the CaloChallenge's own sizes and
            precision, the others what fits the number of showers; "quick" has boosted trees alone.
        device: Where networks are trained, see ``caloforge.devices.find_device``.
        workers: Trainings at once, by default one a core; numbers do not depend on it.
        training: The showers that models were trained on, for what asks whether they are copied.
    """

    geometry: Geometry
    binning: Binning
    reference: FeatureTable
    seed: int
    level: Level = "standard"
    device: str = "cpu"
    workers: int | None = None
    training: Training | None = None

    @cached_property
    def challenge(self) -> DataSet | None:
        """The CaloChallenge's data set that the reference is like, whose bins are then used."""
        return known_set(self.geometry, self.reference["energy"])

    def rng(self, name: str) -> np.random.Generator:
        """Random numbers that depend on the seed and ``name`` alone."""
        return np.random.default_rng([self.seed, *name.encode()])


@dataclass(frozen=True)
class Observed:
    """A sample as metrics see it.

    Attributes:
        table: Features of ``n`` showers.
        cells: Their cells above threshold, when a metric asked for them.
    """

    table: FeatureTable
    cells: CellStore | None = None

    def __len__(self) -> int:
        return len(self.table)

    def select(self, index: slice | NDArray[np.generic]) -> Observed:
        """The showers of a slice, mask or index array."""
        return Observed(self.table.select(index), None if self.cells is None else self.cells.select(index))

    def without_cells(self) -> Observed:
        """Its features alone."""
        return Observed(self.table)


@dataclass(frozen=True)
class Pair:
    """A reference and a generated sample.

    Attributes:
        first: Showers of the reference.
        second: Showers of the model, or other showers of the reference for a floor.
        frame: Shared settings.
        resamples: Bootstrap repetitions for errors; 0 when no error is needed.
        shared: Whether showers ``i`` of both have the same particle (``matching.share_particles``), or
            particles as like as can be for a floor.
        is_floor: Whether both are Geant4's: only the numbers are wanted, not what is told about them.
    """

    first: Observed
    second: Observed
    frame: Frame
    resamples: int = 40
    shared: bool = False
    is_floor: bool = False

    @property
    def reference(self) -> FeatureTable:
        """Features of the reference."""
        return self.first.table

    @property
    def generated(self) -> FeatureTable:
        """Features of the model's showers."""
        return self.second.table

    @property
    def cells(self) -> tuple[CellStore, CellStore]:
        """Cells of the reference and of the model.

        Raises:
            ValueError: The metric is not registered as one that needs cells.
        """
        if self.first.cells is None or self.second.cells is None:
            raise ValueError("A metric that looks at cells must be registered with cells=True.")
        return self.first.cells, self.second.cells

    @property
    def sizes(self) -> tuple[int, int]:
        """Showers of the reference and of the generated sample."""
        return len(self.first), len(self.second)

    def twins(self) -> Pair:
        """As many showers of both, where they share particles: those with the same ones."""
        if not self.shared or self.sizes[0] == self.sizes[1]:
            return self
        both = slice(0, min(self.sizes))
        return replace(self, first=self.first.select(both), second=self.second.select(both))

    def draws(self, rng: np.random.Generator) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """How often each shower is drawn in the resamplings, with replacement: ``(n, R)`` and ``(m, R)``.

        Showers that share a particle are drawn together, so that the particles, which both samples have,
        are no part of the error.
        """
        if not self.shared:
            return resample(self.sizes[0], self.resamples, rng), resample(self.sizes[1], self.resamples, rng)
        common = min(self.sizes)
        twins = resample(common, self.resamples, rng)
        rest = [resample(size - common, self.resamples, rng) for size in self.sizes]
        return np.concatenate([twins, rest[0]]), np.concatenate([twins, rest[1]])
