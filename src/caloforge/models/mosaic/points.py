"""Clouds of points: the cells of the frame filled with tiles, and put back into the calorimeter."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from caloforge.models.mosaic.engine import choose_tiles
from caloforge.models.mosaic.frame import Axes, box_grid, frame_readout, into_frame
from caloforge.models.mosaic.real_tiles import real_tiles
from caloforge.models.mosaic.runs import firsts
from caloforge.models.mosaic.tile_contexts import TileContexts
from caloforge.models.mosaic.tiles import filled

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from caloforge.geometry import Geometry
    from caloforge.models.mosaic.conditions import Asked
    from caloforge.models.mosaic.real_tiles import RealTiles
    from caloforge.models.mosaic.tile_fit import PointsConfig
    from caloforge.models.mosaic.tiles import Filled, Tiles
    from caloforge.showers import Showers

__all__ = ["CloudPoints", "FrameOfPoints"]

_AT_ONCE = 128  # showers whose images of codes lie in memory together


class CloudPoints(NamedTuple):
    """Points of some showers.

    Attributes:
        counts: Of every shower, ``(B,)``.
        points: x, y, z [mm], ``(M, 3)`` float32.
        layer: Of every point, ``(M,)``.
        energy: [MeV], ``(M,)`` float32.
    """

    counts: NDArray[np.int64]
    points: NDArray[np.float32]
    layer: NDArray[np.int64]
    energy: NDArray[np.float32]


class FrameOfPoints:
    """From clouds to the cells and tiles of the frame, and back.

    Args:
        config: Sizes.
        geometry: The calorimeter's read-out.
        leaning: Whether particles come at angles: the frame turns with them.

    Attributes:
        readout: The frame's.

    Raises:
        GeometryError: The cells are no squares.
    """

    def __init__(self, config: PointsConfig, geometry: Geometry, *, leaning: bool) -> None:
        box_grid(geometry)
        self.config, self.geometry, self.leaning = config, geometry, leaning
        self.readout = frame_readout(geometry, share=config.threshold)
        self._layer_z = geometry.layer_z

    @cached_property
    def contexts(self) -> TileContexts:
        """What the choice of a tile looks at."""
        return TileContexts(self.readout, leaning=self.leaning)

    def framed(self, showers: Showers) -> Showers:
        """Clouds in their frames.

        Raises:
            DataError: They are cells.
        """
        return into_frame(showers, self.geometry, grid=self.config.grid, turned=self.leaning)

    def tiles(
        self,
        framed: Showers,
        cells: Showers,
        codes: NDArray[np.int16],
        *,
        keep: float,
        rng: np.random.Generator,
    ) -> RealTiles:
        """Some of the real tiles of a block; arguments as of ``real_tiles``."""
        grid = self.config.grid
        return real_tiles(framed, cells, self.readout, self.contexts, codes, grid=grid, keep=keep, rng=rng)

    def cloud(
        self,
        tiles: Tiles,
        asked: Asked,
        cells: tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.float32]],
        codes: NDArray[np.int16],
        keys: NDArray[np.uint64],
    ) -> CloudPoints:
        """Fill the cells of some showers, and put the points into the calorimeter.

        Args:
            tiles: The real ones.
            asked: The particles.
            cells: Hits of every shower, their cells of the frame, their energies [MeV].
            codes: Of the conditions, ``(B, conditions)``.
            keys: Of the showers, ``(B,)``.
        """
        counts, cell, energy = cells
        ends = firsts(counts)
        parts = []
        for start in range(0, max(len(counts), 1), _AT_ONCE):
            some = slice(start, min(start + _AT_ONCE, len(counts)))
            hits = slice(ends[some.start], ends[some.stop])
            chosen = choose_tiles(
                tiles, self.contexts, counts[some], cell[hits], energy[hits], codes[some], keys[some]
            )
            points = filled(tiles, chosen, energy[hits], self.contexts.signs(cell[hits]))
            parts.append(self._placed(points, asked.direction[some], counts[some], cell[hits]))
        return CloudPoints(*(np.concatenate(column) for column in zip(*parts, strict=True)))

    def _placed(
        self,
        filled: Filled,
        direction: NDArray[np.float32],
        counts: NDArray[np.int32],
        cell: NDArray[np.int32],
    ) -> CloudPoints:
        grid, box = self.config.grid, box_grid(self.geometry)
        layer, column, row = np.unravel_index(cell, self.contexts.shape)
        owner = np.repeat(np.arange(len(cell)), filled.counts)
        shower = np.repeat(np.arange(len(counts)), counts)[owner]
        x, y = (
            ((place[owner] * grid + inside) + 0.5) * (box.pitch[0] / grid) + box.low[0]
            for place, inside in ((column, filled.x), (row, filled.y))
        )
        z = self._layer_z[layer[owner]]
        points = Axes.of(direction, turned=self.leaning).outside(shower, x, y, z)
        return CloudPoints(
            np.bincount(shower, minlength=len(counts)), points, layer[owner].astype(np.int64), filled.energy
        )
