"""From drawn points to a cloud: counts, layers, energies and centres of gravity as the flow wants them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import torch

from caloforge.models.showers import CellSet
from caloforge.nn.sets import same_size
from caloforge.showers import ShowerMeta, Showers

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from caloforge.geometry import Geometry
    from caloforge.models.showers import Cloud
    from caloforge.showers import Incident

__all__ = [
    "count_by_layer",
    "depth_order",
    "own_rows",
    "recentre",
    "rescale",
    "rows_of",
    "shower_tiles",
    "thinned",
    "tiles",
    "to_showers",
    "whole_counts",
]

_TILE = 8192  # points that go through a network together: activations stay in the cache
_SHOWER_TILE = 32768  # points of whole showers that do: fewer would often be a single shower
_NO_ENERGY = 1e-9  # MeV, the sum of a layer's points below which their shares are rounding


def to_showers(made: Cloud | CellSet, incident: Incident, geometry: Geometry) -> Showers:
    """Turn what a model makes into showers of points, or of cells; the threshold is not applied."""
    meta = ShowerMeta(geometry=geometry.name, sampling_fraction=geometry.sampling_fraction)
    offsets = np.concatenate([[0], np.cumsum(made.counts.cpu().numpy())])
    if isinstance(made, CellSet):
        meta = replace(meta, fingerprint=geometry.fingerprint)
        cells, energy = made.cell.cpu().numpy(), _numbers(made.energy)
        return Showers(incident, offsets, energy, cells=cells, meta=meta)
    points = _numbers(made.points)
    z = geometry.layer_z[points[:, 2].astype(np.int64)].astype(np.float32)
    places = np.column_stack([points[:, :2], z])
    return Showers(incident, offsets, points[:, 3], points=places, meta=meta)


def _numbers(values: Tensor) -> NDArray[np.floating]:
    """numpy has no 16-bit numbers of mixed precision."""
    return (values.float() if values.dtype == torch.bfloat16 else values).cpu().numpy()


def count_by_layer(showers: Showers, geometry: Geometry) -> Tensor:
    """Points or cells per layer, ``(B, L)``."""
    if showers.points is not None:
        layer = geometry.layer_of(showers.points[:, 2]).clip(0)
    else:
        layer = geometry.cell_layer[showers.cells].astype(np.int64)
    shape = (len(showers), geometry.n_layers)
    counts = np.bincount(showers.shower * shape[1] + layer, minlength=shape[0] * shape[1])
    return torch.from_numpy(counts.reshape(shape)).double()


def whole_counts(counts: Tensor) -> Tensor:
    """Round counts per layer ``(B, L)`` so that the totals are kept."""
    ends = counts.double().cumsum(1).round().to(torch.int64)
    ends[:, -1] = ends[:, -1].clamp_min(1)  # no shower is without a point
    return ends - torch.nn.functional.pad(ends[:, :-1], (1, 0))


def rows_of(counts: Tensor, size: int | None = None) -> Tensor:
    """The shower of every point, ``(M,)``; ``size`` is M where it is known already."""
    rows = torch.arange(counts.shape[0], device=counts.device)
    if not torch.compiler.is_compiling():
        return rows.repeat_interleave(counts, output_size=size)
    index = rows.repeat_interleave(counts)
    if size is not None:  # given as output_size it would become a constant of the graph
        same_size(index.shape[0], size)
    return index


def tiles(n: int) -> list[slice]:
    """Cut ``n`` points into pieces whose activations stay in the cache; a graph has them all in one."""
    if torch.compiler.is_compiling():
        return [slice(None)]
    return [slice(start, start + _TILE) for start in range(0, n, _TILE)]


def own_rows(context: Tensor, index: Tensor) -> tuple[Tensor, Tensor]:
    """The conditions that some points need, and the number of every point's condition among these.

    Args:
        context: Conditions of all showers, ``(B, C)``.
        index: The shower of every point, rising, ``(M,)``; M > 0.
    """
    if torch.compiler.is_compiling():
        return context, index
    first, last = int(index[0]), int(index[-1])
    return context[first : last + 1], index - first


def shower_tiles(counts: Tensor) -> list[tuple[int, int]]:
    """Cut showers of ``counts`` points ``(B,)`` into runs, first to last (exclusive), of not many points."""
    tile = (counts.cumsum(0) - counts).div(_SHOWER_TILE, rounding_mode="floor")
    ends = torch.unique_consecutive(tile, return_counts=True)[1].cumsum(0).tolist()
    return list(zip([0, *ends[:-1]], ends, strict=True))


def thinned(drawn: Tensor, kept: Tensor, size: int | None = None) -> tuple[Tensor, Tensor]:
    """Keep ``kept`` of the ``drawn`` points of every layer, evenly in depth; ``(B, L)`` each.

    Args:
        drawn: Points of the layers.
        kept: How many are to stay.
        size: Number of all points, M, where it is known already.

    Returns:
        Which points stay ``(M,)``, and the layers that these are in, shower by shower: numbers up to B L.
    """
    n, k = drawn.flatten(), torch.minimum(kept, drawn).flatten()
    group = rows_of(n, size)
    place = torch.arange(group.shape[0], device=n.device) - (n.cumsum(0) - n)[group]
    n, k = n[group].clamp_min(1), k[group]
    mask: Tensor = (place + 1) * k // n > place * k // n
    return mask, group[mask]


def depth_order(index: Tensor, depth: Tensor) -> Tensor:
    """Sort by shower, and by depth inside of each."""
    by_depth = torch.argsort(depth, stable=True)
    return by_depth[torch.argsort(index[by_depth], stable=True)]


def rescale(energy: Tensor, group: Tensor, counts: Tensor, target: Tensor) -> Tensor:
    """Scale the points' energies so that every layer of every shower sums to ``target`` ``(B, L)``.

    The energy of layers without points goes to the others (by their numbers of points when these
    have no target themselves). A layer whose points have no energy shares its energy equally.
    """
    shares = target * (counts > 0)
    shares = torch.where(shares.sum(1, keepdim=True) > 0, shares, counts.to(target.dtype))
    wanted = shares * (target.sum(1) / shares.sum(1))[:, None]
    sums = torch.zeros(counts.numel(), dtype=energy.dtype, device=energy.device)
    sums = sums.index_add(0, group, energy)
    empty = sums < _NO_ENERGY
    factor = wanted.flatten().to(energy.dtype) / sums.masked_fill(empty, 1.0)
    equal = wanted.flatten().to(energy.dtype) / counts.flatten().clamp_min(1)
    return torch.where(empty[group], equal[group], energy * factor[group])


def recentre(lateral: Tensor, energy: Tensor, index: Tensor, centre: Tensor, *, core: float) -> Tensor:
    """Shift of every point ``(M, 2)`` that puts the energy-weighted centres at ``centre``.

    With ``core`` > 0 [mm] points closer to the axis move in proportion to their distance: the
    shower's core stays where the particle goes, its tail makes the centre of gravity.
    """
    radius = lateral.norm(dim=1)
    weight = (radius / core).clamp(max=1.0) if core else torch.ones_like(radius)
    zeros = torch.zeros(centre.shape[0], 4, dtype=lateral.dtype, device=lateral.device)
    columns = torch.stack([*(lateral.T * energy), energy, energy * weight], dim=1)
    x, y, total, movable = zeros.index_add(0, index, columns).T
    missing = centre[:, :2] * total[:, None] - torch.stack([x, y], dim=1)
    shift = missing / movable.clamp_min(1e-3 * total.clamp_min(1e-12))[:, None]
    moved: Tensor = weight[:, None] * shift[index].to(lateral.dtype)
    return moved
