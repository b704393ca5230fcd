"""Mosaic: showers put together from real splits of hits and energies, from the whole shower down to cells.

Nothing is trained by gradients: regression trees find, for what is to be split and what is known around it,
real splits of the like, and one of these is taken. ``docs/mosaic.md`` tells how.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np
import torch

from caloforge.geometry import project
from caloforge.models.base import CellSet, GenerativeModel
from caloforge.models.mosaic.compact import arrays_of
from caloforge.models.mosaic.config import MosaicConfig
from caloforge.models.mosaic.container import to_bytes
from caloforge.models.mosaic.fit import fit
from caloforge.models.mosaic.lattice import lattice_of
from caloforge.models.mosaic.real_cells import RealCells
from caloforge.models.mosaic.sampler import condition_codes, plan_of
from caloforge.models.mosaic.stored import StoredFit
from caloforge.models.stages import Stage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from typing import NoReturn

    from caloforge.geometry import Geometry
    from caloforge.models.base import Advance, Batch, ModelConfig, Noise, Particles
    from caloforge.models.mosaic.plan import Plan
    from caloforge.showers import Showers

__all__ = ["Mosaic"]


class Mosaic(GenerativeModel):
    """Mosaic.

    Args:
        config: Sizes.
        geometry: The read-out: equal layers of rings, or of squares around the axis.

    Raises:
        GeometryError: It is another one.
    """

    name: ClassVar[str] = "mosaic"
    config_class: ClassVar[type[ModelConfig]] = MosaicConfig
    trains_on: ClassVar[Literal["points", "cells"]] = "cells"
    any_length: ClassVar[frozenset[str]] = frozenset({"stored.content"})
    config: MosaicConfig

    def __init__(self, config: MosaicConfig, geometry: Geometry) -> None:
        super().__init__(config, geometry)
        lattice_of(geometry)  # the plan takes a second: it is made when it is needed
        self.stored = StoredFit(config, geometry)

    @property
    def plan(self) -> Plan:
        """What is drawn in which order."""
        return plan_of(self.geometry)

    @property
    def stored_numbers(self) -> int:
        """Those of the fitted tables."""
        return self.stored.numbers

    def stages(self) -> Sequence[Stage]:
        """The fit."""
        return (Stage("fit", modules=("stored",), part="train"),)

    def prepare(self, sample: Batch, rng: torch.Generator) -> None:
        """Nothing: all is fitted to all showers."""

    def loss(self, batch: Batch, *, turn: str, rng: torch.Generator) -> NoReturn:  # noqa: ARG002
        """There is none."""
        msg = f"{self.name} has no turn {turn!r}: it is fitted"
        raise KeyError(msg)

    def sample(self, particles: Particles, noise: Noise) -> CellSet:
        """Generate one shower per particle."""
        energy, threads = particles.energy.cpu().numpy(), torch.get_num_threads()
        made = self.stored.sampler.cells(energy, noise, threads=threads)
        counts, cell, deposit = (torch.from_numpy(column) for column in made)
        return CellSet(counts.long(), cell.long(), deposit)

    def fit_stage(
        self,
        stage: str,
        showers: Callable[[], Iterable[Showers]],
        *,
        seed: int,
        advance: Advance | None = None,
    ) -> dict[str, float]:
        """Fit the tables to real showers, and round them to what is stored."""
        if stage != "fit":
            return super().fit_stage(stage, showers, seed=seed, advance=advance)
        cells, config = _real_cells(showers(), self.geometry), self.config
        workers = torch.get_num_threads()
        fitted = fit(
            self.plan, self.geometry, cells, config.fit, seed=seed, workers=workers, progress=advance
        )
        arrays = arrays_of(fitted, self.plan.program, most=config.donors, seed=seed)
        self.stored.put(to_bytes(arrays))
        tables = self.stored.sampler.fitted.tables
        return {
            "showers": len(cells),
            "tables": len(tables.roots),
            "leaves": int((tables.feature < 0).sum()),
            "donors": len(tables.pattern),
            "stored_numbers": self.stored.numbers,
            "stored_bytes": len(self.stored.content),
        }


def _real_cells(showers: Iterable[Showers], geometry: Geometry) -> RealCells:
    """All showers with hits, in the cells of the read-out."""
    blocks = [project(block, geometry) for block in showers]
    counts, cell, deposit, energy = (
        np.concatenate(columns)
        for columns in zip(*((b.n_hits, b.cells, b.energy, b.incident.energy) for b in blocks), strict=True)
    )
    some, incident = counts > 0, energy.astype(np.float32)
    return RealCells(
        counts[some].astype(np.int32),
        cell.astype(np.int32),
        deposit.astype(np.float32),
        incident[some],
        condition_codes(incident[some]),
    )
