"""Hit cells as sets of sets: hit layers, the rings or blocks in them, the cells in these."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np
import torch
from pydantic import Field
from torch import nn

from caloforge import shares
from caloforge.models.pyramid.choice import ChoiceFlow
from caloforge.models.pyramid.flow_totals import FlowTotals
from caloforge.models.pyramid.tree import Parents, PyramidTree, Totals
from caloforge.nn import SetContext, SetSummaryConfig, SplineFlowConfig
from caloforge.nn.conditioners import ConditionerConfig
from caloforge.records import Record

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from caloforge.geometry import Geometry
    from caloforge.models.base import Noise

__all__ = ["SetHits", "SetsConfig"]

_WIDE = ConditionerConfig(hidden=(256, 256))
_SUMMARY = SetSummaryConfig(element=(128, 128), pooled=128, reduced=(), outputs=64)
_SETS = SplineFlowConfig(transforms=10, conditioner=_WIDE, summary=_SUMMARY)
_CHOICE = SplineFlowConfig(transforms=8, conditioner=_WIDE)


class SetsConfig(Record):
    """Sizes of the poster's stages."""

    kind: Literal["sets"] = "sets"
    """Tells these from ``StepsConfig``."""
    block: int = Field(default=5, ge=1, le=1000)
    """Cells along a side of the blocks of square cells."""
    layers: SplineFlowConfig = _CHOICE
    """Flow of the hit layers."""
    clusters: SplineFlowConfig = _SETS
    """Flow of the hit rings or blocks."""
    cells: SplineFlowConfig = _SETS
    """Flow of the hit cells."""
    totals: SplineFlowConfig = _CHOICE
    """Flow of the layers' numbers of hits and energies."""
    contained: bool = False
    """Whether showers are contained, so that the visible energy fluctuates less than any layer's
    energy: these are scaled to it then.
    """
    reach: float = Field(default=0.0, ge=0, le=1e6)
    """Noise of the clusters and cells beyond it counts as it; 0: all noise as it is. A flow that is not
    perfect leaks in its tails, where single hits far from the axis come from.
    """


class SetHits(nn.Module):
    """The poster's stages: every one draws how many parts are hit, and which.

    Args:
        config: Sizes.
        geometry: The read-out; all layers have one grid.
        conditions: Size of the condition of a shower.
    """

    trained = ("layers", "totals", "clusters", "cells")

    def __init__(self, config: SetsConfig, geometry: Geometry, conditions: int) -> None:
        super().__init__()
        self.config = config
        self.n_cells = geometry.n_cells
        self.tree = tree = PyramidTree(geometry, config.block)
        self.layers = ChoiceFlow(config.layers, tree.n_layers, 1, shared=conditions)
        self.clusters = ChoiceFlow(
            config.clusters,
            tree.per_layer,
            tree.n_layers,
            shared=conditions + 1,
            own=tree.layer_features,
            neighbours=2,
            places=tree.n_layers,
        )
        self.cells = ChoiceFlow(
            config.cells,
            tree.size,
            tree.n_kinds,
            shared=conditions + 1,
            own=tree.cluster_features,
            neighbours=tree.cluster_neighbours,
            places=tree.n_layers * tree.per_layer,
        )
        self.totals = FlowTotals(
            config.totals, tree.n_layers, geometry.threshold, conditions, contained=config.contained
        )

    @property
    def region(self) -> NDArray[np.int64]:
        """All cells of a layer share its totals, ``(cells of a layer,)``."""
        return np.zeros(self.n_cells // self.tree.n_layers, dtype=np.int64)

    def fit(
        self,
        hits: Parents,
        totals: Totals,
        incident: Tensor,  # noqa: ARG002 (other kinds of hits need it)
        condition: Tensor,
        rng: torch.Generator,
    ) -> None:
        """Count numbers of hits and take the totals' scales, unless they came with weights."""
        clusters, cell_hit = self.tree.hit_clusters(hits)
        layers, cluster_hit = self.tree.hit_layers(clusters)
        if not self.layers.number.is_fitted:
            self.layers.fit(self.tree.layer_pattern(layers), None, None)
        if not self.clusters.number.is_fitted:
            self.clusters.fit(cluster_hit, layers.number, layers.number)
        if not self.cells.number.is_fitted:
            self.cells.fit(cell_hit, self.tree.kinds_of(clusters), clusters.number)
        if not self.totals.is_fitted:
            self.totals.fit(*totals, condition, rng)

    def loss(
        self,
        hits: Parents,
        totals: Totals,
        condition: Tensor,
        side: Tensor,  # noqa: ARG002 (other kinds of hits need it)
        *,
        turn: str,
        rng: torch.Generator,
    ) -> Tensor:
        """Negative log-likelihood per number of a stage."""
        if turn == "totals":
            return -self.totals.log_prob(*totals, condition, rng).mean() / self.totals.features
        clusters, cell_hit = self.tree.hit_clusters(hits)
        if turn == "cells":
            context = self.tree.cluster_context(clusters, totals, condition)
            log_prob = self.cells.log_prob(cell_hit, self.tree.kinds_of(clusters), context, rng)
            return -shares.mean(log_prob) / (self.tree.size + 1)
        layers, cluster_hit = self.tree.hit_layers(clusters)
        if turn == "clusters":
            context = self.tree.layer_context(layers, totals, condition)
            log_prob = self.clusters.log_prob(cluster_hit, layers.number, context, rng)
            return -shares.mean(log_prob) / (self.tree.per_layer + 1)
        pattern = self.tree.layer_pattern(layers)
        log_prob = self.layers.log_prob(pattern, None, SetContext(condition), rng)
        return -shares.mean(log_prob) / (self.tree.n_layers + 1)

    def draw_totals(
        self,
        incident: Tensor,  # noqa: ARG002 (other kinds of hits need it)
        condition: Tensor,
        noise: Noise,
    ) -> Totals:
        """Hits and energies [MeV] of the layers, ``(B, L)`` each."""
        z = noise.normal("layers", 1, self.tree.n_layers + 1)
        layers = Parents.marked(self.layers.sample(z, None, None, SetContext(condition)))
        return self.totals.sample(self.tree.layer_pattern(layers), condition, noise)

    def sample(
        self,
        totals: Totals,
        condition: Tensor,
        side: Tensor,  # noqa: ARG002 (other kinds of hits need it)
        noise: Noise,
    ) -> Parents:
        """The hit cells of showers with these totals."""
        layers = Parents.marked(totals[0] > 0)
        clusters = self._draw_clusters(layers, totals, condition, noise)
        return self._draw_cells(clusters, totals, condition, noise)

    def _draw_clusters(self, layers: Parents, totals: Totals, condition: Tensor, noise: Noise) -> Parents:
        z = self._within(noise.normal("clusters", layers.per_shower, self.tree.per_layer + 1))
        hit = self.clusters.sample(
            z, layers.number, layers.number, self.tree.layer_context(layers, totals, condition)
        )
        row, place = hit.nonzero(as_tuple=True)
        shower = layers.shower[row]
        number = layers.number[row] * self.tree.per_layer + place
        return Parents(shower, number, torch.bincount(shower, minlength=len(condition)))

    def _draw_cells(self, clusters: Parents, totals: Totals, condition: Tensor, noise: Noise) -> Parents:
        z = self._within(noise.normal("cells", clusters.per_shower, self.tree.size + 1))
        context = self.tree.cluster_context(clusters, totals, condition)
        hit = self.cells.sample(z, self.tree.kinds_of(clusters), clusters.number, context)
        row, place = hit.nonzero(as_tuple=True)
        shower, cell = clusters.shower[row], self.tree.cells[clusters.number[row], place]
        order = (shower * self.n_cells + cell).argsort()
        return Parents(shower[order], cell[order], torch.bincount(shower, minlength=len(condition)))

    def _within(self, noise: Tensor) -> Tensor:
        reach = self.config.reach
        return noise.clamp(-reach, reach) if reach else noise
