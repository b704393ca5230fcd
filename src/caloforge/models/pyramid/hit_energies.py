"""Energies of hit cells: a fourth of them, then the next, which sees the fourths before it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn

from caloforge import shares
from caloforge.geometry.neighbours import neighbours
from caloforge.models.pyramid.groups import group_of_cell, group_sums
from caloforge.models.pyramid.left_over import LeftOver, left_before
from caloforge.models.pyramid.regions import log_radius
from caloforge.models.pyramid.side import ShowerSide
from caloforge.models.totals.energy_sums import with_sums
from caloforge.nn import SetContext, SplineFlow
from caloforge.nn.lookup import find_neighbours, padded_rows
from caloforge.preprocessing.quantiles import QuantileTransform

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from caloforge.geometry import Geometry
    from caloforge.models.base import Noise
    from caloforge.models.pyramid.tree import Parents, Totals
    from caloforge.nn import SplineFlowConfig

__all__ = ["HitEnergies"]

_COLOURS = 4
_PLACE_FEATURES = 4 + _COLOURS
_TRIES = 3  # to draw energies that leave enough to those that follow


@dataclass(frozen=True)
class _Known:
    """What is known of hits before they have energies.

    Attributes:
        features: ``(H, D)``.
        around: Rows of the hits around each, ``(H, N)``.
        earlier: 1 where these have their energies before it, ``(H, N)``.
    """

    features: Tensor
    around: Tensor
    earlier: Tensor

    def of(self, rows: Tensor) -> _Known:
        """Some of the hits."""
        return _Known(self.features[rows], self.around[rows], self.earlier[rows])

    def own(self, left: LeftOver, target: Tensor) -> Tensor:
        """The features, what is left, and the energies ``target`` that there are around each hit."""
        parts = [self.features, left.features, padded_rows(target, self.around) * self.earlier]
        return torch.cat(parts, dim=1)


class HitEnergies(nn.Module):
    """A flow of single cells' energies in four steps, by colour.

    The four cells around a corner have four colours, and so have those of four layers one behind
    the other: a cell is generated given the energies of the cells around it whose colours came before.
    The likelihood of all is the product of the steps'. Which colour comes first is drawn anew for
    every shower in training.

    A cell knows how many hits of its region are left, and how much energy: the last one gets what is
    left. Energies that leave too little to the others are drawn again. What is missing in the end, since
    cells of one colour are drawn together, ``with_sums`` mends.

    Args:
        config: Sizes of the flow.
        geometry: The read-out.
        region: Region of every cell of a layer: the energy of each is given.
        conditions: Size of the condition of a shower.
    """

    around: Tensor
    colour: Tensor
    radius: Tensor
    layer: Tensor
    group: Tensor

    def __init__(
        self, config: SplineFlowConfig, geometry: Geometry, region: NDArray[np.int64], conditions: int
    ) -> None:
        super().__init__()
        self.n_layers, self.n_cells, self.threshold = geometry.n_layers, geometry.n_cells, geometry.threshold
        self.n_regions = int(region.max()) + 1
        around = _cells_around(geometry)
        tables = {
            "around": torch.from_numpy(around),
            "colour": torch.from_numpy(_colours(geometry)),
            "radius": torch.from_numpy(log_radius(geometry)),
            "layer": torch.from_numpy(geometry.cell_layer.astype(np.int64)),
            "group": torch.from_numpy(group_of_cell(region, geometry.n_layers)),
        }
        for name, table in tables.items():
            self.register_buffer(name, table, persistent=False)  # the geometry has them
        self.side = ShowerSide(geometry, region)
        self.scale = QuantileTransform()
        own = self.n_layers + self.n_regions + _PLACE_FEATURES + LeftOver.FEATURES + 3 * around.shape[1]
        self.flow = SplineFlow(1, config, shared=conditions, own=own)

    def fit(self, hits: Parents, energy: Tensor, condition: Tensor) -> None:
        """Take the spectrum of cells ``(H,)`` [MeV], and how much showers lie to one side."""
        self.scale.fit(self._log(energy))
        self.side.fit(hits, energy, condition)

    def log_prob(self, hits: Parents, energy: Tensor, condition: Tensor, rng: torch.Generator) -> Tensor:
        """Log-densities of the cells' energies ``(H,)`` [MeV], of those alone that are not certain.

        Arguments as of ``sample``.
        """
        latent = self.side.latent(hits, energy, condition, rng)
        energy = self.side.tilted(hits, energy, -latent, condition)
        target = self.scale(self._log(energy))
        first = shares.integers(_COLOURS, (len(condition),), rng, device=energy.device)
        step = (self.colour[hits.number] + first[hits.shower]) % _COLOURS
        totals = self.sums(hits, energy)
        left = left_before(hits, self.group[hits.number], step, energy - self.threshold, self._steps)
        own = self._known(hits, step, totals).own(left, target)
        free = (~left.last).nonzero()[:, 0]
        context = SetContext(condition, hits.shower[free], own[free])
        return self.flow.log_prob(target[free, None], context)

    def sample(self, hits: Parents, totals: Tensor, condition: Tensor, side: Tensor, noise: Noise) -> Tensor:
        """Energies ``(H,)`` [MeV] of the cells.

        Args:
            hits: The cells.
            totals: Energies of the layers' regions, ``(B, G)`` [MeV].
            condition: ``(B, C)``.
            side: Latent vectors of ``ShowerSide``, ``(B, 2)``.
            noise: Random numbers.
        """
        z = noise.normal("energies", hits.per_shower, _TRIES)
        counts, _ = self.sums(hits, z[:, 0])
        totals = totals.to(z.dtype)
        wanted = (totals - counts * self.threshold).clamp_min(0.0).flatten()
        excess = self._drawn(hits, (counts, totals), condition, z)
        energy = self.threshold + with_sums(excess, wanted, self._key(hits))
        return self.side.tilted(hits, energy, side, condition)

    def _drawn(self, hits: Parents, totals: Totals, condition: Tensor, z: Tensor) -> Tensor:
        """What hits have above threshold [MeV], colour by colour, ``(H,)``."""
        step, key = self.colour[hits.number], self._key(hits)
        known = self._known(hits, step, totals)
        counts, sums = (values.flatten() for values in totals)
        left = LeftOver(counts, sums - counts * self.threshold)
        target, excess = torch.zeros_like(z[:, 0]), torch.zeros_like(z[:, 0])
        for colour in range(_COLOURS):
            rows = (step == colour).nonzero()[:, 0]
            own = known.of(rows).own(left.of(key[rows]), target)
            drawn = self._affordable((condition[hits.shower[rows]], own), left, key[rows], z[rows])
            excess = excess.index_copy(0, rows, drawn)
            target = target.index_copy(0, rows, self.scale(drawn.log()))
            left = left.less(drawn, key[rows])
        return excess

    def _affordable(self, context: tuple[Tensor, Tensor], left: LeftOver, key: Tensor, z: Tensor) -> Tensor:
        """What hits of one colour have [MeV], ``(M,)``; drawn again if it leaves too little to the others."""
        given = left.of(key)
        drawn, again = given.mean, torch.ones_like(key, dtype=torch.bool)
        for attempt in z.unbind(1):
            tried = (again & ~given.last).nonzero()[:, 0]
            some = SetContext(context[0][tried], own=context[1][tried])
            found = self.scale.inverse(self.flow.sample(attempt[tried, None], some)[:, 0]).exp()
            drawn = drawn.index_copy(0, tried, found)
            again = left.less(drawn, key).too_little[key]
            if not bool(again.any()):
                break
        return torch.where(again, given.mean, drawn)

    def sums(self, hits: Parents, energy: Tensor) -> tuple[Tensor, Tensor]:
        """Hits and energies of all regions of the layers, ``(B, G)`` each."""
        return group_sums(hits, self.group, energy, self._steps[0])

    @property
    def _steps(self) -> tuple[int, int]:
        """Groups and colours."""
        return self.n_layers * self.n_regions, _COLOURS

    def _key(self, hits: Parents) -> Tensor:
        """The hits' groups, counted through all showers, ``(H,)``."""
        return hits.shower * self._steps[0] + self.group[hits.number]

    def _log(self, energy: Tensor) -> Tensor:
        # what a cell has above threshold: no generated hit can fall below it
        return (energy - self.threshold).clamp_min(1e-4 * max(self.threshold, 1e-3)).log()

    def _known(self, hits: Parents, step: Tensor, totals: Totals) -> _Known:
        """Place, hits and mean energy of the region, hits around."""
        around = find_neighbours(hits.shower, hits.number, self.around[hits.number], size=self.n_cells)
        last = torch.full_like(step[:1], _COLOURS)
        earlier = torch.cat([step, last])[around] < step[:, None]
        layer, radius = self.layer[hits.number], self.radius[hits.number]
        group = self.group[hits.number]
        counts, sums = (values[hits.shower, group] for values in totals)
        mean = (sums / counts.clamp_min(1.0) - self.threshold).clamp_min(1e-4)
        place = [radius, radius.square(), counts.clamp_min(1.0).log() - 2.0, mean.log()]
        parts = [
            nn.functional.one_hot(layer, self.n_layers),
            nn.functional.one_hot(group % self.n_regions, self.n_regions),
            torch.stack(place, dim=1),
            nn.functional.one_hot(step, _COLOURS),
            around < len(around),
            earlier,
        ]
        features = torch.cat([part.to(mean.dtype) for part in parts], dim=1)
        return _Known(features, around, earlier.to(mean.dtype))


def _cells_around(geometry: Geometry) -> NDArray[np.int64]:
    """The cells beside every cell, diagonal ones too, and one and two layers on, ``(n_cells, N)``; or -1."""
    both = {name: (table, _inverse(table)) for name, table in neighbours(geometry).items()}
    lateral = [pair for name, pair in both.items() if "layer" not in name]
    tables = [table for pair in both.values() for table in pair]
    tables += [_then(a, b) for a in lateral[0] for b in lateral[1]] if len(lateral) > 1 else []
    return np.stack(tables or [np.full(geometry.n_cells, -1)], axis=1)


def _inverse(table: NDArray[np.int64]) -> NDArray[np.int64]:
    back = np.full(len(table), -1)
    there = np.flatnonzero(table >= 0)
    back[table[there]] = there
    return back


def _then(first: NDArray[np.int64], second: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.where(first >= 0, second[first], -1)


def _colours(geometry: Geometry) -> NDArray[np.int64]:
    """0 to 3 around a corner, one on in every layer, ``(n_cells,)``: no two cells around have one colour."""
    one, other = (index.ravel() % 2 for index in np.indices(geometry.layers[0].grid.shape))
    corner = np.where(one == 0, other, 3 - other)
    return ((np.arange(geometry.n_layers)[:, None] + corner) % _COLOURS).ravel()
