"""Mosaic: showers put together from real splits of hits and energies, from the whole shower down to cells.

Nothing is trained by gradients: regression trees find, for what is to be split and what is known around it,
real splits of the like, and one of these is taken. ``docs/mosaic.md`` tells how.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np
import torch
from pydantic import Field

from caloforge.geometry import project
from caloforge.models.base import CellSet, GenerativeModel, ModelConfig
from caloforge.models.mosaic.codes import energy_code
from caloforge.models.mosaic.compact import arrays_of
from caloforge.models.mosaic.container import to_bytes
from caloforge.models.mosaic.engine import generate
from caloforge.models.mosaic.fit import FitConfig, fit
from caloforge.models.mosaic.lattice import lattice_of
from caloforge.models.mosaic.layout import check_tables
from caloforge.models.mosaic.plan import build_plan
from caloforge.models.mosaic.real_cells import RealCells
from caloforge.models.mosaic.stored import StoredFit
from caloforge.models.mosaic.words import keys_of
from caloforge.models.stages import Stage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from typing import NoReturn

    from numpy.typing import NDArray

    from caloforge.geometry import Geometry
    from caloforge.models.base import Advance, Batch, Noise, Particles
    from caloforge.models.mosaic.fit import Fitted
    from caloforge.models.mosaic.plan import Plan
    from caloforge.showers import Showers

__all__ = ["Mosaic", "MosaicConfig"]


class MosaicConfig(ModelConfig):
    """Configuration of mosaic."""

    fit: FitConfig = FitConfig()
    """How much of the real showers is kept."""
    donors: int = Field(default=16, ge=1, le=10**5)
    """Most real splits of a leaf that are stored."""


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
        self.stored = StoredFit()
        self._checked: Fitted | None = None

    @property
    def plan(self) -> Plan:
        """What is drawn in which order."""
        return _plan_of(self.geometry)

    @property
    def stored_numbers(self) -> int:
        """Those of the fitted tables."""
        return self.stored.numbers

    def _fitted(self) -> Fitted:
        """The tables, compared with the plan when they are new."""
        fitted = self.stored.fitted
        if self._checked is not fitted:
            check_tables(fitted.tables, self.plan.program)
            self._checked = fitted
        return fitted

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
        fitted, program = self._fitted(), self.plan.program
        energy = particles.energy.cpu().numpy().astype(np.float32)
        keys, threads = keys_of(noise), torch.get_num_threads()
        made = generate(program, fitted.tables, fitted.roots, energy, _codes(energy), keys, threads=threads)
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
        tables = self.stored.fitted.tables
        return {
            "showers": len(cells),
            "tables": len(tables.roots),
            "leaves": int((tables.feature < 0).sum()),
            "donors": len(tables.pattern),
            "stored_numbers": self.stored.numbers,
            "stored_bytes": len(self.stored.content),
        }


@lru_cache(maxsize=4)
def _plan_of(geometry: Geometry) -> Plan:
    return build_plan(geometry)


def _codes(energy: NDArray[np.float32]) -> NDArray[np.int16]:
    """What tells the incident particles, ``(B, conditions)``."""
    return energy_code(energy)[:, None]


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
        _codes(incident[some]),
    )
