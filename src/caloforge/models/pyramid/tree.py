"""Hit layers, clusters and cells of a block of showers, and what a stage knows of the stage above."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import nn

from caloforge.geometry.clusters import find_clusters
from caloforge.nn import SetContext, segment_sum
from caloforge.nn.lookup import find_neighbours

if TYPE_CHECKING:
    from torch import Tensor

    from caloforge.geometry import Geometry

__all__ = ["Parents", "PyramidTree", "Totals", "sums_by_layer"]

Totals = tuple["Tensor", "Tensor"]  # hits and energies [MeV] of layers, or of their regions, (B, G) each


@dataclass(frozen=True)
class Parents:
    """Hit layers, clusters or cells of some showers, rising by shower and number.

    Attributes:
        shower: Shower of each, ``(M,)``.
        number: Layer, or cluster or cell of the calorimeter, ``(M,)``.
        per_shower: How many every shower has, ``(B,)``.
    """

    shower: Tensor
    number: Tensor
    per_shower: Tensor

    @classmethod
    def marked(cls, hit: Tensor) -> Parents:
        """The marked columns of ``hit``, ``(B, n)`` bool."""
        shower, number = hit.nonzero(as_tuple=True)
        return cls(shower, number, hit.sum(1))


class PyramidTree(nn.Module):
    """Cells joined to clusters, clusters to layers.

    Args:
        geometry: The read-out; all layers have one grid.
        block: Cells along a side of the clusters of square cells.
    """

    kind: Tensor
    cells: Tensor
    cluster: Tensor
    place: Tensor
    around: Tensor

    def __init__(self, geometry: Geometry, block: int) -> None:
        super().__init__()
        clusters = find_clusters(geometry, block)
        self.n_layers, self.per_layer = geometry.n_layers, clusters.per_layer
        self.size, self.n_kinds = clusters.size, clusters.n_kinds
        for name in ("kind", "cells", "cluster", "place", "around"):
            table = torch.from_numpy(getattr(clusters, name))
            self.register_buffer(name, table, persistent=False)  # the geometry has them

    @property
    def layer_features(self) -> int:
        """Size of ``own`` in ``layer_context``."""
        return self.n_layers + 8

    @property
    def cluster_features(self) -> int:
        """Size of ``own`` in ``cluster_context``."""
        return self.n_layers + self.n_kinds + self.around.shape[1] + 9

    @property
    def cluster_neighbours(self) -> int:
        """Neighbours of a cluster."""
        return self.around.shape[1]

    def hit_clusters(self, hits: Parents) -> tuple[Parents, Tensor]:
        """Clusters with a hit cell, and which of their places are hit, ``(M, size)`` bool."""
        total = self.n_layers * self.per_layer
        keys, row = torch.unique(hits.shower * total + self.cluster[hits.number], return_inverse=True)
        hit = torch.zeros(len(keys), self.size, dtype=torch.bool, device=row.device)
        hit[row, self.place[hits.number]] = True
        owner = keys // total
        return Parents(owner, keys % total, torch.bincount(owner, minlength=len(hits.per_shower))), hit

    def hit_layers(self, clusters: Parents) -> tuple[Parents, Tensor]:
        """Layers with a hit cluster, and which of their clusters are hit, ``(M, per_layer)`` bool."""
        showers = len(clusters.per_shower)
        pattern = torch.zeros(
            showers, self.n_layers * self.per_layer, dtype=torch.bool, device=clusters.number.device
        )
        pattern[clusters.shower, clusters.number] = True
        layers = pattern.reshape(showers, self.n_layers, self.per_layer)
        parents = Parents.marked(layers.any(dim=2))
        return parents, layers[parents.shower, parents.number]

    def layer_pattern(self, layers: Parents) -> Tensor:
        """Which layers are hit, ``(B, L)`` bool."""
        pattern = torch.zeros(
            len(layers.per_shower), self.n_layers, dtype=torch.bool, device=layers.number.device
        )
        pattern[layers.shower, layers.number] = True
        return pattern

    def layer_context(self, layers: Parents, totals: Totals, condition: Tensor) -> SetContext:
        """What the clusters of hit layers are chosen by: the energy, the layers' totals, the place."""
        beside = torch.stack([layers.number - 1, layers.number + 1], dim=1)
        beside = torch.where(beside < self.n_layers, beside, -1)
        rows = find_neighbours(layers.shower, layers.number, beside, size=self.n_layers)
        flags = (rows < len(rows)).to(condition.dtype)
        near = self._near(layers.shower, layers.number, totals, condition)
        own = torch.cat([_one_hot(layers.number, self.n_layers, condition), flags, near], dim=1)
        share = layers.per_shower[:, None].to(condition.dtype) / self.n_layers
        shared = torch.cat([condition, 2 * share - 1], dim=1)
        return SetContext(shared, layers.shower, own, rows)

    def cluster_context(self, clusters: Parents, totals: Totals, condition: Tensor) -> SetContext:
        """What the cells of hit clusters are chosen by: the energy, the clusters around, the place."""
        total = self.n_layers * self.per_layer
        around = self.around[clusters.number]
        rows = find_neighbours(clusters.shower, clusters.number, around, size=total)
        layer = clusters.number // self.per_layer
        own = [
            _one_hot(layer, self.n_layers, condition),
            _one_hot(self.kind[clusters.number % self.per_layer], self.n_kinds, condition),
            (rows < len(rows)).to(condition.dtype),
            self._crowd(clusters.shower, layer, len(clusters.per_shower), condition),
            self._near(clusters.shower, layer, totals, condition),
        ]
        share = (clusters.per_shower[:, None] / total).sqrt().to(condition.dtype)
        shared = torch.cat([condition, 4 * share - 1], dim=1)
        return SetContext(shared, clusters.shower, torch.cat(own, dim=1), rows)

    def kinds_of(self, clusters: Parents) -> Tensor:
        """Kind of every cluster, ``(M,)``."""
        return self.kind[clusters.number % self.per_layer]

    def _near(self, shower: Tensor, layer: Tensor, totals: Totals, like: Tensor) -> Tensor:
        """Hits and energies of a layer, of that before and of that behind it, ``(M, 6)``."""
        scaled = (t.clamp_min(0.0).log1p() / 3 - 1 for t in totals)
        padded = [torch.nn.functional.pad(t, (1, 1), value=-1.0) for t in scaled]
        columns = [t[shower, layer + shift] for t in padded for shift in (0, 1, 2)]
        return torch.stack(columns, dim=1).to(like.dtype)

    def _crowd(self, shower: Tensor, layer: Tensor, showers: int, like: Tensor) -> Tensor:
        """How many clusters are hit in the layer of a cluster, in that before and behind it."""
        number = torch.bincount(shower * self.n_layers + layer, minlength=showers * self.n_layers)
        padded = torch.nn.functional.pad(number.reshape(showers, self.n_layers), (1, 1)).to(like.dtype)
        columns = [padded[shower, layer + shift] for shift in (0, 1, 2)]
        return 2 * (torch.stack(columns, dim=1) / self.per_layer).sqrt() - 1


def sums_by_layer(hits: Parents, layer: Tensor, values: Tensor, n_layers: int) -> Tensor:
    """Sum ``values`` ``(H, F)`` of hits over every layer of every shower, ``(B, L, F)``."""
    showers = len(hits.per_shower)
    sums = segment_sum(values, hits.shower * n_layers + layer, showers * n_layers)
    return sums.reshape(showers, n_layers, values.shape[1])


def _one_hot(index: Tensor, size: int, like: Tensor) -> Tensor:
    return torch.nn.functional.one_hot(index, size).to(like.dtype)
