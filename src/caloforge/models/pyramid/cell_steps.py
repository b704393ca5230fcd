"""Hit cells, drawn a few at a time: every cell sees the cells around it that were drawn before."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn

from caloforge import shares
from caloforge.models.pyramid.depth import layer_order
from caloforge.models.pyramid.groups import group_of_cell
from caloforge.models.pyramid.lots import chosen, hits_of_step
from caloforge.models.pyramid.regions import log_radius, ring_of_cell
from caloforge.models.pyramid.side import side_direction
from caloforge.models.pyramid.tree import Parents
from caloforge.models.pyramid.window import LAYER_WINDOW, PLANE_WINDOW, colours, window
from caloforge.nn import Conditioner
from caloforge.nn.topk import gumbel

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from caloforge.geometry import Geometry
    from caloforge.models.base import Noise
    from caloforge.models.pyramid.tree import Totals
    from caloforge.nn import ConditionerConfig

__all__ = ["CellSteps"]

_COLOURS = 4
_MISS, _UNKNOWN, _HIT = -1, 0, 1
_ZONE = 0.1  # of the logarithm of the distance: wide enough to save work, and a hit is as likely all over
_SECTORS = 8
_EXTRA = 4  # radius, side, hits that are left, how likely a hit is by these alone


@dataclass(frozen=True)
class _Block:
    """What the cells of some showers are drawn by.

    Attributes:
        showers: Number of showers.
        counts: Hits of the groups, ``(B, G)`` int64.
        layers: Conditions of the layers, ``(B L, C)``.
        side: To which side the showers lie, ``(B, 2)``.
        state: Cells that are hit (1), missed (-1) or not known (0), and two more that stand for
            what lies outside of the grid and for layers that are not known, ``(B, n_cells + 2)`` int8.
    """

    showers: int
    counts: Tensor
    layers: Tensor
    side: Tensor
    state: Tensor


@dataclass(frozen=True)
class _Cells:
    """Cells that a network is asked about.

    Attributes:
        shower: Their showers, ``(M,)``.
        cell: Their numbers.
        seen: What is known around them, ``(M, N)`` int8.
        left: Hits that are left to their groups.
        free: Cells that are left to their groups, they among them.
    """

    shower: Tensor
    cell: Tensor
    seen: Tensor
    left: Tensor
    free: Tensor

    def of(self, rows: Tensor) -> _Cells:
        """Some of them."""
        return _Cells(self.shower[rows], self.cell[rows], self.seen[rows], self.left[rows], self.free[rows])


class CellSteps(nn.Module):
    """Which cells of groups with known numbers of hits are hit.

    Layers are drawn by levels, those far apart first, and the cells of a layer in four colours, so
    that no two cells which touch are drawn together. A network tells the probability of every cell
    from the cells around it that were drawn before: 24 in its layer, 13 in the nearest drawn layer in front
    and as many behind; from the side that the shower lies on; from the hits that are left to its group,
    and the totals of the layer and of those beside it. How many of the hits left are of the colour is
    drawn next (``hits_of_step``), and which cells these are by the Gumbel top-k of the poster: numbers of
    hits come out exactly.

    There are no blocks, so that none shows.

    Args:
        config: Sizes of the network.
        geometry: The read-out; all layers have one grid.
        region: Region of every cell of a layer.
        conditions: Size of the condition of a shower.
        rows: Cells of a training step.
    """

    group: Tensor
    capacity: Tensor
    layer: Tensor
    around: Tensor
    radius: Tensor
    direction: Tensor
    ring: Tensor
    zone: Tensor
    step: Tensor
    levels: Tensor

    def __init__(
        self,
        config: ConditionerConfig,
        geometry: Geometry,
        region: NDArray[np.int64],
        *,
        conditions: int,
        rows: int,
    ) -> None:
        super().__init__()
        self.n_layers, self.n_cells, self.rows = geometry.n_layers, geometry.n_cells, rows
        self.n_regions, self.per_layer = int(region.max()) + 1, len(region)
        level, front, behind = layer_order(self.n_layers)
        self.n_steps = _COLOURS * (int(level.max()) + 1)
        step = _COLOURS * level[:, None] + colours(geometry)
        tables = {
            "group": group_of_cell(region, self.n_layers),
            "capacity": np.tile(np.bincount(region), self.n_layers),
            "layer": geometry.cell_layer.astype(np.int64),
            "around": _around(geometry, front, behind),
            "step": step.ravel(),
            "radius": log_radius(geometry),
            "direction": side_direction(geometry),
            "ring": np.tile(ring_of_cell(geometry), geometry.n_layers),
            "zone": _zones(geometry),
        }
        for name, table in tables.items():
            self.register_buffer(name, torch.from_numpy(table), persistent=False)  # the geometry has them
        self.n_zones, self.n_rings = (int(tables[name].max()) + 1 for name in ("zone", "ring"))
        levels = torch.from_numpy(np.eye(int(level.max()) + 1, dtype=np.float32)[level])
        self.register_buffer("levels", levels, persistent=False)
        element = len(PLANE_WINDOW) + 2 * len(LAYER_WINDOW) + _COLOURS + self.n_rings + _EXTRA
        shared = conditions + self.n_layers + levels.shape[1] + 4 * self.n_regions
        self.net = Conditioner(config, element=element, shared=shared, outputs=1)

    def loss(
        self, hits: Parents, totals: Totals, condition: Tensor, side: Tensor, rng: torch.Generator
    ) -> Tensor:
        """Mean binary cross entropy of some cells, given all that are drawn before them.

        Args:
            hits: Hit cells of showers.
            totals: Hits and energies [MeV] of the groups, ``(B, G)`` each.
            condition: ``(B, C)``.
            side: Latent vectors of ``ShowerSide``, ``(B, 2)``.
            rng: Chooses the cells.
        """
        block = self._block(totals, condition, side)
        hit = torch.zeros(block.showers, self.n_cells, dtype=torch.bool, device=condition.device)
        hit[hits.shower, hits.number] = True
        left, free = self._left_over(block, hit)
        shower, cell = self._open(block)
        chosen = self._chosen(len(shower), rng)
        shower, cell = shower[chosen], cell[chosen]
        key = self._key(shower, cell) * _COLOURS + self.step[cell] % _COLOURS
        truth = torch.where(hit, _HIT, _MISS).to(torch.int8)
        seen = self._seen(torch.cat([truth, block.state[:, -2:]], dim=1), shower, cell, block)
        logit = self._logit(block, _Cells(shower, cell, seen, left[key], free[key]))
        certain = (left[key] <= 0) | (left[key] >= free[key])
        target = hit[shower, cell].to(logit.dtype)
        losses = nn.functional.binary_cross_entropy_with_logits(logit, target, reduction="none")
        return shares.ratio(losses.masked_fill(certain, 0.0).sum(), (~certain).sum())

    def _chosen(self, cells: int, rng: torch.Generator) -> Tensor:
        """Which of a share's cells are among those of the step, chosen from the cells of all shares."""
        place = shares.place_of(cells)
        chosen = torch.randint(place.total, (self.rows,), generator=rng, device=rng.device)
        if place.count == place.total:
            return chosen
        own = chosen - place.first
        return own[(own >= 0) & (own < place.count)]

    def sample(self, totals: Totals, condition: Tensor, side: Tensor, noise: Noise) -> Parents:
        """The hit cells of showers; arguments as of ``loss``."""
        block = self._block(totals, condition, side)
        shower, cell = self._open(block)
        uniform = noise.uniform("cells", torch.bincount(shower, minlength=block.showers), 1)[:, 0]
        race = gumbel(uniform).to(torch.float32)
        lots = noise.uniform("numbers", 1, len(self.capacity) * _COLOURS).reshape(-1, _COLOURS)
        key = self._key(shower, cell)
        left = block.counts.flatten().clone()
        free = torch.bincount(key, minlength=len(left))
        order = self.step[cell].argsort(stable=True)
        sizes = torch.bincount(self.step[cell], minlength=self.n_steps).tolist()
        for number_of_step, rows in enumerate(torch.split(order, sizes)):
            if not len(rows):
                continue
            seen = self._seen(block.state, shower[rows], cell[rows], block)
            own = key[rows]
            cells = _Cells(shower[rows], cell[rows], seen, left[own], free[own])
            logit = self._logits_by_zone(block, cells)
            free -= torch.bincount(own, minlength=len(left))
            number = hits_of_step(logit, own, left, free, lots[:, number_of_step % _COLOURS])
            hit = chosen(logit, race[rows], own, number)
            left -= number
            block.state[shower[rows], cell[rows]] = torch.where(hit, _HIT, _MISS).to(torch.int8)
        return Parents.marked(block.state[:, : self.n_cells] == _HIT)

    def _block(self, totals: Totals, condition: Tensor, side: Tensor) -> _Block:
        counts, energies = totals
        counts = counts.long()
        shape = (len(counts), self.n_layers, self.n_regions)
        state = torch.full((len(counts), self.n_cells + 2), _UNKNOWN, dtype=torch.int8, device=counts.device)
        full, none = counts >= self.capacity, counts <= 0
        filled = torch.where(full, _HIT, torch.where(none, _MISS, _UNKNOWN)).to(torch.int8)
        state[:, : self.n_cells] = filled[:, self.group]
        state[:, -2] = _MISS
        layers = self._layer_conditions(counts.reshape(shape), energies.reshape(shape), condition)
        return _Block(len(counts), counts, layers, side.to(layers.dtype), state)

    def _layer_conditions(self, counts: Tensor, energies: Tensor, condition: Tensor) -> Tensor:
        """Energy, layer, its level, hits of its regions and of those beside it, mean energies."""
        logs = counts.to(condition.dtype).log1p() / 3 - 0.5
        padded = nn.functional.pad(logs, (0, 0, 1, 1), value=-0.5)
        mean = (energies.to(condition.dtype) / counts.clamp_min(1)).clamp_min(1e-3).log() / 3
        columns = [padded[:, shift : shift + self.n_layers] for shift in (0, 1, 2)] + [mean]
        one = torch.eye(self.n_layers, dtype=condition.dtype, device=condition.device)
        fixed = torch.cat([one, self.levels.to(condition.dtype)], dim=1)
        parts = [
            condition[:, None].expand(-1, self.n_layers, -1),
            fixed.expand(len(counts), -1, -1),
            *columns,
        ]
        return torch.cat(parts, dim=2).flatten(0, 1)

    def _open(self, block: _Block) -> tuple[Tensor, Tensor]:
        """Showers and cells that are not decided by the numbers of hits."""
        shower, cell = (block.state[:, : self.n_cells] == _UNKNOWN).nonzero(as_tuple=True)
        return shower, cell

    def _key(self, shower: Tensor, cell: Tensor) -> Tensor:
        return shower * len(self.capacity) + self.group[cell]

    def _left_over(self, block: _Block, hit: Tensor) -> tuple[Tensor, Tensor]:
        """Hits and cells that are left to a group before every colour, ``(B G colours,)`` each."""
        size = block.showers * len(self.capacity) * _COLOURS
        colour = self.step % _COLOURS
        shower, cell = hit.nonzero(as_tuple=True)
        hits = torch.bincount(self._key(shower, cell) * _COLOURS + colour[cell], minlength=size)
        cells = torch.bincount(self.group * _COLOURS + colour, minlength=len(self.capacity) * _COLOURS)
        hits = hits.reshape(-1, _COLOURS)
        left = hits.flip(1).cumsum(1).flip(1)
        free = cells.reshape(-1, _COLOURS).flip(1).cumsum(1).flip(1)
        return left.flatten(), free.repeat(block.showers, 1).flatten()

    def _seen(self, state: Tensor, shower: Tensor, cell: Tensor, block: _Block) -> Tensor:
        """The cells around, ``(M, N)`` int8; those that come later are not known."""
        place = self.around[cell]
        index = place + (shower * (self.n_cells + 2))[:, None]
        seen = state.flatten()[index]
        if state is block.state:
            return seen
        # in training all cells are there: hide those that the sampler would not know yet
        undecided = block.state.flatten()[index] == _UNKNOWN
        step = nn.functional.pad(self.step, (0, 2), value=-1)
        later = step[place] >= self.step[cell][:, None]
        return seen.masked_fill(later & undecided, _UNKNOWN)

    def _logits_by_zone(self, block: _Block, cells: _Cells) -> Tensor:
        """``_logit``, but one cell speaks for all of its zone that see no hit: most are such, and alike."""
        none = block.showers * self.n_layers * self.n_zones
        zone = (cells.shower * self.n_layers + self.layer[cells.cell]) * self.n_zones + self.zone[cells.cell]
        zone = torch.where((cells.seen == _HIT).any(1), none, zone)
        own = torch.arange(len(zone), device=zone.device)
        first = own.new_full((none + 1,), len(zone)).scatter_reduce_(0, zone, own, "amin")
        chosen = torch.where(zone == none, own, first[zone])
        asked = chosen == own
        logit = self._logit(block, cells.of(asked.nonzero()[:, 0]))
        return logit[(asked.cumsum(0) - 1)[chosen]]

    def _logit(self, block: _Block, cells: _Cells) -> Tensor:
        colour = nn.functional.one_hot(self.step[cells.cell] % _COLOURS, _COLOURS)
        ring = nn.functional.one_hot(self.ring[cells.cell], self.n_rings)
        left, rest = (values.to(self.radius.dtype) for values in (cells.left, cells.free - cells.left))
        odds = (left + 0.5).log() - (rest + 0.5).log()
        side = (block.side[cells.shower] * self.direction[cells.cell]).sum(1)
        extra = torch.stack([self.radius[cells.cell], side, left.log1p() / 2 - 0.5, odds / 2], dim=1)
        parts = [part.to(extra.dtype) for part in (cells.seen, colour, ring)]
        row = cells.shower * self.n_layers + self.layer[cells.cell]
        logit: Tensor = odds + self.net(torch.cat([*parts, extra], dim=1), block.layers, row)[:, 0]
        return logit


def _around(geometry: Geometry, front: NDArray[np.int64], behind: NDArray[np.int64]) -> NDArray[np.int64]:
    """The cells that every cell sees: ``n_cells`` outside of the grid, ``n_cells + 1`` without a layer."""
    plane, lateral = window(geometry, PLANE_WINDOW), window(geometry, LAYER_WINDOW)
    size, outside = len(plane), geometry.n_cells
    parts = []
    for other, table in ((np.arange(geometry.n_layers), plane), (front, lateral), (behind, lateral)):
        there = np.where(table >= 0, table + other[:, None, None] * size, outside)
        parts.append(np.where(other[:, None, None] >= 0, there, outside + 1))
    return np.concatenate(parts, axis=2).reshape(outside, -1)


def _zones(geometry: Geometry) -> NDArray[np.int64]:
    """Number of every cell, ``(n_cells,)``: one for a ring's cells of about one distance and direction."""
    x, y = geometry.cell_positions[:, 0], geometry.cell_positions[:, 1]
    radius = np.hypot(x, y)
    distance = np.floor(np.log(radius + 0.1 * radius.mean()) / _ZONE).astype(np.int64)
    sector = np.floor(np.arctan2(y, x) / (2 * np.pi) * _SECTORS).astype(np.int64)
    ring = np.tile(ring_of_cell(geometry), geometry.n_layers)
    columns = np.stack([distance - distance.min(), sector + _SECTORS, ring])
    zone = np.ravel_multi_index(tuple(columns), tuple(columns.max(1) + 1))
    return np.unique(zone, return_inverse=True)[1].astype(np.int64)
