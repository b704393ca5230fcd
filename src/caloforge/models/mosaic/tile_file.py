"""Tiles as arrays that pack well, and back.

Nodes stand in the order of ``Layout`` with a single tree. Of a tile the shares are kept as logarithms
relative to the largest, which comes first, in steps of ``SHARE_STEP``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from caloforge.errors import FormatError
from caloforge.models.mosaic.donor_columns import SHARE_STEP, narrow
from caloforge.models.mosaic.layout import kids
from caloforge.models.mosaic.runs import firsts
from caloforge.models.mosaic.tiles import Tiles, centre_codes

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

__all__ = ["read_tiles", "rounded_shares", "share_codes", "write_tiles"]

_MOST_STEPS = 255


def share_codes(share: NDArray[np.float32], first: NDArray[np.int32]) -> NDArray[np.uint8]:
    """How far below the first share of its tile every one is, in steps of ``SHARE_STEP`` of the logarithm."""
    largest = np.repeat(share[first[:-1]], np.diff(first))
    code = np.round(np.log(largest / np.maximum(share, 1e-12)) / SHARE_STEP)
    return code.clip(0, _MOST_STEPS).astype(np.uint8)


def rounded_shares(code: NDArray[np.uint8], first: NDArray[np.int32]) -> NDArray[np.float32]:
    """Shares from their codes; those of a tile add up to 1."""
    table = np.exp(-SHARE_STEP * np.arange(_MOST_STEPS + 1)).astype(np.float32).astype(np.float64)
    weight = table[code]
    total = np.add.reduceat(weight, first[:-1]) if len(first) > 1 else weight
    shares: NDArray[np.float32] = (weight / np.repeat(total, np.diff(first))).astype(np.float32)
    return shares


def write_tiles(tiles: Tiles) -> dict[str, NDArray[Any]]:
    """The columns of a file, named ``tile_...``."""
    node = _breadth_first(tiles)
    inner = tiles.feature[node] >= 0
    leaf = node[~inner]
    count = tiles.count[leaf].astype(np.int64)
    row = np.repeat(tiles.start[leaf] - firsts(count)[:-1], count) + np.arange(count.sum())
    points = np.diff(tiles.first)[row].astype(np.int64)
    point = np.repeat(tiles.first[row] - firsts(points)[:-1], points) + np.arange(points.sum())
    code = share_codes(tiles.share, tiles.first)[point]
    return {
        "tile_grid": np.array([tiles.grid], np.int32),
        "tile_feature": (tiles.feature[node] + 1).astype(np.uint8),
        "tile_limit": tiles.limit[node][inner],
        "tile_counts": narrow(count),
        "tile_points": narrow(points),
        "tile_x": (tiles.place[point] // tiles.grid).astype(np.uint8),
        "tile_y": (tiles.place[point] % tiles.grid).astype(np.uint8),
        "tile_share": _steps(code, firsts(points)),
    }


def read_tiles(arrays: Mapping[str, NDArray[Any]]) -> Tiles:
    """What ``write_tiles`` was given, in another order.

    Raises:
        FormatError: The arrays do not fit together.
    """
    try:
        return _tiles(arrays)
    except (KeyError, IndexError, ValueError) as error:
        msg = f"The fitted tiles are damaged ({error}): fit the model again."
        raise FormatError(msg) from error


def _tiles(arrays: Mapping[str, NDArray[Any]]) -> Tiles:
    grid, feature = int(arrays["tile_grid"][0]), arrays["tile_feature"].astype(np.int16) - np.int16(1)
    inner = feature >= 0
    _require(len(feature) == 2 * inner.sum() + 1, "branches")
    limit, count = np.zeros(len(feature), np.int16), np.zeros(len(feature), np.int32)
    limit[inner], count[~inner] = arrays["tile_limit"], arrays["tile_counts"]
    points = arrays["tile_points"].astype(np.int64)
    x, y = (arrays[name].astype(np.int64) for name in ("tile_x", "tile_y"))
    _require(len(points) == count.sum() and count[~inner].min(initial=1) > 0, "tiles")
    _require(points.min(initial=1) > 0 and len(x) == len(y) == points.sum(), "points")
    _require(grid > 0 and max(x.max(initial=0), y.max(initial=0)) < grid, "places")
    first, place = firsts(points), (x * grid + y).astype(np.uint16)
    share = rounded_shares(_codes(arrays["tile_share"], first), first)
    return Tiles(
        grid=grid,
        feature=feature,
        limit=limit,
        kid=kids(inner, np.array([len(feature)])),
        start=np.where(inner, 0, np.cumsum(count) - count).astype(np.int32),
        count=count,
        first=first,
        place=place,
        share=share,
        centre=centre_codes(place, share, first, grid),
    )


def _steps(code: NDArray[np.uint8], first: NDArray[np.int32]) -> NDArray[np.uint8]:
    """Differences of the codes of a tile, which do not fall, without its first one, which is 0."""
    steps = np.diff(code.astype(np.int16), prepend=np.int16(0))
    return np.delete(steps, first[:-1]).astype(np.uint8)


def _codes(steps: NDArray[np.uint8], first: NDArray[np.int32]) -> NDArray[np.uint8]:
    whole = np.zeros(int(first[-1]), np.int64)
    rest = np.ones(len(whole), np.bool_)
    rest[first[:-1]] = False
    whole[rest] = steps
    total = np.cumsum(whole)
    return (total - np.repeat(total[first[:-1]], np.diff(first))).clip(0, _MOST_STEPS).astype(np.uint8)


def _breadth_first(tiles: Tiles) -> NDArray[np.int64]:
    level, levels = np.zeros(1, np.int64), []
    while len(level):
        levels.append(level)
        first = tiles.kid[level[tiles.feature[level] >= 0]].astype(np.int64)
        level = np.stack([first, first + 1], axis=1).ravel()
    return np.concatenate(levels)


def _require(condition: object, what: str) -> None:
    if not condition:
        msg = f"{what} do not fit together"
        raise ValueError(msg)
