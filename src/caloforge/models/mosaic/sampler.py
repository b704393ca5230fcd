"""A fitted mosaic that generates: numpy and the engine, no torch."""

from __future__ import annotations

from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np

from caloforge.errors import ConfigError, FormatError, bad
from caloforge.models.mosaic.compact import fit_of
from caloforge.models.mosaic.conditions import Asked, condition_codes, conditions_of
from caloforge.models.mosaic.config import MosaicConfig
from caloforge.models.mosaic.container import from_bytes
from caloforge.models.mosaic.engine import generate
from caloforge.models.mosaic.lattice import lattice_of
from caloforge.models.mosaic.layout import check_tables
from caloforge.models.mosaic.plan import build_plan
from caloforge.models.mosaic.points import FrameOfPoints
from caloforge.models.mosaic.tile_file import read_tiles
from caloforge.models.mosaic.words import keys_of
from caloforge.showers import ShowerMeta, Showers
from caloforge.streams import Streams

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from caloforge.geometry import Geometry
    from caloforge.models.mosaic.plan import Plan
    from caloforge.models.mosaic.points import CloudPoints
    from caloforge.models.mosaic.program import Program
    from caloforge.models.mosaic.words import KeySource
    from caloforge.showers import Incident

__all__ = ["MosaicSampler", "frame_of", "plan_of"]

Cells = tuple["NDArray[np.int32]", "NDArray[np.int32]", "NDArray[np.float32]"]


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
        self._frame = frame_of(config, geometry)
        self._tiles = None if self._frame is None else read_tiles(arrays)
        self._threads = 1

    @property
    def trains_on(self) -> Literal["points", "cells"]:
        """What it makes."""
        return "cells" if self._frame is None else "points"

    @cached_property
    def program(self) -> Program:
        """What is drawn in which order; made, in a second, when it is needed.

        Raises:
            FormatError: The tables were fitted for another one.
        """
        program = plan_of(self.config, self.geometry).program
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
        """Generate one shower per particle, in the cells of the read-out or of points.

        Args:
            incident: The particles.
            index: Global indices of the showers, ``(B,)``.
            seed: Shower ``i`` depends on (seed, index) alone.
        """
        asked, source, geometry = Asked.of(incident), Streams(seed, index), self.geometry
        if self._frame is None:
            counts, cells, deposit = self.cells(asked, source, threads=self._threads)
            meta = ShowerMeta(geometry.name, geometry.fingerprint, geometry.sampling_fraction)
            return Showers(incident, _offsets(counts), deposit, cells=cells.astype(np.int64), meta=meta)
        cloud = self.cloud(asked, source, threads=self._threads)
        meta = ShowerMeta(geometry.name, sampling_fraction=geometry.sampling_fraction)
        return Showers(incident, _offsets(cloud.counts), cloud.energy, points=cloud.points, meta=meta)

    def cells(self, asked: Asked, source: KeySource, *, threads: int) -> Cells:
        """Generate showers in cells: of the read-out, or of the points' frame.

        Args:
            asked: The particles.
            source: Of the showers' keys.
            threads: Of the CPU.

        Returns:
            Hits of every shower, their cells, their energies [MeV].

        Raises:
            DataError: A particle is of a kind that the model does not know.
        """
        codes = condition_codes(asked, self.config.conditions)
        return self._cells(asked, codes, keys_of(source), threads)

    def cloud(self, asked: Asked, source: KeySource, *, threads: int) -> CloudPoints:
        """Generate showers of points, in the calorimeter; arguments as of ``cells``.

        Raises:
            ConfigError: The model makes cells.
            DataError: As of ``cells``.
        """
        if self._frame is None or self._tiles is None:
            msg = "This mosaic makes cells: points take a model that was fitted with model.points."
            raise ConfigError(msg)
        codes, keys = condition_codes(asked, self.config.conditions), keys_of(source)
        cells = self._cells(asked, codes, keys, threads)
        return self._frame.cloud(self._tiles, asked, cells, codes, keys)

    def _cells(self, asked: Asked, codes: NDArray[np.int16], keys: NDArray[np.uint64], threads: int) -> Cells:
        tables, roots = self.fitted.tables, self.fitted.roots
        return generate(self.program, tables, roots, asked.energy, codes, keys, threads=threads)


def _offsets(counts: NDArray[np.integer]) -> NDArray[np.int64]:
    return np.concatenate([[0], np.cumsum(counts, dtype=np.int64)])


def frame_of(config: MosaicConfig, geometry: Geometry) -> FrameOfPoints | None:
    """The frame that points are made in; None where cells are made.

    Raises:
        GeometryError: Points cannot be made for this read-out.
        ConfigError: Angles are conditions of cells.
    """
    if config.points is not None:
        return FrameOfPoints(config.points, geometry, leaning=config.conditions.angles)
    if config.conditions.angles:
        fix = "take mosaic/points, or leave the angles out"
        raise ConfigError(bad("model.conditions.angles", got="true", expected="false for cells", fix=fix))
    return None


def plan_of(config: MosaicConfig, geometry: Geometry) -> Plan:
    """The plan of a model.

    Raises:
        GeometryError: There is none for the read-out.
    """
    frame = frame_of(config, geometry)
    readout = geometry if frame is None else frame.readout
    return _plan(readout, conditions_of(config.conditions), config.conditions.angles, config.root_layers)


@lru_cache(maxsize=4)
def _plan(geometry: Geometry, conditions: int, leaning: bool, root_layers: int) -> Plan:
    return build_plan(geometry, conditions=conditions, leaning=leaning, root_layers=root_layers)
