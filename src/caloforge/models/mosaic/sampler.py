"""A fitted mosaic that generates: numpy and the engine, no torch."""

from __future__ import annotations

from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np

from caloforge.errors import ConfigError, FormatError, bad
from caloforge.models.mosaic.codes import energy_code
from caloforge.models.mosaic.compact import fit_of
from caloforge.models.mosaic.config import MosaicConfig
from caloforge.models.mosaic.container import from_bytes
from caloforge.models.mosaic.engine import generate
from caloforge.models.mosaic.lattice import lattice_of
from caloforge.models.mosaic.layout import check_tables
from caloforge.models.mosaic.plan import build_plan
from caloforge.models.mosaic.words import keys_of
from caloforge.showers import ShowerMeta, Showers
from caloforge.streams import Streams

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from caloforge.geometry import Geometry
    from caloforge.models.mosaic.plan import Plan
    from caloforge.models.mosaic.program import Program
    from caloforge.models.mosaic.words import KeySource
    from caloforge.showers import Incident

__all__ = ["MosaicSampler", "condition_codes", "plan_of"]


class MosaicSampler:
    """Generates the showers of a fitted mosaic.

    Args:
        config: Of the model.
        geometry: The read-out.
        tensors: Of the model's file: ``stored.content``.

    Raises:
        FormatError: The tables are damaged.
        GeometryError: The model cannot be one of this read-out.
    """

    name: ClassVar[str] = "mosaic"
    config_class: ClassVar[type[MosaicConfig]] = MosaicConfig
    tensors: ClassVar[frozenset[str]] = frozenset({"stored.content"})
    trains_on: ClassVar[Literal["points", "cells"]] = "cells"
    learnt_numbers: ClassVar[int] = 0

    def __init__(self, config: MosaicConfig, geometry: Geometry, tensors: Mapping[str, NDArray[Any]]) -> None:
        lattice_of(geometry)
        content = tensors["stored.content"]
        if content.dtype != np.uint8 or content.ndim != 1:
            got = f"{content.dtype} in {content.ndim} dimensions"
            raise FormatError(bad("stored.content", got=got, expected="a row of uint8"))
        arrays = from_bytes(content.tobytes())
        self.config, self.geometry = config, geometry
        self.stored_numbers = sum(array.size for array in arrays.values())
        self.fitted = fit_of(arrays)
        self._threads = 1

    @cached_property
    def program(self) -> Program:
        """What is drawn in which order; made, in a second, when it is needed.

        Raises:
            FormatError: The tables were fitted for another one.
        """
        program = plan_of(self.geometry).program
        check_tables(self.fitted.tables, program)
        return program

    def work_on(self, device: str, *, threads: int) -> None:
        """Use so many threads of the CPU.

        Raises:
            ConfigError: The device is another one.
        """
        if device not in {"cpu", "auto"}:
            raise ConfigError(bad("device", got=device, expected="cpu or auto: mosaic runs on the CPU"))
        self._threads = threads

    def draw(self, incident: Incident, index: NDArray[np.int64], *, seed: int) -> Showers:
        """Generate one shower per particle, in the cells of the read-out.

        Args:
            incident: The particles.
            index: Global indices of the showers, ``(B,)``.
            seed: Shower ``i`` depends on (seed, index) alone.
        """
        counts, cells, deposit = self.cells(incident.energy, Streams(seed, index), threads=self._threads)
        geometry, offsets = self.geometry, np.concatenate([[0], np.cumsum(counts, dtype=np.int64)])
        meta = ShowerMeta(geometry.name, geometry.fingerprint, geometry.sampling_fraction)
        return Showers(incident, offsets, deposit, cells=cells.astype(np.int64), meta=meta)

    def cells(
        self, energy: NDArray[np.floating], source: KeySource, *, threads: int
    ) -> tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.float32]]:
        """Generate showers.

        Args:
            energy: Of the incident particles [MeV], ``(B,)``.
            source: Of their keys.
            threads: Of the CPU.

        Returns:
            Hits of every shower, their cells, their energies [MeV].
        """
        incident, tables, roots = energy.astype(np.float32), self.fitted.tables, self.fitted.roots
        codes = condition_codes(incident)
        return generate(self.program, tables, roots, incident, codes, keys_of(source), threads=threads)


@lru_cache(maxsize=4)
def plan_of(geometry: Geometry) -> Plan:
    """The plan for a read-out.

    Raises:
        GeometryError: There is none.
    """
    return build_plan(geometry)


def condition_codes(energy: NDArray[np.float32]) -> NDArray[np.int16]:
    """What tells the incident particles, of so many MeV, ``(B, conditions)``."""
    return energy_code(energy)[:, None]
