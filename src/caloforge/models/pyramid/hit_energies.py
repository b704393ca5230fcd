"""Energies of hit cells: first every second one, then the others, which see them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn

from caloforge.geometry.neighbours import neighbours
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

_PLACE_FEATURES = 5


@dataclass(frozen=True)
class _Known:
    """What is known of hits before they have energies.

    Attributes:
        features: ``(H, D)``.
        faces: Rows of the hits that share a face with each, ``(H, F)``.
        colour: 1 for the second half, 0 for the first, ``(H,)``.
    """

    features: Tensor
    faces: Tensor
    colour: Tensor

    def of(self, rows: Tensor) -> _Known:
        """Some of the hits."""
        return _Known(self.features[rows], self.faces[rows], self.colour[rows])

    def own(self, target: Tensor) -> Tensor:
        """The features, and for the second half the energies ``target`` of those that share a face."""
        return torch.cat([self.features, padded_rows(target, self.faces) * self.colour[:, None]], dim=1)


class HitEnergies(nn.Module):
    """A flow of single cells' energies in two halves, coloured like a chess board.

    Cells that share a face are of different colours: the second half is generated given the
    energies of its neighbours in the first. The likelihood of all is the product of both. Which
    colour comes first is drawn anew for every shower in training.

    Args:
        config: Sizes of the flow.
        geometry: The read-out.
        conditions: Size of the condition of a shower.
    """

    faces: Tensor
    corners: Tensor
    colour: Tensor
    radius: Tensor
    layer: Tensor

    def __init__(self, config: SplineFlowConfig, geometry: Geometry, conditions: int) -> None:
        super().__init__()
        self.n_layers, self.n_cells, self.threshold = geometry.n_layers, geometry.n_cells, geometry.threshold
        faces, corners = _neighbour_tables(geometry)
        tables = {
            "faces": torch.from_numpy(faces),
            "corners": torch.from_numpy(corners),
            "colour": torch.from_numpy(_colours(geometry)),
            "radius": torch.from_numpy(_log_radius(geometry)),
            "layer": torch.from_numpy(geometry.cell_layer.astype(np.int64)),
        }
        for name, table in tables.items():
            self.register_buffer(name, table, persistent=False)  # the geometry has them
        self.scale = QuantileTransform()
        own = self.n_layers + _PLACE_FEATURES + 2 * faces.shape[1] + corners.shape[1]
        self.flow = SplineFlow(1, config, shared=conditions, own=own)

    def fit(self, energy: Tensor) -> None:
        """Take the spectrum of cells ``(H,)`` [MeV]."""
        self.scale.fit(self._log(energy))

    def log_prob(self, hits: Parents, energy: Tensor, condition: Tensor, rng: torch.Generator) -> Tensor:
        """Log-densities ``(H,)`` of the cells' energies ``(H,)`` [MeV]; arguments as of ``sample``."""
        target = self.scale(self._log(energy))
        flip = torch.randint(2, (len(condition),), generator=rng, device=energy.device)
        second = (self.colour[hits.number] + flip[hits.shower]) % 2 == 1
        known = self._known(hits, second, self.layer_sums(hits, energy))
        return self.flow.log_prob(target[:, None], SetContext(condition, hits.shower, known.own(target)))

    def sample(self, hits: Parents, layers: Tensor, condition: Tensor, noise: Noise) -> Tensor:
        """Energies ``(H,)`` [MeV] of the cells.

        Args:
            hits: The cells.
            layers: Energies of the layers, ``(B, L)`` [MeV].
            condition: ``(B, C)``.
            noise: Random numbers.
        """
        z = noise.normal("energies", hits.per_shower, 1)
        second = self.colour[hits.number] == 1
        layers = layers.to(z.dtype)
        counts, _ = self.layer_sums(hits, z[:, 0])
        known = self._known(hits, second, (counts, layers))
        target = torch.zeros_like(z[:, 0])
        for half in (~second, second):
            rows = half.nonzero()[:, 0]
            own = known.of(rows).own(target)
            drawn = self.flow.sample(z[rows], SetContext(condition, hits.shower[rows], own))
            target = target.index_copy(0, rows, drawn[:, 0])
        excess = self.scale.inverse(target).exp()
        factor = (layers - counts * self.threshold).clamp_min(0.0)
        factor = factor / self.layer_sums(hits, excess)[1].clamp_min(1e-12)
        return self.threshold + excess * factor[hits.shower, self.layer[hits.number]]

    def layer_sums(self, hits: Parents, energy: Tensor) -> tuple[Tensor, Tensor]:
        """Hits and energies of the layers, ``(B, L)`` each."""
        showers = len(hits.per_shower)
        key = hits.shower * self.n_layers + self.layer[hits.number]
        zeros = energy.new_zeros(showers * self.n_layers)
        counts, sums = (zeros.index_add(0, key, v) for v in (torch.ones_like(energy), energy))
        return counts.reshape(showers, -1), sums.reshape(showers, -1)

    def _log(self, energy: Tensor) -> Tensor:
        # what a cell has above threshold: no generated hit can fall below it
        return (energy - self.threshold).clamp_min(1e-4 * max(self.threshold, 1e-3)).log()

    def _known(self, hits: Parents, second: Tensor, layers: tuple[Tensor, Tensor]) -> _Known:
        """Place, layer's hits and mean energy, neighbours' hits."""
        faces, corners = (self._rows(hits, table) for table in (self.faces, self.corners))
        layer, radius = self.layer[hits.number], self.radius[hits.number]
        counts, sums = (values[hits.shower, layer] for values in layers)
        mean = (sums / counts.clamp_min(1.0) - self.threshold).clamp_min(1e-4)
        colour = second.to(mean.dtype)
        place = [radius, radius.square(), counts.clamp_min(1.0).log() - 2.0, mean.log(), colour]
        parts = [
            nn.functional.one_hot(layer, self.n_layers).to(mean.dtype),
            torch.stack(place, dim=1),
            (faces < len(faces)).to(mean.dtype),
            (corners < len(corners)).to(mean.dtype),
        ]
        return _Known(torch.cat(parts, dim=1), faces, colour)

    def _rows(self, hits: Parents, table: Tensor) -> Tensor:
        return find_neighbours(hits.shower, hits.number, table[hits.number], size=self.n_cells)


def _neighbour_tables(geometry: Geometry) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Cells that share a face with every cell, and further ones (diagonals, two layers on)."""
    ahead = neighbours(geometry)
    both = {name: (table, _inverse(table)) for name, table in ahead.items()}
    lateral = [both[name] for name in both if "layer" not in name]
    faces = [t for pair in (*lateral, both["next layer"]) for t in pair] if "next layer" in both else []
    faces = faces or [t for pair in lateral for t in pair]
    corners = [_then(a, b) for a in lateral[0] for b in lateral[-1]] if len(lateral) > 1 else []
    corners += list(both.get("layer after next", ()))
    nothing = np.full(geometry.n_cells, -1)
    return np.stack(faces or [nothing], axis=1), np.stack(corners or [nothing], axis=1)


def _inverse(table: NDArray[np.int64]) -> NDArray[np.int64]:
    back = np.full(len(table), -1)
    there = np.flatnonzero(table >= 0)
    back[table[there]] = there
    return back


def _then(first: NDArray[np.int64], second: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.where(first >= 0, second[first], -1)


def _colours(geometry: Geometry) -> NDArray[np.int64]:
    one, other = np.indices(geometry.layers[0].grid.shape)
    lateral = (one + other).ravel()
    return ((np.arange(geometry.n_layers)[:, None] + lateral) % 2).ravel()


def _log_radius(geometry: Geometry) -> NDArray[np.float32]:
    """Logarithm of the distance from the axis, of order one."""
    radius = np.linalg.norm(geometry.cell_positions[:, :2], axis=1)
    log = np.log(radius + 0.1 * radius.mean())
    scaled: NDArray[np.float32] = ((log - log.mean()) / log.std()).astype(np.float32)
    return scaled
