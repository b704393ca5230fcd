"""Fitting tiles: a tree over contexts of real ones, some of which its leaves keep."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from pydantic import Field

from caloforge.models.mosaic import native
from caloforge.models.mosaic.donor_columns import evenly
from caloforge.models.mosaic.runs import firsts
from caloforge.models.mosaic.tile_file import rounded_shares, share_codes
from caloforge.models.mosaic.tiles import Tiles, centre_codes
from caloforge.records import Record

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from caloforge.models.mosaic.real_tiles import RealTiles

__all__ = ["PointsConfig", "fit_tiles"]

_SPREAD_WEIGHT, _COUNT_WEIGHT = 0.5, 0.1  # beside a centre at the border of the cell, which counts 1


class PointsConfig(Record):
    """What makes points of the cells of the frame."""

    threshold: float = Field(default=0.5, gt=0, le=1)
    """Cells of the frame below this share of the read-out's threshold are left out."""
    grid: int = Field(default=6, ge=1, le=48)
    """Places for points in a cell, each way; an odd multiple of those of the files keeps theirs."""
    rows: int = Field(default=200_000, ge=100, le=10**7)
    """Most real tiles that the tree is grown on."""
    leaf: int = Field(default=20, ge=1, le=10**5)
    """Fewest of them in a leaf."""
    donors: int = Field(default=4, ge=1, le=10**5)
    """Most real tiles of a leaf that are stored."""
    features: float = Field(default=0.5, gt=0, le=1)
    """Share of the context that a cut of the tree chooses from."""


def fit_tiles(real: RealTiles, config: PointsConfig, *, seed: int) -> Tiles:
    """Grow the tree and keep some tiles of every leaf, with shares as they are stored.

    Raises:
        MissingDependencyError: The compiled engine is missing.
    """
    grown = native.build_tree(
        real.context, _targets(real, config.grid), leaf=config.leaf, features=config.features, seed=seed
    )
    is_leaf = grown.feature < 0
    order = np.flatnonzero(is_leaf)[np.argsort(grown.start[is_leaf], kind="stable")]
    count = grown.count[order].astype(np.int64)
    wanted = np.minimum(count, config.donors)
    kept = grown.order[evenly(count, wanted, np.random.default_rng(seed))]
    start, counts = np.zeros_like(grown.start), np.zeros_like(grown.count)
    start[order], counts[order] = firsts(wanted)[:-1], wanted
    tiles = real.chosen(kept.astype(np.int64))
    first = tiles.first
    share = rounded_shares(share_codes(tiles.share, first), first)
    return Tiles(
        grid=config.grid,
        feature=grown.feature,
        limit=grown.limit,
        kid=grown.kid,
        start=start,
        count=counts,
        first=first,
        place=tiles.place,
        share=share,
        centre=centre_codes(tiles.place, share, first, config.grid),
    )


def _targets(real: RealTiles, grid: int) -> NDArray[np.float32]:
    """What tiles of a leaf have in common: where their energy is, how far it spreads, over how many points.

    Centres come first: with shares of ninths of the cell in their place, clusters of points that lie
    across a border fall apart when the cloud is moved over the cells.
    """
    tile = np.repeat(np.arange(len(real.counts)), real.counts)
    columns = []
    for place in (real.place // grid, real.place % grid):
        at = (place.astype(np.float64) + 0.5) / grid * 2 - 1
        mean, square = (np.bincount(tile, real.share * at**k, minlength=len(real.counts)) for k in (1, 2))
        columns += [mean, _SPREAD_WEIGHT * np.sqrt(np.maximum(square - mean**2, 0.0))]
    return np.column_stack([*columns, _COUNT_WEIGHT * np.log(real.counts)]).astype(np.float32)
