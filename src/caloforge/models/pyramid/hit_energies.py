"""Energies of hit cells: a fourth of them, then the next, which sees the fourths before it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn

from caloforge.geometry.neighbours import neighbours
from caloforge.models.pyramid.groups import group_of_cell, group_sums
from caloforge.models.pyramid.regions import log_radius
from caloforge.models.pyramid.side import ShowerSide
from caloforge.nn import SetContext, SplineFlow
from caloforge.nn.lookup import find_neighbours, padded_rows
from caloforge.preprocessing.quantiles import QuantileTransform

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from caloforge.geometry import Geometry
    from caloforge.models.base import Noise
    from caloforge.models.pyramid.tree import Parents
    from caloforge.nn import SplineFlowConfig

__all__ = ["HitEnergies"]

_COLOURS = 4
_PLACE_FEATURES = 4 + _COLOURS


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

    def own(self, target: Tensor) -> Tensor:
        """The features, and the energies ``target`` that there are around each hit."""
        return torch.cat([self.features, padded_rows(target, self.around) * self.earlier], dim=1)


class HitEnergies(nn.Module):
    """A flow of single cells' energies in four steps, by colour.

    The four cells around a corner have four colours, and so have those of four layers one behind
    the other: a cell is generated given the energies of the cells around it whose colours came before.
    The likelihood of all is the product of the steps'. Which colour comes first is drawn anew for
    every shower in training.

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
        own = self.n_layers + self.n_regions + _PLACE_FEATURES + 3 * around.shape[1]
        self.flow = SplineFlow(1, config, shared=conditions, own=own)

    def fit(self, hits: Parents, energy: Tensor, condition: Tensor) -> None:
        """Take the spectrum of cells ``(H,)`` [MeV], and how much showers lie to one side."""
        self.scale.fit(self._log(energy))
        self.side.fit(hits, energy, condition)

    def log_prob(self, hits: Parents, energy: Tensor, condition: Tensor, rng: torch.Generator) -> Tensor:
        """Log-densities ``(H,)`` of the cells' energies ``(H,)`` [MeV]; arguments as of ``sample``."""
        latent = self.side.latent(hits, energy, condition, rng)
        target = self.scale(self._log(self.side.tilted(hits, energy, -latent, condition)))
        first = torch.randint(_COLOURS, (len(condition),), generator=rng, device=energy.device)
        step = (self.colour[hits.number] + first[hits.shower]) % _COLOURS
        known = self._known(hits, step, self.sums(hits, energy))
        return self.flow.log_prob(target[:, None], SetContext(condition, hits.shower, known.own(target)))

    def sample(self, hits: Parents, totals: Tensor, condition: Tensor, side: Tensor, noise: Noise) -> Tensor:
        """Energies ``(H,)`` [MeV] of the cells.

        Args:
            hits: The cells.
            totals: Energies of the layers' regions, ``(B, G)`` [MeV].
            condition: ``(B, C)``.
            side: Latent vectors of ``ShowerSide``, ``(B, 2)``.
            noise: Random numbers.
        """
        z = noise.normal("energies", hits.per_shower, 1)
        step = self.colour[hits.number]
        totals = totals.to(z.dtype)
        counts, _ = self.sums(hits, z[:, 0])
        known = self._known(hits, step, (counts, totals))
        target = torch.zeros_like(z[:, 0])
        for colour in range(_COLOURS):
            rows = (step == colour).nonzero()[:, 0]
            own = known.of(rows).own(target)
            drawn = self.flow.sample(z[rows], SetContext(condition, hits.shower[rows], own))
            target = target.index_copy(0, rows, drawn[:, 0])
        excess = self.scale.inverse(target).exp()
        factor = (totals - counts * self.threshold).clamp_min(0.0)
        factor = factor / self.sums(hits, excess)[1].clamp_min(1e-12)
        energy = self.threshold + excess * factor[hits.shower, self.group[hits.number]]
        return self.side.tilted(hits, energy, side, condition)

    def sums(self, hits: Parents, energy: Tensor) -> tuple[Tensor, Tensor]:
        """Hits and energies of all regions of the layers, ``(B, G)`` each."""
        return group_sums(hits, self.group, energy, self.n_layers * self.n_regions)

    def _log(self, energy: Tensor) -> Tensor:
        # what a cell has above threshold: no generated hit can fall below it
        return (energy - self.threshold).clamp_min(1e-4 * max(self.threshold, 1e-3)).log()

    def _known(self, hits: Parents, step: Tensor, totals: tuple[Tensor, Tensor]) -> _Known:
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
