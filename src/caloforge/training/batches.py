"""The batches of a training: which showers, with what of them, on the device."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from caloforge.errors import ConfigError, DataError, bad
from caloforge.training.prefetch import prefetched
from caloforge.units import GEV

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager

    import torch
    from numpy.typing import NDArray

    from caloforge.models import Batch, GenerativeModel, StageConfig
    from caloforge.split import Part
    from caloforge.training.data import TrainingData
    from caloforge.training.draws import Draws

__all__ = ["Batches"]

_PREPARE_SHOWERS = 20_000
_PREPARE_POINTS = 64


class Batches:
    """Assembles what a model is trained on.

    Args:
        data: The showers.
        draws: Which of them, and how they are turned.
        model: It says what it trains on.
        symmetry: Of the showers, as the configuration has it.
        device: Where batches go.
        rank: Number of this process.
        ranks: Processes that share every batch.
    """

    def __init__(
        self,
        data: TrainingData,
        draws: Draws,
        model: GenerativeModel,
        *,
        symmetry: str,
        device: torch.device | str,
        rank: int = 0,
        ranks: int = 1,
    ) -> None:
        self.data, self.draws, self.model = data, draws, model
        self.symmetry, self.device = symmetry, device
        self._rank, self._ranks = rank, ranks
        self._rows: dict[tuple[Part, tuple[float, float] | None], NDArray[np.int64]] = {}

    def sample(self) -> Batch:
        """A sample of the train part that preprocessing is fitted to, on the CPU."""
        rng = self.draws.numpy("prepare", 0)
        rows = self.data.rows("train")
        if len(rows) > _PREPARE_SHOWERS:
            rows = np.sort(rng.choice(rows, _PREPARE_SHOWERS, replace=False))
        return self._assembled(rows, _PREPARE_POINTS, rng)

    def draw(self, part: Part, purpose: str, number: int, config: StageConfig, *, size: int) -> Batch:
        """Batch number ``number`` of a part for a purpose.

        Raises:
            DataError: The part has no shower with hits in the stage's range of energies.
        """
        return self._drawn(part, purpose, number, config, size=size)

    def size(self, stage: str, config: StageConfig) -> int:
        """Showers of a stage's batches of the train part.

        Raises:
            ConfigError: They cannot be divided among processes and pieces.
            DataError: As ``draw``.
        """
        size = min(config.batch_size, len(self._rows_of("train", config.energy_range)))
        ways = self._ranks * config.accumulate
        if size % ways:
            parts = [f"{self._ranks} processes"] if self._ranks > 1 else []
            parts += [f"{config.accumulate} pieces"] if config.accumulate > 1 else []
            what, expected = f"training.{stage}.batch_size", f"a multiple of {ways}, for {' of '.join(parts)}"
            few = "" if size == config.batch_size else f"{size} (as many as there are to train on)"
            raise ConfigError(bad(what, got=few or size, expected=expected))
        return size

    def ahead(
        self, purpose: str, config: StageConfig, numbers: range
    ) -> AbstractContextManager[Iterator[list[Batch]]]:
        """The pieces of this process of batches of the train part, made in a thread ahead of time.

        Args:
            purpose: As of ``draw``.
            config: Of the stage.
            numbers: Of the batches.
        """
        size, pieces = self.size(purpose, config), config.accumulate
        own = size // (self._ranks * pieces)

        def make(number: int) -> list[Batch]:
            starts = [(self._rank * pieces + piece) * own for piece in range(pieces)]
            return [
                self._drawn("train", purpose, number, config, size=size, own=slice(start, start + own))
                for start in starts
            ]

        return prefetched(make, numbers)

    def _drawn(
        self,
        part: Part,
        purpose: str,
        number: int,
        config: StageConfig,
        *,
        size: int,
        own: slice = slice(None),
    ) -> Batch:
        rows = self.draws.rows(self._rows_of(part, config.energy_range), purpose, number, size)
        rng = self.draws.numpy(purpose, number)
        return self._assembled(rows, config.points, rng, own).to(self.device)

    def _assembled(
        self, rows: NDArray[np.int64], points: int, rng: np.random.Generator, own: slice = slice(None)
    ) -> Batch:
        cells = self.model.trains_on == "cells"
        return self.data.batch(
            rows, points=points, cells=cells, summary=not cells, rng=rng, symmetry=self.symmetry, own=own
        )

    def _rows_of(self, part: Part, energies: tuple[float, float] | None) -> NDArray[np.int64]:
        if (part, energies) not in self._rows:
            rows = self.data.rows(part)
            if energies is not None:
                energy = self.data.energy[rows] / GEV
                rows = rows[(energy >= energies[0]) & (energy <= energies[1])]
                if not len(rows):
                    span = f"from {energies[0]:g} to {energies[1]:g} GeV"
                    msg = f"The {part} part has no shower with hits {span}: change the stage's energy_range."
                    raise DataError(msg)
            self._rows[part, energies] = rows
        return self._rows[part, energies]
