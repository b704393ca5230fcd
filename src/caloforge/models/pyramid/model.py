"""The Calorimeter Pyramid: which layers are hit, which rings or blocks in them, which cells, how much.

Source: S. Schnake et al., "The Calorimeter Pyramid" (poster). Three stages choose hit cells as sets:
layers (a spline coupling flow), then the rings (polar grids) or blocks (square cells) of every hit
layer, then the cells of every hit ring or block (permutation-invariant spline coupling flows over
the variable number of parents). Every stage draws the number of hit parts by CDF dequantisation and
the parts themselves by Gumbel top-k, so that a cell is never hit twice.

The poster stops at the hit cells and publishes no sizes. Built here besides, or mended:

* its Gumbel targets decode to another pattern in one pair of parts out of a thousand: ours never do;
* a flow leaves some probability to what never happens, and the core of a shower would have holes: parts
  that were hit in all training showers, given where and how many are hit, always are;
* parents see the untransformed halves of their neighbours (in front, behind and beside them) and a
  summary of all: hits in neighbouring layers follow each other;
* the energy stage that the poster leaves open. Its first half stands at the top, behind the hit
  layers: a flow of every hit layer's number of hits and energy, on which rings, blocks and cells are
  conditioned. Without it nothing that all layers share (how deep a shower lies) came down to the
  cells. Its second half ends the chain: a flow of the cells' energies in four steps, each of which
  sees those before, and a tilt to the side that a shower is on as a whole. What a cell has above
  threshold is modelled, so that every chosen cell stays hit and the soft end of the spectrum is where
  it belongs; every layer has the energy it was given.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import torch
from pydantic import Field

from caloforge.models.assembly import cells_to_cloud
from caloforge.models.base import GenerativeModel, ModelConfig, Stage
from caloforge.models.bounds import Bounds
from caloforge.models.pyramid.choice import ChoiceFlow
from caloforge.models.pyramid.hit_energies import HitEnergies
from caloforge.models.pyramid.layer_totals import LayerTotals
from caloforge.models.pyramid.tree import Parents, PyramidTree, Totals
from caloforge.nn import SetContext, SetSummaryConfig, SplineFlowConfig
from caloforge.nn.conditioners import ConditionerConfig
from caloforge.preprocessing import Conditions

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from caloforge.geometry import Geometry
    from caloforge.models.base import Batch, Cloud, Noise

__all__ = ["Pyramid", "PyramidConfig"]

_WIDE = ConditionerConfig(hidden=(256, 256))
_SUMMARY = SetSummaryConfig(element=(128, 128), pooled=128, reduced=(), outputs=64)
_SETS = SplineFlowConfig(transforms=10, conditioner=_WIDE, summary=_SUMMARY)


class PyramidConfig(ModelConfig):
    """Configuration of the pyramid; the sizes are ours, for the poster has none."""

    block: int = Field(default=5, ge=1, le=1000)
    """Cells along a side of the blocks of square cells."""
    layers: SplineFlowConfig = SplineFlowConfig(transforms=8, conditioner=_WIDE)
    """Flow of the hit layers."""
    clusters: SplineFlowConfig = _SETS
    """Flow of the hit rings or blocks."""
    cells: SplineFlowConfig = _SETS
    """Flow of the hit cells."""
    totals: SplineFlowConfig = SplineFlowConfig(transforms=8, conditioner=_WIDE)
    """Flow of the layers' numbers of hits and energies."""
    energies: SplineFlowConfig = SplineFlowConfig(transforms=2, bins=16, conditioner=_WIDE)
    """Flow of the cells' energies."""
    contained: bool = False
    """Whether showers are contained, so that the visible energy fluctuates less than any layer's energy:
    these are scaled to it then."""
    reach: float = Field(default=0.0, ge=0, le=1e6)
    """Noise of the clusters and cells beyond it counts as it; 0: all noise as it is. A flow that is not
    perfect leaks in its tails, where single hits far from the axis come from."""


class Pyramid(GenerativeModel):
    """The Calorimeter Pyramid.

    Args:
        config: Sizes.
        geometry: The read-out; all layers have one grid.
    """

    name: ClassVar[str] = "pyramid"
    config_class: ClassVar[type[ModelConfig]] = PyramidConfig
    uses_cells: ClassVar[bool] = True
    config: PyramidConfig

    def __init__(self, config: PyramidConfig, geometry: Geometry) -> None:
        super().__init__(config, geometry)
        self.conditions = Conditions(angles=False, log=True)
        self.tree = tree = PyramidTree(geometry, config.block)
        size = self.conditions.features
        self.layers = ChoiceFlow(config.layers, tree.n_layers, 1, shared=size)
        self.clusters = ChoiceFlow(
            config.clusters,
            tree.per_layer,
            tree.n_layers,
            shared=size + 1,
            own=tree.layer_features,
            neighbours=2,
            places=tree.n_layers,
        )
        self.cells = ChoiceFlow(
            config.cells,
            tree.size,
            tree.n_kinds,
            shared=size + 1,
            own=tree.cluster_features,
            neighbours=tree.cluster_neighbours,
            places=tree.n_layers * tree.per_layer,
        )
        threshold = geometry.threshold
        self.totals = LayerTotals(config.totals, tree.n_layers, threshold, size, contained=config.contained)
        self.energies = HitEnergies(config.energies, geometry, size)

    def stages(self) -> Sequence[Stage]:
        """Layers, their totals, clusters, cells, energies: independent of each other in training."""
        names = ("layers", "totals", "clusters", "cells", "energies")
        return tuple(Stage(name, name, modules=(name,)) for name in names)

    def timed_parts(self) -> dict[str, str]:
        """All five flows."""
        return {stage.name: stage.name for stage in self.stages()}

    def prepare(self, sample: Batch, rng: torch.Generator) -> None:
        """Count numbers of hits and take the energies' scales, unless they came with weights."""
        if not self.conditions.is_fitted:
            self.conditions.fit(sample.energy, sample.direction.norm(dim=-1))
        hits, energy = self._hits_of(sample)
        clusters, cell_hit = self.tree.hit_clusters(hits)
        layers, cluster_hit = self.tree.hit_layers(clusters)
        if not self.layers.number.is_fitted:
            self.layers.fit(self.tree.layer_pattern(layers), None, None)
        if not self.clusters.number.is_fitted:
            self.clusters.fit(cluster_hit, layers.number, layers.number)
        if not self.cells.number.is_fitted:
            self.cells.fit(cell_hit, self.tree.kinds_of(clusters), clusters.number)
        condition = self.conditions(sample.energy, sample.direction)
        if not self.totals.is_fitted:
            self.totals.fit(*self.energies.layer_sums(hits, energy), condition, rng)
        if not self.energies.scale.is_fitted:
            self.energies.fit(hits, energy, condition)

    def loss(self, batch: Batch, *, group: str, rng: torch.Generator) -> dict[str, Tensor]:
        """Negative log-likelihood per number (of choices and totals) or per cell (energies)."""
        condition = self.conditions(batch.energy, batch.direction)
        hits, energy = self._hits_of(batch)
        if group == "energies":
            log_prob = self.energies.log_prob(hits, energy, condition, rng)
            return {"loss": -log_prob.mean()}
        totals = self.energies.layer_sums(hits, energy)
        if group == "totals":
            log_prob = self.totals.log_prob(*totals, condition, rng)
            return {"loss": -log_prob.mean() / self.totals.features}
        clusters, cell_hit = self.tree.hit_clusters(hits)
        if group == "cells":
            context = self.tree.cluster_context(clusters, totals, condition)
            log_prob = self.cells.log_prob(cell_hit, self.tree.kinds_of(clusters), context, rng)
            return {"loss": -log_prob.mean() / (self.tree.size + 1)}
        layers, cluster_hit = self.tree.hit_layers(clusters)
        if group == "clusters":
            context = self.tree.layer_context(layers, totals, condition)
            log_prob = self.clusters.log_prob(cluster_hit, layers.number, context, rng)
            return {"loss": -log_prob.mean() / (self.tree.per_layer + 1)}
        pattern = self.tree.layer_pattern(layers)
        log_prob = self.layers.log_prob(pattern, None, SetContext(condition), rng)
        return {"loss": -log_prob.mean() / (self.tree.n_layers + 1)}

    def sample(self, energy: Tensor, direction: Tensor, noise: Noise) -> Cloud:
        """Generate the hit cells of every particle's shower, one point at the centre of each."""
        condition = self.conditions(energy, direction)
        layers = self._draw_layers(condition, noise)
        counts, energies = self.totals.sample(self.tree.layer_pattern(layers), condition, noise)
        # as many hits as there are cells are the most that the next stages can draw
        bounds = Bounds.of(self.name, energy, self.conditions)
        energies = bounds.visible(energies, sampling_fraction=self.geometry.sampling_fraction)
        totals = (counts, energies)
        clusters = self._draw_clusters(layers, totals, condition, noise)
        hits = self._draw_cells(clusters, totals, condition, noise)
        cell_energy = self.energies.sample(hits, totals[1], condition, noise)
        return cells_to_cloud(hits.per_shower, hits.number, cell_energy, self.geometry)

    def _draw_layers(self, condition: Tensor, noise: Noise) -> Parents:
        z = noise.normal("layers", 1, self.tree.n_layers + 1)
        return Parents.marked(self.layers.sample(z, None, None, SetContext(condition)))

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
        order = (shower * self.geometry.n_cells + cell).argsort()
        return Parents(shower[order], cell[order], torch.bincount(shower, minlength=len(condition)))

    def _within(self, noise: Tensor) -> Tensor:
        reach = self.config.reach
        return noise.clamp(-reach, reach) if reach else noise

    def _hits_of(self, batch: Batch) -> tuple[Parents, Tensor]:
        """The hit cells of a batch, and their energies."""
        cells = self._cells_of(batch)
        return Parents(cells.index, cells.cell, cells.counts), cells.energy
