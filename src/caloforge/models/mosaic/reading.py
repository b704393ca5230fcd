"""Training showers as mosaic fits them: in cells, of the read-out or of the points' frame, and in tiles."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from caloforge.geometry import project
from caloforge.models.mosaic.conditions import Asked, condition_codes
from caloforge.models.mosaic.real_cells import RealCells
from caloforge.models.mosaic.real_tiles import RealTiles

if TYPE_CHECKING:
    from collections.abc import Iterable

    from caloforge.geometry import Geometry
    from caloforge.models.mosaic.points import FrameOfPoints
    from caloforge.preprocessing.told import ConditionsConfig
    from caloforge.showers import Showers

__all__ = ["read_cells", "read_tiles_of"]


def read_cells(
    showers: Iterable[Showers],
    geometry: Geometry,
    conditions: ConditionsConfig,
    *,
    frame: FrameOfPoints | None,
) -> RealCells:
    """All showers with hits, in the cells of the read-out or of the frame.

    Raises:
        DataError: Points are made, and these are cells; or a particle is of a kind that is not told.
    """
    found = [_cells_of(block, geometry, frame) for block in showers]
    counts, cell, deposit, energy, codes = (
        np.concatenate(columns)
        for columns in zip(
            *(
                (
                    block.n_hits,
                    block.cells,
                    block.energy,
                    block.incident.energy,
                    condition_codes(Asked.of(block.incident), conditions),
                )
                for block in found
            ),
            strict=True,
        )
    )
    some, incident = counts > 0, energy.astype(np.float32)
    return RealCells(
        counts[some].astype(np.int32),
        cell.astype(np.int32),
        deposit.astype(np.float32),
        incident[some],
        codes[some],
    )


def _cells_of(block: Showers, geometry: Geometry, frame: FrameOfPoints | None) -> Showers:
    if frame is None:
        return project(block, geometry)
    return project(frame.framed(block), frame.readout)


def read_tiles_of(
    showers: Iterable[Showers],
    conditions: ConditionsConfig,
    frame: FrameOfPoints,
    *,
    keep: float,
    seed: int,
) -> RealTiles:
    """Real tiles of some of the frame's cells.

    Args:
        showers: Points.
        conditions: What is told of particles.
        frame: Where the cells are.
        keep: Share of the cells.
        seed: Of the choice.
    """
    rng, parts = np.random.default_rng(seed), []
    for block in showers:
        framed = frame.framed(block)
        cells = project(framed, frame.readout)
        codes = condition_codes(Asked.of(block.incident), conditions)
        parts.append(frame.tiles(framed, cells, codes, keep=keep, rng=rng))
    return RealTiles.joined(parts)
