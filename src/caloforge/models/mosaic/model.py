"""Mosaic: showers put together from real splits of hits and energies, from the whole shower down to cells.

Nothing is trained by gradients: regression trees find, for what is to be split and what is known around it,
real splits of the like, and one of these is taken. ``docs/mosaic.md`` tells how.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np
import torch

from caloforge.models.base import CellSet, Cloud, GenerativeModel
from caloforge.models.mosaic.compact import arrays_of
from caloforge.models.mosaic.conditions import Asked, condition_scale
from caloforge.models.mosaic.config import MosaicConfig
from caloforge.models.mosaic.container import to_bytes
from caloforge.models.mosaic.fit import fit
from caloforge.models.mosaic.frame import turns_of
from caloforge.models.mosaic.lattice import lattice_of
from caloforge.models.mosaic.reading import read_cells, read_tiles_of
from caloforge.models.mosaic.sampler import frame_of, plan_of
from caloforge.models.mosaic.stored import StoredFit
from caloforge.models.mosaic.tile_file import write_tiles
from caloforge.models.mosaic.tile_fit import fit_tiles
from caloforge.models.stages import Stage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from typing import Any, NoReturn

    from numpy.typing import NDArray

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
        ConfigError: Angles are conditions of cells.
        GeometryError: It is another one.
    """

    name: ClassVar[str] = "mosaic"
    config_class: ClassVar[type[ModelConfig]] = MosaicConfig
    knows: ClassVar[frozenset[str]] = frozenset({"angles", "particles"})
    any_length: ClassVar[frozenset[str]] = frozenset({"stored.content"})
    no_graph: ClassVar[str] = (
        "it draws from tables of real splits with its own random numbers, not by networks: take --target "
        "cpp, a file for its C++ engine"
    )
    config: MosaicConfig

    def __init__(self, config: MosaicConfig, geometry: Geometry) -> None:
        super().__init__(config, geometry)
        lattice_of(geometry)  # the plan takes a second: it is made when it is needed
        self._frame = frame_of(config, geometry)
        self.stored = StoredFit(config, geometry)

    @property
    def trains_on(self) -> Literal["points", "cells"]:  # type: ignore[override] # its configuration says it
        """What it makes."""
        return "cells" if self._frame is None else "points"

    @property
    def plan(self) -> Plan:
        """What is drawn in which order."""
        return plan_of(self.config, self.geometry)

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

    def sample(self, particles: Particles, noise: Noise) -> Cloud | CellSet:
        """Generate one shower per particle."""
        asked, threads = _asked(particles), torch.get_num_threads()
        if self._frame is None:
            made = self.stored.sampler.cells(asked, noise, threads=threads)
            counts, cell, deposit = (torch.from_numpy(column) for column in made)
            return CellSet(counts.long(), cell.long(), deposit)
        cloud = self.stored.sampler.cloud(asked, noise, threads=threads)
        columns = np.column_stack([cloud.points[:, :2], cloud.layer, cloud.energy]).astype(np.float32)
        return Cloud(torch.from_numpy(cloud.counts), torch.from_numpy(columns))

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
        config, workers = self.config, torch.get_num_threads()
        cells = read_cells(showers(), self.geometry, config.conditions, frame=self._frame)
        readout = self.geometry if self._frame is None else self._frame.readout
        fitted = fit(
            self.plan,
            readout,
            cells,
            config.fit,
            seed=seed,
            turns=turns_of(readout, leaning=config.conditions.angles),
            scale=condition_scale(config.conditions),
            workers=workers,
            progress=advance,
        )
        arrays = arrays_of(fitted, self.plan.program, most=config.donors, seed=seed)
        self.stored.put(to_bytes(arrays | self._fitted_tiles(showers, len(cells.cell), seed)))
        return self._told(len(cells))

    def _fitted_tiles(
        self, showers: Callable[[], Iterable[Showers]], cells: int, seed: int
    ) -> dict[str, NDArray[Any]]:
        """What fills the cells of the frame, as a file has it; nothing where cells are made."""
        if self._frame is None:
            return {}
        keep, config = min(1.0, self._frame.config.rows / max(cells, 1)), self.config
        real = read_tiles_of(showers(), config.conditions, self._frame, keep=keep, seed=seed)
        return write_tiles(fit_tiles(real, self._frame.config, seed=seed))

    def _told(self, showers: int) -> dict[str, float]:
        """Numbers for the log."""
        tables = self.stored.sampler.fitted.tables
        return {
            "showers": showers,
            "tables": len(tables.roots),
            "leaves": int((tables.feature < 0).sum()),
            "donors": len(tables.pattern),
            "stored_numbers": self.stored.numbers,
            "stored_bytes": len(self.stored.content),
        }


def _asked(particles: Particles) -> Asked:
    """The particles without torch."""
    columns = particles.energy, particles.direction, particles.pdg
    energy, direction, pdg = (column.cpu().numpy() for column in columns)
    return Asked(energy.astype(np.float32), direction, pdg)
